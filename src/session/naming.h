/*
 * session/naming.h - what lies under names.h and sql_names.h: the map of names, and changes to servers
 *
 * A change to a client's names, or to what a server has prepared, is noted with the request that makes it
 * in the queue of replies, and undone if that fails.
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_NAMING_H
#define SESSION_NAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "pool/statements.h"
#include "proto/replies.h"

struct batch;
struct client;
struct err;
struct reader;
struct script;
struct server;

/* One name of the client's. */
struct name {
    struct map_entry entry;      /* first: the map finds us by it */
    struct statement *statement; /* counted; NULL: closed, as far as we know */
    unsigned pending;            /* changes whose reply has not come */
    uint32_t batch;              /* of the last change */
    char text[];
};

enum note_kind {
    NOTE_ADD,    /* Parse of a name */
    NOTE_REMOVE, /* Close of a name */
    NOTE_INJECT, /* Parse, or PREPARE, that we put in front of a use */
    NOTE_EVICT,  /* Close that makes room on the server */
    NOTE_ERROR,  /* the error that the client gets instead of the server's */
    NOTE_SCRIPT, /* a text of SQL that changes names, or has ours in it */
};

struct note {
    enum note_kind kind;
    bool on_server;              /* it also changed the server's set */
    struct name *name;           /* borrowed; of ADD and REMOVE, else NULL */
    struct statement *statement; /* counted: what was added, or was there before */
    struct server *server;       /* borrowed: outlives its reply queue */
    struct err *err;             /* owned; NOTE_ERROR only, as the next */
    const char *expected;        /* constant: the SQLSTATE of the server's error that it replaces */
    struct script *script;       /* owned; NOTE_SCRIPT only */
};

struct statement_table *naming_table(const struct client *client);
/* Do its names stand for statements of the process? */
bool naming_renames(const struct client *client);

struct name *naming_find(const struct client *client, const char *text); /* NULL: none */
struct name *naming_get(struct client *client, const char *text);
void naming_set(struct client *client, struct name *name, struct statement *statement);
void naming_forget_if_unused(struct client *client, struct name *name);
/* All whose changes are done. */
void naming_clear(struct client *client);
/* Does it depend on a reply of an earlier batch that has not come? */
bool naming_is_uncertain(const struct client *client, const struct name *name);

struct note *naming_note(struct client *client, enum note_kind kind, struct name *name,
                         struct statement *statement);

/* ---- what the server has ---- */

uint64_t naming_environment(const struct client *client);
/* What is there but of no use any more is closed at once. */
enum statement_presence naming_presence(struct client *client, struct statement *statement);
/* The statement that a server which lacks it gets: parsed under the present settings. */
struct statement *naming_renew(struct client *client, struct name *name);
void naming_make_room(struct client *client);
void naming_close_on_server(struct client *client, struct statement *statement);
/* Puts it in front of a use. */
void naming_inject(struct client *client, struct statement *statement);
/* Prepares it there under a name of the client's; nothing is noted. */
void naming_inject_as(struct client *client, const char *name, const struct statement *statement);
void naming_change_here(struct client *client, struct statement *statement);

/* ---- what goes to the server ---- */

struct batch *naming_out(struct client *client);
void naming_send_header(struct client *client, char kind, size_t body_len);
/* Parse; the name with its NUL. */
void naming_send_parse(struct client *client, const char *name, size_t name_len, const char *body,
                       size_t len);
void naming_close_name(struct client *client, char kind, const char *name);
void naming_expect(struct client *client, enum reply_kind kind, enum reply_action action,
                   struct note *note);
/* What fails at the server; the client gets this error. */
void naming_expect_error(struct client *client, const struct err *err);

/* A use of a statement may do something to the session.  values: see state_use().  False: it may not be
 * used, *err says why. */
bool naming_may_use(struct client *client, struct statement *statement, const struct reader *values,
                    struct err *err);

#endif
