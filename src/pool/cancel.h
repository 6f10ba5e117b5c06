/*
 * pool/cancel.h - a cancel request on its way to PostgreSQL
 *
 * The request travels on a connection of its own.  Until PostgreSQL has closed that, the signal
 * may still be on its way to the backend: the server is not lent to anybody before.
 *
 * Source:     PostgreSQL docs, protocol-flow-canceling-requests
 * Ownership:  frees itself
 * Threading:  the thread of the server's worker
 */
#ifndef POOL_CANCEL_H
#define POOL_CANCEL_H

#include <stdbool.h>

struct server;

struct loop;
struct part;
struct pool_worker;
struct mail;

/* Sends it if the server still works for the same client when the connection is there.  False:
 * nothing was begun, and nobody will be told. */
bool cancel_send(struct server *server, struct loop *back, struct mail *then);

/* Of one part: connections under way, and those of them that a client has asked for, whose request has
 * been sent or not yet. */
struct cancel_counts {
    int connections, sent, not_sent;
};
struct cancel_counts cancel_count(const struct part *part);

/* At the end of the worker: nobody waits for them any more. */
void cancel_end_all(struct pool_worker *worker);

#endif
