/*
 * session/sql_names.h - PREPARE, EXECUTE and DEALLOCATE: the names of names.h, by SQL
 *
 * A name that SQL has prepared can be bound, and one of a Parse executed, as in PostgreSQL.  A text is
 * sent with our names in place of the client's (script.h), and in front of it goes whatever it takes to
 * make the server look, to this text, as the client's session would: what it executes is there, what it
 * prepares is not.  What it deallocates is a statement of ours, made for that: the real one stays, for
 * others.  Each CommandComplete stands for one statement of the text: a change to the client's names comes
 * true with its own, and is not undone by a rollback.
 *
 * The unnamed statement of the extended protocol is prepared anew for each use of it that is not in the
 * same batch, as its text means something else then.
 *
 * What cannot be followed ends it: the client gets its statements under its own names, keeps the server
 * (PIN_PREPARE), and all its texts and messages go through as they are (client->own_names).  That ends
 * when all of them are deallocated:
 *   - PREPARE, EXECUTE or DEALLOCATE as the text of a named statement, or bound to a named portal
 *   - DEALLOCATE ALL in a text of several statements, one of which is of the three
 *   - PREPARE of a statement that sets a setting whose name is not in the text
 *   - once it has used one of the three: DO, CALL, several statements that cannot be parsed, or a text
 *     that is too long for it (max_parse_length), with one of these words in it
 *   - whatever has prepared a statement unseen, as a function may
 *
 * Source:     PostgreSQL docs, sql-prepare, sql-execute, sql-deallocate
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_SQL_NAMES_H
#define SESSION_SQL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/replies.h"
#include "session/names.h"

struct buf;
struct client;
struct note;
struct sql_facts;

/* Are PREPARE, EXECUTE and DEALLOCATE of this client followed?  If not, they keep its server. */
bool sql_names_are_followed(const struct client *client);

/* A simple query that is there whole; text with its NUL.  REWRITTEN: it has been sent; DROP: an error, in
 * its place; PASS: it is none of these texts, or goes through as it is. */
enum names_step sql_names_query(struct client *client, const char *text, size_t len,
                                const struct sql_facts *facts);

/* Parse of a named statement.  PASS: it is none of these texts, or goes through as it is. */
enum names_step sql_names_parse(struct client *client, const char *body, size_t len);
/* The unnamed statement, client->unnamed: the server gets it if it has not got it as it must be now, by a
 * Parse of the client's or by one of ours.  PASS: it is none of these texts. */
enum names_step sql_names_unnamed(struct client *client, enum reply_action action);
/* Bind of it, behind that; then Execute of the unnamed portal while there is client->bound_script: gives
 * its note. */
enum names_step sql_names_bind(struct client *client, const char *portal);
void *sql_names_execute(struct client *client);
void sql_names_unbind(struct client *client);
void sql_names_drop_unnamed(struct client *client);

/* A CommandComplete for a reply with a note; and the end of that reply. */
void sql_names_command_complete(struct client *client, const struct reply *reply);
void sql_names_settled(struct client *client, struct note *note);
/* Is this a note of a script's? */
bool sql_names_noted(const struct reply *reply);
/* ... of one that an error about names is expected of? */
bool sql_names_explain(const struct reply *reply);
/* An error for it.  True: it has been appended in the client's terms. */
bool sql_names_write_error(const struct reply *reply, const char *body, size_t len,
                           struct buf *out);

#endif
