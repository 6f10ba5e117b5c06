/*
 * session/names.h - a client's prepared statements, under names that every server knows
 *
 * In transaction and statement mode a client's next transaction may run on another server.  So the
 * client's names stand for statements of the process (pool/statements.h), and Parse, Bind,
 * Describe and Close are rewritten; what a server lacks is prepared in front of its first use.
 *
 * A change takes effect when its message is read, and is undone if the server then fails or skips
 * it.  Messages of one batch (up to a Sync) share their fate, so within it the new state is right.
 * A message of a later batch that depends on a change whose reply has not come yet must wait:
 * NAMES_STALL.
 *
 * An error that a name causes must also fail the batch, and an open transaction, at the server.
 * So the server is sent a message that fails there, and its error is replaced by the right one.
 *
 * Source:     PostgreSQL docs, protocol-flow-ext-query
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_NAMES_H
#define SESSION_NAMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/replies.h"

struct client;
struct err;
struct statement;

/* What the client has prepared without a name. */
struct unnamed {
    size_t len, cap;     /* of body; len 0: nothing */
    atomic_uchar glance; /* see state_use() */
    char body[];         /* of Parse behind the name */
};

enum names_step {
    NAMES_REWRITTEN, /* the message has been dealt with, up to *used bytes of it; if it is longer,
                      * the rest streams to the server behind it */
    NAMES_DROP,      /* as REWRITTEN, but the rest of it is thrown away */
    NAMES_MORE,      /* more of it is needed */
    NAMES_STALL,     /* replies to earlier messages must come first */
    NAMES_PASS,      /* nothing to rewrite */
};

/* at: a message with its header; left: how much of it, or of it and what follows, is there. */
enum names_step names_parse(struct client *client, const char *at, size_t left, size_t *used);
enum names_step names_bind(struct client *client, const char *at, size_t left, size_t *used);
enum names_step names_describe(struct client *client, const char *at, size_t left, size_t *used);
enum names_step names_close(struct client *client, const char *at, size_t left, size_t *used);

/* In the place of a simple query: it fails with this error. */
void names_refuse_query(struct client *client, const struct err *err);

/* A simple query ends the unnamed statement, as it does in PostgreSQL. */
void names_drop_unnamed(struct client *client);

/* The server has failed a message that was sent to fail.  True: for another reason than ours, so the
 * client gets the server's error.  note: of the reply at the head, whose action is REPLY_REPLACE. */
bool names_error_is_other(void *note, const char *body, size_t len);

/* A note in the reply queue says that these are our session parameters being set. */
extern char names_parameters_note;
/* Or that this is a Parse of the client's unnamed statement; counts it as pending.  again: that we have
 * put in front: whatever becomes of it, the client's statement is what it was. */
extern char names_unnamed_note, names_again_note;
void *names_note_of_unnamed(struct client *client, bool again);

void names_settled(struct client *client, const struct reply *reply, enum reply_outcome outcome);
void names_unnamed_settled(struct client *client, const void *note, enum reply_outcome outcome);
void names_clear(struct client *client); /* DEALLOCATE ALL, or the end of the client */

/* For a client between two transactions that goes to another process, or comes from one.  body: of Parse
 * behind the name. */
bool names_next(const struct client *client, uint32_t *at, const char **text,
                const struct statement **statement); /* *at starts at 0 */
void names_add(struct client *client, const char *text, const char *body, size_t len);
void names_keep_unnamed(struct client *client, const char *body, size_t len);

#endif
