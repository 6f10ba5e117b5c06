/*
 * session/moving.h - clients that go on in another process, on their worker's side
 *
 * A client that is idle, or whose statement has reached no server, is described in a record and leaves
 * its loop; busy ones follow when their transaction is over (client_turn_idle()).  It stays ours, and
 * its socket open, until the other process has said that it has it.  Clients of session mode and of
 * replication have a server that cannot be given away: they stay to their end, as do those who log in
 * until they are done.
 *
 * Ownership:  a move is the worker's, lent to the control thread from proxy->take_move() to
 *             moving_end()
 * Threading:  on the worker's thread unless a function says otherwise
 */
#ifndef SESSION_MOVING_H
#define SESSION_MOVING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/reader.h"
#include "net/loop.h"

struct client;
struct proxy;
struct worker;

struct client_move {
    struct mail mail; /* first: the loops find us by it */
    TAILQ_ENTRY(client_move) entry;
    struct worker *worker; /* borrowed */
    struct client *client; /* the worker's alone; NULL: it has ended with the process */
    int fd;                /* borrowed: the client's, open until moving_end() */
    struct buf record;     /* HANDOVER_CLIENT */
    bool taken;
};

/* Those that stay for now, of one worker. */
struct moving_rest {
    unsigned session, replication, busy, login;
};

/* Another process listens: nobody is accepted any more, and clients begin to leave. */
void moving_begin(struct worker *worker, struct moving_rest *rest);
/* It does not want more of them; back: we go on as before, else they stay to their end. */
void moving_stop(struct worker *worker, bool back);
/* The client has no server.  True: it is MOVING now. */
bool moving_try(struct client *client);
/* When all threads have ended: nobody acknowledges any more. */
void moving_end_all(struct worker *worker);

/* On the control thread: the other process has the client, or will not. */
void moving_end(struct client_move *move, bool taken);

/* In the other process, on its control thread: puts the client on the worker that has fewest.  The record
 * has been read before; takes the socket over. */
void moving_arrive(struct proxy *proxy, struct slice record, int fd);

#endif
