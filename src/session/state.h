/*
 * session/state.h - what a client does to its session follows it, or keeps the server for it
 *
 * In transaction and statement mode a client's next transaction may run on another server, and its
 * present server goes to another client.  So what outlives the transaction must be known:
 *
 *   - Each statement is looked at before it is sent: may it change the session?  Most may not, and a
 *     glance tells; else PostgreSQL's grammar says what it may change (sql/facts.h).
 *   - When the transaction is over, the server is asked what has become of that (session/probe.h).
 *     Whether it was committed, rolled back to a savepoint, or done inside of set_config(), is
 *     PostgreSQL's business; we see what is.
 *   - Settings are kept with the client (pool/params.h), and go with it to other servers.  All else pins
 *     the server to the client until PostgreSQL says that it is gone.
 *   - If the client leaves before it is known, what it may have done is undone (pool/undo.h).
 *
 * While the question is under way the client's next message waits.
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_STATE_H
#define SESSION_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/reader.h"
#include "proto/replies.h"

struct client;
struct err;
struct server;
struct sql_facts;

/* Of a client that has done something to its session; the others have none. */
struct traces {
    uint32_t touched;              /* enum sql_effect: not asked about yet */
    uint32_t prepared;             /* enum sql_effect: of what it has prepared by SQL */
    uint32_t pins;                 /* enum pin; see pins_set() */
    uint32_t found;                /* enum pin: by the probe, so far */
    bool probing;                  /* the answer is under way */
    bool failed;                   /* ... and is an error */
    bool relisted;                 /* ... and has begun to list the settings */
    bool relists;                  /* a setting was reset: they are all asked for */
    bool renews_all;               /* what it began with is set again: all of it, or */
    struct buf renewed;            /* ... these settings, each with its NUL */
    struct buf names;              /* settings to ask for, in the same form */
    struct buf functions;          /* that were called, in the same form; see functions.h */
    bool unnamed_calls;            /* ... and there is more than names tell */
    uint32_t asked_pins;           /* enum pin: before the probe */
    const struct params *asked_at; /* never read: the client's settings before it */
    int64_t pinned_us;             /* since when, if it is */
    int64_t idle_us;               /* since when it is between two transactions, and pinned */
    bool warned;                   /* it has had the notice of pin_idle_timeout */
    char *cause;                   /* owned: the beginning of the statement that pinned it */
};

extern char state_probe_note; /* of the probe in the reply queue */

/* Is this client's session looked after?  false: as PgBouncer, what it sets is lost, or stays. */
bool state_is_tracked(const struct client *client);

/* Before they are sent: a simple query, and a Bind of a statement.  text: with or without its NUL; NULL:
 * not known.  whole: it is all there.  values: of the Bind, behind the name of the statement; or NULL.
 * facts: the caller's, if the names of prepared statements may matter (sql_names.h); else they stay as
 * they are.  False: it must not be sent, the client gets this error. */
bool state_query(struct client *client, const char *text, size_t len, bool whole,
                 struct sql_facts **facts, struct err *err);
bool state_use(struct client *client, atomic_uchar *kept, const char *text, size_t len,
               const struct reader *values, struct err *err);
struct sql_facts *state_facts(const struct client *client, const char *text, size_t len);
/* It keeps its prepared statements on this server from now on; text: the statement that is the reason. */
void state_own_names(struct client *client, const char *text, size_t len);
/* A glance at a text tells that it does nothing to its session. */
bool state_is_plain(const struct client *client, atomic_uchar *kept, const char *text, size_t len);
/* A Parse: what its statement will read of the session must be the client's own. */
void state_parse(struct client *client, atomic_uchar *kept, const char *text, size_t len);
/* In front of its first message, the server forgets what others have drawn from sequences. */
void state_forget_sequences(struct client *client);
void state_call_function(struct client *client, uint32_t oid);
/* A Query or Sync has been sent whole. */
void state_sent(struct client *client);

/* Must the client's next message wait? */
static inline bool traces_stall(const struct traces *traces)
{
    return traces != NULL && traces->probing;
}

static inline bool traces_pin(const struct traces *traces)
{
    return traces != NULL && traces->pins != 0;
}

/* The transaction is over and everything answered.  True: nothing is to be asked. */
bool state_is_known(struct client *client);
/* A followed parameter has changed. */
void state_take_reported(struct client *client, size_t index);
/* A DataRow of the probe, or its error. */
void state_take_row(struct client *client, const char *body, size_t len);
void state_take_error(struct client *client);
void state_probed(struct client *client, enum reply_outcome outcome);

/* It is pinned, and between two transactions. */
void state_rest(struct client *client);

/* The client leaves this server in whatever state it is. */
void state_leave(struct client *client, struct server *server);
void state_free(struct client *client);

#endif
