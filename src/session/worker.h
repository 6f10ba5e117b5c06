/*
 * session/worker.h - one thread's share of the clients, and what all workers share
 *
 * Threading:  a worker's fields on its own thread; a proxy's as each says
 */
#ifndef SESSION_WORKER_H
#define SESSION_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/hash.h"
#include "base/reader.h"
#include "net/batch.h"
#include "pool/pool.h"
#include "session/peers.h"
#include "session/pins.h"
#include "session/routing.h"
#include "route/choose.h"

struct cancel_request;
struct client;
struct client_move;
struct function_book;
struct sql_cache;
struct console_seat;
struct listener;

enum shutdown_mode {
    SHUTDOWN_NONE,
    SHUTDOWN_WAIT_FOR_SERVERS, /* until no server is in use */
    SHUTDOWN_WAIT_FOR_CLIENTS, /* until the last client has left */
};

/* The process, as sessions see it. */
struct proxy {
    struct pools *pools;     /* owned by main */
    struct worker **workers; /* borrowed elements */
    unsigned n_workers;
    int n_sockets;        /* that systemd has handed over, to listen on these and no others */
    uint8_t mock_key[32]; /* fixed at start */
    atomic_int n_clients; /* logged in or logging in, over all workers, consoles left out */
    atomic_int shutdown;  /* enum shutdown_mode */
    /* Takes over a client that wants the admin console; called on a worker's thread. */
    void (*seat_console)(void *context, struct console_seat *seat);
    /* A cancel request with the key of no client; cancel_finish() ends it. */
    void (*cancel_console)(void *context, struct cancel_request *request);
    void *console_context;
    /* Sends a client to another process, and brings it back if that does not take it; see moving.h.
     * Called on a worker's thread. */
    void (*take_move)(void *context, struct client_move *move);
    /* Sends a cancel key to the process that we take over from; when that has done with it, `then` is
     * posted to `back`.  If that cannot be any more it is freed: it is from the heap. */
    void (*pass_cancel)(void *context, const uint8_t key[8], struct loop *back, struct mail *then);
    atomic_bool has_predecessor; /* there is one, which may still have clients */
    struct inherited *inherited; /* owned by main: sockets from another process, and no others */
    size_t n_inherited;
    atomic_bool files_are_lent; /* the files of the sockets are another process's to remove */
    struct pidfile *pidfile;    /* owned by main; NULL: none */
};

/* A listening socket, and its file, if it has one that we remove at the end. */
struct inherited {
    int fd;     /* owned, until a worker has it */
    char *path; /* owned; "" for none */
};

struct worker {
    struct pool_worker pool; /* first: pool/ hands it back to us */
    struct proxy *proxy;     /* borrowed */
    struct loop *loop;       /* owned */
    pthread_t thread;
    TAILQ_HEAD(client_list, client) clients;
    struct map by_key;                /* logged-in clients by their cancel key */
    struct peer_pool_list peer_pools; /* peers with cancel requests on their way */
    atomic_int n_sockets;            /* clients of any state; read by the others when they accept */
    bool has_query_timeouts;         /* somebody's queries or transactions are timed */
    int n_login;                     /* of them: not logged in yet */
    struct sql_cache *verdicts;      /* owned: what texts do */
    struct function_book *functions; /* owned */
    uint64_t n_pins[PIN_KINDS];      /* clients that were pinned for this reason, since the start */
    uint64_t routes[ROUTE_COUNTS];   /* of routing.h */
    uint64_t reasons[REASONS];       /* why batches went to the primary */
    uint64_t unfit[FIT];             /* why reads did */
    uint64_t learned[ROUTING_LEARNED]; /* hashes of texts, each in the place it gives */
    uint64_t n_learned;
    uint64_t random;                   /* never 0 */
    unsigned turn;                     /* of balance = round_robin */
    struct batch to_server, to_client; /* of the connection at work */
    bool describes;                    /* the input at work asks to describe something */
    struct listener *listeners;        /* owned array */
    size_t n_listeners;
    struct deadline accept_again;
    struct deadline watch; /* looks after clients that have sent a part of a message */
    bool moving;           /* clients go to another process when they are idle */
    bool accept_failed;    /* and since then there was always somebody left to accept */
};

struct worker *worker_new(struct proxy *proxy, unsigned index, struct settings *settings);
/* In this order, once all threads have ended: close all, then free all, as closing one may send
 * mail to another. */
void worker_close(struct worker *worker);
void worker_free(struct worker *worker);

/* A client without a server has sent a part of a message: if it then breaks the connection, nothing may
 * tell, see stream_look().  Such clients are looked at from time to time. */
void worker_watch(struct worker *worker);

/* Mail from the control thread. */
void worker_post_settings(struct worker *worker, struct settings *settings);    /* counts one */
void worker_post_view(struct worker *worker, struct topology_view *view);       /* counts one */
void worker_post_catalogs(struct worker *worker, struct catalog_set *catalogs); /* counts one */
void worker_post_review(struct worker *worker); /* a pause, its end, or a shutdown was set */
void worker_post_resume(struct worker *worker); /* ends a suspension: see session/suspend.h */
void worker_post_close_listeners(struct worker *worker, bool unix_too);

/* Calls on the worker's thread; `done` is then called on `back`, with the same task. */
struct worker_task {
    struct mail mail;
    void (*run)(struct worker_task *task, struct worker *worker);
    void (*done)(struct worker_task *task);
    struct loop *back;
};
void worker_post_task(struct worker *worker, struct worker_task *task);

#endif
