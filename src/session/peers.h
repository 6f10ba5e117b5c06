/*
 * session/peers.h - cancel requests on their way to other processes
 *
 * A key tells whose it is (session/peerkey.h).  A request for another process goes there on a
 * connection of its own, which the peer closes when it has done its part.  As many at a time as the
 * peer's pool_size are under way, the next ones wait.  cancel_wait_timeout ends one that takes too
 * long, whatever it waits for; so does a peer that cannot be reached, or that answers.
 *
 * Ownership:  requests free themselves when they have ended; a peer_pool lives while it has any
 * Threading:  the worker's thread.  All requests of the process are on one worker, the last, so that
 *             the limit of a peer is exact; see session/cancel.c
 * Errors:     logged here, as nobody is told of them
 */
#ifndef SESSION_PEERS_H
#define SESSION_PEERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "session/peerkey.h"

struct loop;
struct mail;
struct peer_request;
struct worker;

/*
 *   WAITING --room in the peer's pool--> CONNECTING --connected--> SENT --closed by the peer--> ENDED
 *   any --error, timeout, peer no longer configured--> ENDED
 */
enum peer_request_state {
    PEER_WAITING,
    PEER_CONNECTING, /* its name may still be looked up */
    PEER_SENT,
    PEER_ENDED,
    PEER_STATES
};

TAILQ_HEAD(peer_request_list, peer_request);

struct peer_pool {
    TAILQ_ENTRY(peer_pool) entry; /* in worker->peer_pools */
    struct worker *worker;        /* borrowed */
    int id;
    struct peer_request_list waiting, active; /* oldest first */
    int n[PEER_STATES];
    bool placing; /* somebody works through `waiting` */
};
TAILQ_HEAD(peer_pool_list, peer_pool);

/* For who looks at them: bytes of a request. */
extern const size_t peers_request_size;

/* Sends the key, which is not of ours, to the peer whose it is.  When that has been done, or could
 * not be, `then` is posted to `back`.  Otherwise nothing was begun, and the result says why. */
const char *peers_forward(struct worker *worker, const uint8_t key[PEER_KEY_LEN], struct loop *back,
                          struct mail *then);

/* The settings of the worker have changed. */
void peers_reload(struct worker *worker);

/* At the end of the worker. */
void peers_end_all(struct worker *worker);

#endif
