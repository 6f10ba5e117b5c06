/*
 * session/client.h - an application's connection
 *
 *   STARTUP --startup packet--> AUTH --authenticated--> WELCOME --parameters known--> IDLE, or,
 *   in session mode, --granted--> ACTIVE
 *   IDLE --message--> ACTIVE (a server was idle), or WAITING --granted--> ACTIVE
 *   ACTIVE --transaction over--> IDLE
 *   WAITING --statement refused--> REFUSING --read to its end, error sent--> IDLE
 *   STARTUP --cancel request--> CANCELING      any --end, error, timeout--> CLOSED
 *   IDLE, WAITING --another process takes over--> MOVING --it has it--> CLOSED (without a word), or
 *   MOVING --it does not want it--> IDLE       nothing else happens to a client that is MOVING
 *
 * Ownership:  by its worker's list; frees itself after client_close()
 * Threading:  the thread of its worker
 */
#ifndef SESSION_CLIENT_H
#define SESSION_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "pool/pool.h"
#include "proto/replies.h"

struct client_login;
struct client_move;
struct err;
struct params;
struct routing;
struct script;
struct server;
struct subscriber;
struct traces;
struct unnamed;
struct worker;

enum client_state {
    CLIENT_STARTUP,
    CLIENT_AUTH,
    CLIENT_WELCOME,
    CLIENT_IDLE,
    CLIENT_WAITING,
    CLIENT_ACTIVE,
    CLIENT_REFUSING,
    CLIENT_CANCELING,
    CLIENT_MOVING,
    CLIENT_CLOSED,
};

struct client {
    /* What each transaction touches comes first. */
    struct stream stream;
    struct server *server;   /* borrowed: while ACTIVE, and in WELCOME when it has one */
    struct part *part;       /* borrowed; NULL before the database is known */
    struct part *place;      /* borrowed: WAITING: whose server it waits for; see routing.h */
    struct routing *routing; /* owned; NULL: its database does not split, see routing.h */
    struct worker *worker;   /* borrowed */
    struct role *role;       /* borrowed; NULL while not counted among its clients */
    struct params *params;   /* counted; NULL before WELCOME */
    struct traces *traces;   /* owned; NULL: it has done nothing to its session, see state.h */
    struct subscriber *subscriber; /* owned; NULL: it does not listen, see subscriber.h */
    uint32_t remain;               /* bytes of the message that streams still to come */
    uint32_t batch;                /* counts Syncs: messages of one batch share their fate */
    uint8_t state;                 /* enum client_state */
    bool drop;                     /* the message that streams is thrown away */
    bool used;                     /* something was sent to the server since it was granted */
    bool stalled;                  /* the next message must wait for replies to earlier ones */
    bool discards;                 /* it has sent a query that may end its prepared statements */
    bool goodbye;                  /* it has sent Terminate */
    bool counted;                  /* in the limits of database and user */
    bool in_batch;        /* REFUSING: not at the first message of the statement any more */
    bool last;            /* REFUSING: the message at work is the last of the statement */
    bool unnamed_here;    /* the server has our unnamed statement */
    bool first;           /* the message at work is the first one for this server */
    bool wants_pin;       /* a comment of its has asked for one */
    bool changes_strings; /* it has set standard_conforming_strings: a text can mean two things */
    bool retries;         /* its batch has failed for a reason that is gone: it is sent once more */
    bool retried;         /* ... and is input now, which is not tried a third time */
    bool notified;        /* WAITING: it has had the notice of query_wait_notify */
    bool own_names;       /* its prepared statements are on its server, under its own names */
    bool uses_sql_names;  /* it has used PREPARE, EXECUTE or DEALLOCATE by SQL: see sql_names.h */
    bool untracked;       /* nobody looked after its session until this reload */
    bool resumed;         /* it goes on from where it was in another process */
    bool keeps_server;    /* whatever the pool's mode: no other server has what it began with */
    uint8_t replication;  /* enum startup_replication */
    uint32_t names_version; /* counts changes of what its names stand for */
    uint32_t unnamed_batch;
    uint32_t unnamed_pending; /* Parses of it whose reply has not come */
    struct buf stash;         /* the beginning of a message that is needed whole */
    int64_t query_us;         /* when the present query came; 0: none is running */
    int64_t xact_us;          /* when the transaction began; 0: none is open */

