/*
 * session/routing.h - a client's statements go to the primary, or to a standby that is fresh enough
 *
 * Where the database of a client splits, nothing is sent before it is known where to: its input is kept until
 * a batch is complete (session/reading.h).  One that reads goes to the node that route/choose.h chooses, on a
 * server of that node's pool (a reader, pool/pool.h); all else, and what can go nowhere else, to the primary.
 *
 * A lease is of one node.  While it is of a standby, each further batch is looked at too: one that does more
 * than read waits until the lease is over, unless it is in a transaction that began there.
 *
 * Reads follow writes: when a batch that may have written has been answered, the time is kept, with the client
 * or for all of its database.  A standby serves a read only if it is known to show what was committed before.
 *
 * A batch that a standby could not run, though the primary can, runs there instead, unseen by the client, as
 * long as none of its answer has been sent: it writes after all (25006), it is in the way of recovery
 * (40001), or the connection has broken.
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_ROUTING_H
#define SESSION_ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "route/choose.h"
#include "route/reads.h"
#include "session/reading.h"

struct batch;
struct client;
struct node_gauge;
struct part;
struct server;

struct routing {
    int64_t write_us; /* when what it has written was acknowledged; 0: it has not */
    enum unfit unfit; /* why no standby could serve the last read; FIT: one could, or it was none */
    bool reading;     /* its lease is of another node than the primary */
    bool writes;      /* ... or of the primary, and may have written */
    bool checked;     /* the batch at work has been looked at */
    bool to_primary;  /* the next batch has been tried elsewhere */
    bool defines;     /* ... and may have changed what there is in the database */
    bool wrote;       /* ... where it turned out to write */
    bool repeats;     /* the batch that the lease began with may be sent again, and is `len` long */
    bool said;        /* something of its answer has been sent */
    bool unsays;      /* what has come and was not sent will not be */
    size_t len;
};

enum { ROUTING_LEARNED = 1024 }; /* texts whose misjudgement a worker remembers */

/* What is counted. */
enum route_count {
    ROUTE_PRIMARY,      /* leases of the primary */
    ROUTE_READ,         /* leases of another node */
    ROUTE_WISH,         /* reads that the client wanted on the primary */
    ROUTE_RETRY,        /* batches that the primary has run after a standby could not: because */
    ROUTE_WRITE_CAUGHT, /* ... they wrote */
    ROUTE_CONFLICT,     /* ... they were in the way of recovery */
    ROUTE_LOST,         /* ... the connection broke */
    ROUTE_COUNTS
};

/* For who looks at them: what they count, and of which kind. */
const char *routing_count_name(enum route_count what);
const char *routing_count_kind(enum route_count what);

/* Does its database split? */
bool routing_applies(const struct client *client);

/* It is idle and has input: whose server will serve it.  NULL: more has to come, or the client is gone. */
struct part *routing_place(struct client *client);
/* It was refused one of another node: the primary will serve it. */
void routing_refused(struct client *client);
/* It has a server, or no more. */
void routing_granted(struct client *client);
void routing_released(struct client *client, struct server *server);

/* While it has one: what to do with the message at hand, with the rest of its input behind it. */
enum routing_step {
    ROUTING_PASS,
    ROUTING_MORE,  /* its batch is not complete */
    ROUTING_STALL, /* not here, or not yet */
};
enum routing_step routing_pass(struct client *client, const char *at, size_t left);
/* A Query or Sync has been sent. */
void routing_batch_sent(struct client *client);
/* This much of the input has been sent, from its beginning. */
void routing_sent(struct client *client, const char *input, size_t len);
/* A ReadyForQuery goes to the client; query_us of the client is still that of its batch. */
void routing_answered(struct client *client, int64_t now_us);
/* Before what has come from the server is sent to the client: nothing of a batch that runs elsewhere is. */
void routing_say(struct client *client, struct batch *batch);

/* An error of the server's.  True: the batch runs elsewhere, and the client does not get it. */
bool routing_take_error(struct client *client, const char *body, size_t len);
/* The server is gone.  True: the batch is input again. */
bool routing_take_loss(struct client *client);

/* What a text is, by the rules and the catalog of the client's database. */
struct reads_answer routing_reads(struct client *client, const char *text, size_t len);
/* Stands for those; 0: there is no catalog. */
uint64_t routing_key(const struct client *client);

#endif
