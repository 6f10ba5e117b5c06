/*
 * topology/probe.h - asks one node, again and again, what it is
 *
 * When is decided here, over one connection (topology/asker.h).  A question ends after twice the interval, but
 * one second at least and ten at most.
 *
 * Ownership:  the target is copied; context is borrowed
 * Threading:  the thread of the loop
 * Errors:     are told to `done`, which logs or keeps them
 */
#ifndef TOPOLOGY_PROBE_H
#define TOPOLOGY_PROBE_H

#include <stdint.h>

#include "topology/election.h"

struct loop;
struct probe;
struct resolver;

struct probe_target {
    const char *host;
    int port;
    const char *user;
    const char *dbname;
    const char *password; /* NULL: none */
    int64_t interval_us;
};

/* A question has ended.  sample: NULL if it failed, then error says why.  Must not free the probe. */
typedef void probe_done(void *context, const struct node_sample *sample, const char *error);

/* A connection that worked has ended: the node may have been started anew.  Must not free the probe. */
typedef void probe_lost(void *context);

/* Asks for the first time as soon as the loop runs. */
struct probe *probe_new(struct loop *loop, struct resolver *resolver,
                        const struct probe_target *target, probe_done *done, probe_lost *lost,
                        void *context);
void probe_free(struct probe *probe); /* accepts NULL */

/* The connection stays if only the interval is another. */
void probe_retarget(struct probe *probe, const struct probe_target *target);

/* Asks now, if it has not asked just before. */
void probe_hurry(struct probe *probe);

/* The primary has just been asked: its standby is, a bit later, so that it can have what was written. */
void probe_follow(struct probe *probe);

#endif
