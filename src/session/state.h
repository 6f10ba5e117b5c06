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
 *   state.c     what a statement may do, before it is sent
 *   settle.c    what has become of it, when the transaction is over
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_STATE_H
#define SESSION_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reader.h"
#include "proto/replies.h"
#include "session/traces.h"

struct client;
struct err;
struct server;
struct sql_facts;

extern char state_probe_note; /* of the probe in the reply queue */

/* Is this client's session looked after?  false: as PgBouncer, what it sets is lost, or stays. */
bool state_is_tracked(const struct client *client);
/* Around a change of the settings: of what a client did while nobody looked its server is asked then. */
void state_before_reload(struct client *client);
void state_after_reload(struct client *client);

/* Before they are sent: a simple query, and a Bind of a statement.  text: with or without its NUL; NULL:
 * not known.  whole: it is all there.  values: of the Bind, behind the name of the statement; or NULL.
 * facts: the caller's, if the names of prepared statements may matter (sql_names.h); else they stay as
 * they are.  False: it must not be sent, the client gets this error. */
bool state_query(struct client *client, const char *text, size_t len, bool whole,
                 struct sql_facts **facts, struct err *err);
bool state_use(struct client *client, atomic_uchar *kept, const char *text, size_t len,
               const struct reader *values, struct err *err);
/* Borrowed until the next look at a text; NULL: what it means is not certain. */
const struct sql_facts *state_verdict(const struct client *client, const char *text, size_t len);
struct sql_facts *state_facts(const struct client *client, const char *text, size_t len);
/* It keeps its prepared statements on this server from now on; text: the statement that is the reason. */
void state_own_names(struct client *client, const char *text, size_t len);
/* A glance at a text tells that it does nothing to its session. */
bool state_is_plain(const struct client *client, atomic_uchar *kept, const char *text, size_t len);
/* A Parse: where it is the first message, its statement decides what has to go in front of it. */
void state_parse(struct client *client, atomic_uchar *kept, const char *text, size_t len);
/* In front of its first message on this server. */
void state_begin(struct client *client);
void state_call_function(struct client *client, uint32_t oid);
/* A Query or Sync has been sent whole. */
void state_sent(struct client *client);

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

#endif
