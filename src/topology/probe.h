/*
 * topology/probe.h - asks one node, again and again, what it is
 *
 * One connection of libpq's, without blocking; it is kept from question to question, and its end is
 * noticed at once.
 *
 *   IDLE --due--> RESOLVING --address--> CONNECTING --logged in--> ASKING --answer--> IDLE
 *   IDLE --due, connected--> ASKING      any --error, or time is over--> IDLE, not connected
 *
 * A question ends after twice the interval, but one second at least and ten at most.
 *
 * Source:     PostgreSQL docs, libpq-connect (PQconnectPoll) and libpq-async
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

/* Asks for the first time as soon as the loop runs. */
struct probe *probe_new(struct loop *loop, struct resolver *resolver,
                        const struct probe_target *target, probe_done *done, void *context);
void probe_free(struct probe *probe); /* accepts NULL */

/* The connection stays if only the interval is another. */
void probe_retarget(struct probe *probe, const struct probe_target *target);

/* Asks now, if it has not asked just before. */
void probe_hurry(struct probe *probe);

#endif