    struct waiter waiter;
    TAILQ_ENTRY(client) entry;
    struct params *wishes;   /* counted: what it has asked for at its login; NULL: nothing */
    struct map names;        /* prepared statements by the client's names */
    struct unnamed *unnamed; /* owned, or NULL: its unnamed statement, to send again */
    struct script
        *unnamed_script;         /* owned: of the unnamed statement, as it was sent last; or NULL */
    struct script *bound_script; /* owned: of the unnamed portal, not executed yet; or NULL */
    struct map_entry by_key;     /* in worker->by_key, once logged in */
    uint8_t key[8];
    uint64_t id;
    int64_t connected_us, requested_us;
    struct deadline deadline;   /* login, idle, wait or query: of the present state */
    struct client_login *login; /* owned; until IDLE */
    struct err *refusal;        /* owned; while REFUSING */
    struct client_move *move;   /* borrowed; while MOVING: see moving.h */
    struct address address;
    struct mail mail;
    char *user; /* owned: as it logged in */
};

/* A new connection; takes the socket over. */
void client_open(struct worker *worker, int fd, const struct address *address);
/* The same for a client that goes on from where it was in another process. */
struct client *client_resume(struct worker *worker, int fd, const struct address *address,
                             int64_t connected_us);
/* Its socket is another process's now, or was given to it: closes it here without a word. */
void client_forget(struct client *client);

/* Does it keep its server until it leaves? */
static inline bool client_in_session_mode(const struct client *client)
{
    return client->keeps_server || client->part->mode == POOL_SESSION;
}

/* Says err as FATAL, and closes.  reason goes to the log, unless it is NULL. */
void client_fail(struct client *client, const struct err *err);
void client_close(struct client *client, const char *reason);
/* As client_fail(), and the server that it has, if any, is closed with it. */
void client_fail_with_server(struct client *client, const struct err *err);
/* Takes the client out of everything; its socket has been closed or given away. */
void client_detach(struct client *client);

/* A client that has said good-bye still gets the answers to what it sent before, as from PostgreSQL.
 * True: it has got them, or there will be none, and is closed now. */
bool client_end_after_goodbye(struct client *client);

/* The client is ready for its next message: works off what is there, or waits for it. */
void client_turn_idle(struct client *client);

/* It has input and no server. */
void client_want_server(struct client *client);

/* False: the database is gone, or no server will become free before the end. */
bool client_may_wait(const struct client *client, struct err *err);

/* Ends the lease in order; the client stays. */
void client_give_back(struct client *client);

/* The same when nothing was sent: what more the client says is read when others had their turn. */
void client_give_back_unused(struct client *client);

/* With server_fast_close: it ends now if it keeps a server that is to be replaced, and is between two
 * transactions.  True: it did. */
bool client_end_if_outdated(struct client *client);

/* Its server has gone away under it. */
void client_server_lost(struct client *client, const char *reason);

void client_log(const struct client *client, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the deadline of the state that the client is in, from the settings. */
void client_set_deadline(struct client *client);

/* What pool/ tells of the clients' servers. */
extern const struct pool_events client_pool_events;

/* forward.c: reads from the client and passes on to its server. */
void forward_read(struct client *client);
/* Sends a simple query of our own in its stream to the server, with what is being forwarded. */
void forward_query(struct client *client, const char *sql, enum reply_action action, void *note);
/* relay.c: reads from the server and passes on to its client. */
void relay_read(struct server *server);
/* Ends the lease if nothing is under way, and the database is being drained. */
void relay_review(struct client *client);
/* What it waited for has come, or will not. */
void relay_go_on(struct client *client);
/* Is it ACTIVE with no transaction open, and everything answered? */
bool relay_is_between(const struct client *client);
/* What the reply queue tells us; the context is the client. */
extern const struct replies_events client_replies;

/* refuse.c: the waiting client's statement will not run; it is read, thrown away, and answered
 * with this error, and the session goes on. */
void refuse_statement(struct client *client, const struct err *err);
void refuse_read(struct client *client);

/* startup.c */
void startup_begin(struct client *client);
void startup_read(struct client *client);
void startup_log_failure(const struct client *client); /* if it has not logged in yet */
void startup_free(struct client *client);

#endif
