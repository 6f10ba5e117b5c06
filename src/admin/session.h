/*
 * admin/session.h - a console client's connection, and the requests that it makes
 *
 * Speaks the simple and the extended protocol.  One request is at work at a time; what the client
 * sends meanwhile waits in its socket.  Differences from PostgreSQL: statements have no parameters;
 * a failed command does not fail the transaction, as there is nothing in it that could be undone.
 *
 * Source:     PostgreSQL docs, protocol-flow-simple-query and protocol-flow-ext-query
 * Ownership:  sessions belong to the control's list and free themselves after session_close();
 *             a request belongs to itself: it outlives a client that leaves while it is at work
 * Threading:  the control thread
 */
#ifndef ADMIN_SESSION_H
#define ADMIN_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "admin/command.h"
#include "admin/table.h"
#include "base/buf.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "session/cancel.h"
#include "session/suspend.h"

struct console_seat;
struct control;
struct database;
struct err;
struct portals;

struct session {
    struct stream stream; /* first: its events find us by it */
    TAILQ_ENTRY(session) entry;
    struct control *control; /* borrowed */
    struct request *request; /* borrowed: at work for us; NULL: none is */
    struct portals *portals; /* owned: of the extended protocol */
    struct buf input;        /* what has not been understood yet */
    struct buf output;       /* of the turn at work */
    char *script;            /* owned: the text of a Query message; NULL: none is at work */
    const char *script_at;   /* into script */
    bool working;            /* somebody up the stack takes messages out of input */
    bool skipping;           /* an error: nothing is looked at before Sync */
    bool closed;
    char txn; /* of ReadyForQuery */

    struct mail mail;
    struct address address;
    char *user; /* owned */
    bool admin;
    uint8_t key[CANCEL_KEY_LEN];
    uint64_t id;
    int64_t connected_us, requested_us;
};

void session_open(struct control *control, struct console_seat *seat); /* takes the seat over */
void session_close(struct session *session, const char *reason);
/* Says err as FATAL, and closes. */
void session_fail(struct session *session, const struct err *err);
void session_cancel(struct session *session); /* a cancel request with its key has come */

/* A command at work. */
struct request {
    struct session *session; /* borrowed; NULL: the client has left */
    struct control *control; /* borrowed */
    struct command command;  /* owned */
    struct table table;      /* owned: the rows of the answer */

    struct portal *portal; /* borrowed: whose execution it is; NULL: of the simple protocol */

    TAILQ_ENTRY(request) entry;             /* in control->pausing or control->asking */
    struct database *database;              /* of PAUSE; NULL: all */
    void (*again)(struct request *request); /* in control->asking: asks the workers again */
    /* The client has asked to cancel it: undoes what it has begun; it then fails by itself.  NULL:
     * there is nothing to undo. */
    void (*cancel)(struct request *request);
    bool canceled;
    enum suspend_phase phase; /* of SUSPEND: what the workers are asked for */
};

/* Both end the request. */
void request_done(struct request *request, const char *tag);
void request_fail(struct request *request, const struct err *err);
/* Something else has ended what it waits for: by its own client's cancel, or why it says. */
void request_fail_ended(struct request *request, const char *why);
/* For a handler that has to wait: then nobody may be left to hear the answer. */
bool request_is_orphan(const struct request *request);
/* The database that the command names, one that is configured or in use, into request->database;
 * no name: all, NULL. */
bool request_find_database(struct request *request, struct err *err);
/* What ReadyForQuery says from now on; in a transaction portals last until its end. */
void request_set_transaction(struct request *request, char txn);
void request_notice(struct request *request, const char *message, const char *detail);

#endif
