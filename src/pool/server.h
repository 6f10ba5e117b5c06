/*
 * pool/server.h - a connection to PostgreSQL, from connect() to close()
 *
 * A server is lent only when it is clean: see server_is_clean().  A server whose client has gone
 * is first drained, rolled back and, where the pool's mode asks for it, reset.
 *
 * Ownership:  by its part's lists; freed by itself after server_close()
 * Threading:  the thread of its worker; a hand-over moves it as a whole
 */
#ifndef POOL_SERVER_H
#define POOL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "pool/statements.h"
#include "proto/replies.h"

struct err;
struct opening;
struct params;
struct part;
struct attempt;
struct waiter;
struct welcome;

/*
 *   CONNECTING --connected--> LOGIN --ReadyForQuery--> free
 *   free: IDLE, or LEASED to the next waiter, or MOVING to another worker
 *   LEASED --client gone, or session over--> CLEANING --clean--> free
 *   LOGIN --connect_query--> CLEANING       IDLE --for long, and wanted: tested--> CLEANING
 *   LOGIN --it is to listen--> LISTENING: for all clients of its pool, see session/fanout.h
 *   LEASED, CLEANING --clean, but a cancel is in flight--> CANCELED --cancel done--> free
 *   any --error, timeout, no more needed--> CLOSED
 */
enum server_state {
    SERVER_CONNECTING,
    SERVER_LOGIN,
    SERVER_IDLE,
    SERVER_LEASED,
    SERVER_CLEANING,
    SERVER_CANCELED,
    SERVER_LISTENING,
    SERVER_FREE, /* about to be given to somebody */
    SERVER_MOVING,
    SERVER_CLOSED,
};

#define SERVER_DRAWN_BY_MANY UINT64_MAX

/* The cluster that a server is of, and the primary, as of its promotion; hashes. */
struct home {
    uint64_t cluster; /* 0: of none */
    uint64_t primary; /* 0: there is none */
};

struct server {
    /* What each transaction touches comes first. */
    struct stream stream;
    struct replies replies;
    void *client; /* borrowed: to whom it is lent */
    struct part *part;
    enum server_state state;
    char txn;          /* as of the last ReadyForQuery */
    uint8_t last_kind; /* of the last message that a client was lent to see */
    bool forward;      /* the message that streams goes to the client */
    bool hurry;        /* CLEANING: what its client has left running is cancelled */
    bool wanted_reset; /* CLEANING: the reset query has not been sent yet */
    bool resetting;    /* CLEANING: it has been sent, or what takes back `undo` */
    bool starting;     /* CLEANING: connect_query runs, then it is ready */
    bool testing;      /* CLEANING: server_check_query runs */
    bool unchecked;    /* IDLE for so long that it must be tested before it is lent */
    bool listens;      /* it is the listening server of its pool, outside of pool_size */
    bool parses;       /* a Parse was sent since the queue of replies was empty */
    bool untracked; /* a client has had it whose session nobody looked after, see session/state.h */
    bool setting;   /* its client's settings are on their way: what it has is not known */
    uint8_t undo;   /* enum undo: what its client leaves behind, and CLEANING takes back */
    struct buf again; /* the client's batch at work, if it may be sent once more; see retry.h */
    uint32_t again_replies; /* how many replies it has, with what is behind it */
    uint32_t remain;        /* bytes of the message that streams still to come */
    struct buf stash;       /* the beginning of a message that is needed whole */
    struct params *params;  /* counted: what its session is set to */
    struct statement_set prepared;

    TAILQ_ENTRY(server) entry;
    struct mail mail; /* for a hand-over, and for the end */
    struct deadline deadline;
    struct attempt *attempt; /* owned; while CONNECTING and LOGIN */
    uint8_t key[8];
    unsigned epoch;  /* of its pool when it connected: see part_epoch() */
    uint64_t target; /* a hash of where it is: see part->target */
    struct home home;
    uint64_t id;
    uint64_t lease_no; /* counts pairings */
    uint64_t
        drawn_by; /* id of the client that may have drawn from sequences here; 0: none, or SERVER_DRAWN_BY_MANY */
    int cancels; /* cancel requests in flight */
    int64_t connected_us, requested_us, idle_since_us;
    struct address address, local;
    char *host;               /* owned: as configured; of a list, the one */
    unsigned host_index;      /* of a list */
    struct opening *opening;  /* counted: how it began; NULL: as all others of its pool */
    struct node_gauge *gauge; /* counted: of its node; NULL: of no cluster */
    struct welcome *welcome;  /* counted: what it said at its login; NULL before */
    struct waiter *waiter;    /* borrowed: for whom it is being opened; NULL: for anybody */
    bool closing_asked;       /* close_needed */
    bool asked_for;           /* MOVING: by a worker whose client nobody else's was preferred to */
};

/* Begins to connect; the pool's size has been reserved. */
void server_connect(struct part *part, struct waiter *waiter); /* NULL: for anybody */

/* The same for the pool's listening server. */
void server_connect_listener(struct part *part);

/* Closes at once.  reason goes to the log; NULL: nothing to log. */
void server_close(struct server *server, const char *reason);

/* May it go to another client?  Invariant of the pool: whoever releases a server asserts this. */
bool server_is_clean(const struct server *server);

/* An idle server, in no list now: it is tested, and placed again if it passes. */
void server_test(struct server *server);

/* The client is done with it, in order; the server may still have to be reset. */
void server_release(struct server *server);

/* The client has gone and has left it in whatever state it is.  streaming: a message of the
 * client's has been sent in part. */
void server_abandon(struct server *server, bool streaming);

/* The client has said good-bye behind its last request: that is done to its end, as PostgreSQL does,
 * and the answer thrown away. */
void server_finish(struct server *server);

/* Asks PostgreSQL to cancel what the server does for its present client.  When that has been done,
 * or could not be, `then` is posted to `back`; both may be NULL. */
void server_cancel(struct server *server, struct loop *back, struct mail *then);

/* Sends a simple query of our own. */
void server_send_query(struct server *server, const char *sql, enum reply_action action,
                       const struct replies_events *events, void *context, void *note);

/* Takes a ParameterStatus: its index among the parameters that follow the client, or -1. */
int server_take_parameter(struct server *server, const char *body, size_t len);

/* Takes a CommandComplete: true if it has ended all prepared statements of the session.  Other
 * changes to them by SQL, unless there is a note of them in the queue, make what we know of them void: then
 * it must end them all when it is free. */
bool server_take_command(struct server *server, const char *body, size_t len);

/* Used by cancel.c: a closed server is freed when no cancel needs it any more. */
void server_free_if_unused(struct server *server);

/* Used by part.c: moves to another worker's thread, and what happens there. */
void server_hand_over(struct server *server, struct part *to);

#endif
