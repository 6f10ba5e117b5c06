#include "session/names.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/server.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/client.h"
#include "session/worker.h"

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
    NOTE_INJECT, /* Parse that we put in front of a use */
    NOTE_EVICT,  /* Close that makes room on the server */
    NOTE_ERROR,  /* the error that the client gets instead of the server's */
};

struct note {
    enum note_kind kind;
    bool on_server;              /* it also changed the server's set */
    struct name *name;           /* borrowed; NULL in INJECT, EVICT and ERROR */
    struct statement *statement; /* counted: what was added, or was there before */
    struct server *server;       /* borrowed: outlives its reply queue */
    struct err *err;             /* owned; NOTE_ERROR only */
};

char names_parameters_note, names_unnamed_note, names_again_note;

static struct statement_table *table_of(const struct client *client)
{
    return client->worker->proxy->pools->statements;
}

/* With max_prepared_statements = 0 names go through as they are, but for clients that have had theirs
 * before that was set; the unnamed statement is still the client's own. */
static bool renames(const struct client *client)
{
    return client->worker->pool.settings->max_prepared_statements > 0 || client->names.count > 0;
}

/* ---- the map ---- */

static bool same_name(const struct map_entry *entry, const void *text)
{
    return strcmp(((const struct name *)entry)->text, text) == 0;
}

static struct name *find(const struct client *client, const char *text)
{
    if (client->names.count == 0)
        return NULL;
    return (struct name *)map_find(&client->names, hash_bytes(text, strlen(text)), same_name, text);
}

static struct name *get(struct client *client, const char *text)
{
    struct name *name = find(client, text);
    if (name != NULL)
        return name;
    size_t len = strlen(text);
    name = mem_new(sizeof *name + len + 1);
    memcpy(name->text, text, len + 1);
    name->entry.hash = hash_bytes(text, len);
    map_add(&client->names, &name->entry);
    return name;
}

static void forget_if_unused(struct client *client, struct name *name)
{
    if (name->statement != NULL || name->pending > 0)
        return;
    map_remove(&client->names, &name->entry);
    mem_free(name);
}

/* Does it depend on a reply of an earlier batch that has not come? */
static bool is_uncertain(const struct client *client, const struct name *name)
{
    return name != NULL && name->pending > 0 && name->batch != client->batch;
}

static void set_statement(struct client *client, struct name *name, struct statement *statement)
{
    statement_unref(table_of(client), name->statement);
    name->statement = statement != NULL ? statement_ref(table_of(client), statement) : NULL;
}

/* Changes whose reply is to come stand behind what has ended all others. */
void names_clear(struct client *client)
{
    struct map kept = {0};
    uint32_t at = 0;
    struct name *name;
    while ((name = (struct name *)map_next(&client->names, &at)) != NULL) {
        if (name->pending > 0) {
            map_add(&kept, &name->entry);
            continue;
        }
        set_statement(client, name, NULL);
        mem_free(name);
    }
    map_done(&client->names);
    client->names = kept;
    names_drop_unnamed(client);
}

/* ---- notes ---- */

static struct note *new_note(struct client *client, enum note_kind kind, struct name *name,
                             struct statement *statement)
{
    struct note *note = mem_new(sizeof *note);
    note->kind = kind;
    note->name = name;
    note->server = client->server;
    if (statement != NULL)
        note->statement = statement_ref(table_of(client), statement);
    if (name != NULL) {
        name->pending++;
        name->batch = client->batch;
    }
    return note;
}

static void undo(struct client *client, struct note *note)
{
    if (note->kind == NOTE_ADD)
        set_statement(client, note->name, NULL);
    else if (note->kind == NOTE_REMOVE)
        set_statement(client, note->name, note->statement);
}

static void say_error(struct client *client, const struct err *err)
{
    struct buf out = BUF_NONE;
    response_error(&out, "ERROR", err);
    batch_copy(&client->worker->to_client, out.data, out.len);
    buf_done(&out);
}

void names_settled(struct client *client, const struct reply *reply, enum reply_outcome outcome)
{
    struct note *note = reply->note;
    /* After the client nobody waits for the reply that would tell what the server has prepared. */
    if (note->on_server && client->state == CLIENT_CLOSED)
        note->server->wanted_deallocate = true;
    else if (note->on_server)
        statement_set_settle(&note->server->prepared, table_of(client), note->statement,
                             outcome == REPLY_DONE);
    if (outcome != REPLY_DONE)
        undo(client, note);
    if (note->err != NULL && outcome == REPLY_FAILED)
        say_error(client, note->err);
    if (note->name != NULL) {
        note->name->pending--;
        forget_if_unused(client, note->name);
    }
    statement_unref(table_of(client), note->statement);
    mem_free(note->err);
    mem_free(note);
}

/* ---- what goes to the server ---- */

static struct batch *to_server(struct client *client)
{
    return &client->worker->to_server;
}

static void expect(struct client *client, enum reply_kind kind, enum reply_action action,
                   struct note *note)
{
    bool expected =
        replies_expect(&client->server->replies, &client_replies, client, kind, action, note);
    assert(expected || note == NULL); /* nothing is rewritten while the server skips */
}

static void send_header(struct client *client, char kind, size_t body_len)
{
    char header[MESSAGE_HEADER];
    header[0] = kind;
    store_u32(header + 1, (uint32_t)(body_len + 4));
    batch_copy(to_server(client), header, sizeof header);
}

static void send_parse(struct client *client, const char *name, size_t name_len, const char *body,
                       size_t len)
{
    send_header(client, FE_PARSE, name_len + 1 + len);
    batch_copy(to_server(client), name, name_len + 1);
    batch_copy(to_server(client), body, len);
    client->part->stats.server_parses++;
}

static uint32_t epoch(const struct client *client)
{
    return atomic_load_explicit(&client->part->pool->plan_epoch, memory_order_relaxed);
}

/* A note of a Parse or Close that goes to the server. */
static struct note *change_server(struct client *client, enum note_kind kind, struct name *name,
                                  struct statement *statement)
{
    struct note *note = new_note(client, kind, name, statement);
    note->on_server = true;
    statement_set_change(&client->server->prepared, table_of(client), statement, client->batch,
                         epoch(client));
    return note;
}

static void close_on_server(struct client *client, struct statement *statement)
{
    struct note *note = change_server(client, NOTE_EVICT, NULL, statement);
    send_header(client, FE_CLOSE, 1 + note->statement->name_len + 1);
    batch_copy(to_server(client), "S", 1);
    batch_copy(to_server(client), note->statement->name, note->statement->name_len + 1);
    expect(client, REPLY_CLOSE, REPLY_SWALLOW, note);
}

/* Makes room on the server for one more. */
static void evict(struct client *client)
{
    struct server *server = client->server;
    int most = client->worker->pool.settings->max_prepared_statements;
    struct statement *oldest;
    while (server->prepared.count >= (uint32_t)most &&
           (oldest = statement_set_oldest(&server->prepared)) != NULL)
        close_on_server(client, oldest);
}

static uint64_t environment(const struct client *client)
{
    return params_environment(client->params);
}

/* The statement of a name that the server has not got is parsed under the present settings, as a
 * plan that has become invalid is. */
static struct statement *renew(struct client *client, struct name *name)
{
    struct statement *old = name->statement;
    if (old->environment == environment(client))
        return old;
    struct statement *renewed =
        statement_intern(table_of(client), old->body, old->len, environment(client));
    set_statement(client, name, renewed);
    statement_unref(table_of(client), renewed);
    return renewed;
}

/* What is there but of no use any more is closed at once. */
static enum statement_presence presence(struct client *client, struct statement *statement)
{
    enum statement_presence there =
        statement_set_find(&client->server->prepared, statement, client->batch, epoch(client));
    if (there != STATEMENT_STALE)
        return there;
    close_on_server(client, statement);
    return STATEMENT_ABSENT;
}

/* Parse, for the client or for a use of it that follows. */
static void prepare(struct client *client, enum note_kind kind, struct name *name,
                    struct statement *statement)
{
    evict(client);
    struct note *note = change_server(client, kind, name, statement);
    client->server->parses = true;
    send_parse(client, statement->name, statement->name_len, statement->body, statement->len);
    expect(client, REPLY_PARSE, kind == NOTE_INJECT ? REPLY_INJECT : REPLY_FORWARD, note);
}

static struct note *error_note(struct client *client, const struct err *err)
{
    struct note *note = new_note(client, NOTE_ERROR, NULL, NULL);
    note->err = mem_dup(err, sizeof *err);
    return note;
}

bool names_error_is_other(void *noted, const char *body, size_t len)
{
    struct note *note = noted;
    struct err err;
    const char *severity;
    response_parse(body, len, &err, &severity);
    if (strcmp(err.sqlstate, note->err->sqlstate) == 0)
        return false;
    mem_free(note->err);
    note->err = NULL;
    return true;
}

/* A Bind of a statement that cannot exist: no client's Parse ever gets this name. */
static void expect_error(struct client *client, const struct err *err)
{
    static const char bind[] = "\0" STATEMENT_PREFIX "none\0\0\0\0\0\0";
    struct note *note = error_note(client, err);
    send_header(client, FE_BIND, sizeof bind);
    batch_copy(to_server(client), bind, sizeof bind);
    expect(client, REPLY_BIND, REPLY_REPLACE, note);
}

/* ---- messages ---- */

/* How many bytes the whole message has. */
static size_t total_of(const char *at)
{
    return 1 + (size_t)load_u32(at + 1);
}

static size_t present(const char *at, size_t left)
{
    size_t total = total_of(at);
    return left < total ? left : total;
}

static void no_such_statement(struct client *client, const char *text)
{
    struct err err;
    if (text[0] != '\0')
        err_set(&err, SQLSTATE_INVALID_STATEMENT_NAME,
                "prepared statement \"%.200s\" does not exist", text);
    else
        err_set(&err, SQLSTATE_INVALID_STATEMENT_NAME, "unnamed prepared statement does not exist");
    expect_error(client, &err);
}

void names_keep_unnamed(struct client *client, const char *body, size_t len)
{
    struct unnamed *unnamed = client->unnamed;
    if (unnamed == NULL || unnamed->cap < len) {
        client->unnamed = unnamed = mem_resize(unnamed, sizeof *unnamed + len);
        unnamed->cap = len;
    }
    memcpy(unnamed->body, body, len);
    unnamed->len = len;
}

/* Parse of the unnamed statement goes through as it is, but we keep a copy, for a later transaction
 * that may run on another server.  One that is too long for that can be used in this one only. */
static enum names_step parse_unnamed(struct client *client, const char *at, size_t left)
{
    size_t len = total_of(at) - MESSAGE_HEADER - 1;
    bool kept = len <= LIMIT_KEPT_STATEMENT;
    if (left < total_of(at) && kept)
        return NAMES_MORE;
    if (kept)
        names_keep_unnamed(client, at + MESSAGE_HEADER + 1, len);
    else if (client->unnamed != NULL)
        client->unnamed->len = 0;
    client->unnamed_here = true;
    client->unnamed_batch = client->batch;
    return NAMES_PASS;
}

void names_drop_unnamed(struct client *client)
{
    if (client->unnamed != NULL)
        client->unnamed->len = 0;
    client->unnamed_here = false;
}

void *names_unnamed_note_of(struct client *client)
{
    client->unnamed_pending++;
    return &names_unnamed_note;
}

/* Of a Parse that we have put in front: whatever becomes of it, the client's statement is what it was. */
static void *again_note_of(struct client *client)
{
    client->unnamed_pending++;
    return &names_again_note;
}

/* The Parse of an unnamed statement has failed or was skipped: what we have kept of it is not there,
 * unless it is that of a later batch already.  What was there before a skipped one is lost, too: better
 * an error than another statement. */
void names_unnamed_settled(struct client *client, const void *note, enum reply_outcome outcome)
{
    client->unnamed_pending--;
    if (note == &names_again_note || outcome == REPLY_DONE || client->server == NULL)
        return;
    if (client->unnamed_batch == client->batch - replies_count_syncs(&client->server->replies))
        names_drop_unnamed(client);
}

/* REWRITTEN: the statement of the name is on the server. */
static enum names_step provide(struct client *client, struct name *name,
                               struct statement **statement)
{
    struct statement *found = name->statement;
    enum statement_presence there = presence(client, found);
    if (there == STATEMENT_ABSENT) {
        found = renew(client, name);
        there = presence(client, found);
    }
    if (there == STATEMENT_UNCERTAIN)
        return NAMES_STALL;
    if (there == STATEMENT_ABSENT)
        prepare(client, NOTE_INJECT, NULL, found);
    *statement = found;
    return NAMES_REWRITTEN;
}

/* PostgreSQL looks at the text first and at the name then: it gets the text under a name that it has. */
static enum names_step duplicate(struct client *client, struct name *name,
                                 const struct reader *body)
{
    struct statement *taken;
    struct err err;
    enum names_step step = provide(client, name, &taken);
    if (step != NAMES_REWRITTEN)
        return step;
    err_set(&err, SQLSTATE_DUPLICATE_STATEMENT, "prepared statement \"%.200s\" already exists",
            name->text);
    send_header(client, FE_PARSE, taken->name_len + 1 + reader_left(body));
    batch_copy(to_server(client), taken->name, taken->name_len + 1);
    batch_slice(to_server(client), body->pos, reader_left(body));
    expect(client, REPLY_PARSE, REPLY_REPLACE, error_note(client, &err));
    return NAMES_REWRITTEN;
}

static enum names_step add_name(struct client *client, const char *text,
                                struct statement *statement)
{
    enum statement_presence there = presence(client, statement);
    if (there == STATEMENT_UNCERTAIN)
        return NAMES_STALL;
    struct name *name = get(client, text);
    set_statement(client, name, statement);
    client->part->stats.client_parses++;
    if (there == STATEMENT_PRESENT)
        expect(client, REPLY_PARSE, REPLY_FAKE, new_note(client, NOTE_ADD, name, statement));
    else
        prepare(client, NOTE_ADD, name, statement);
    return NAMES_REWRITTEN;
}

enum names_step names_parse(struct client *client, const char *at, size_t left, size_t *used)
{
    size_t total = total_of(at);
    if (left <= MESSAGE_HEADER)
        return NAMES_MORE;
    if (at[MESSAGE_HEADER] == '\0')
        return parse_unnamed(client, at, left);
    if (!renames(client))
        return NAMES_PASS;
    if (left < total)
        return NAMES_MORE;
    *used = total;
    struct reader reader = reader_of(at + MESSAGE_HEADER, total - MESSAGE_HEADER);
    const char *text = read_cstr(&reader);
    if (reader.bad)
        return NAMES_PASS; /* for PostgreSQL to complain about */
    struct name *name = find(client, text);
    if (is_uncertain(client, name))
        return NAMES_STALL;
    if (name != NULL && name->statement != NULL)
        return duplicate(client, name, &reader);
    struct statement *statement =
        statement_intern(table_of(client), reader.pos, reader_left(&reader), environment(client));
    enum names_step step = add_name(client, text, statement);
    statement_unref(table_of(client), statement);
    return step;
}

/* Use of the unnamed statement: the server must have ours, not somebody else's. */
static enum names_step use_unnamed(struct client *client)
{
    if (client->unnamed_pending > 0 && client->batch != client->unnamed_batch)
        return NAMES_STALL; /* whether its Parse has worked is not known yet */
    if (client->unnamed_here)
        return NAMES_PASS;
    const struct unnamed *unnamed = client->unnamed;
    if (unnamed == NULL || unnamed->len == 0) {
        no_such_statement(client, "");
        return NAMES_DROP;
    }
    send_parse(client, "", 0, unnamed->body, unnamed->len);
    replies_expect(&client->server->replies, &client_replies, client, REPLY_PARSE, REPLY_INJECT,
                   again_note_of(client));
    client->unnamed_here = true;
    client->unnamed_batch = client->batch;
    return NAMES_PASS;
}

/* Finds the statement that a message uses; REWRITTEN means: *statement is on the server. */
static enum names_step use(struct client *client, const char *text, struct statement **statement)
{
    struct name *name = find(client, text);
    if (is_uncertain(client, name))
        return NAMES_STALL;
    if (name == NULL || name->statement == NULL) {
        no_such_statement(client, text);
        return NAMES_DROP;
    }
    return provide(client, name, statement);
}

enum names_step names_bind(struct client *client, const char *at, size_t left, size_t *used)
{
    size_t here = present(at, left);
    struct reader reader = reader_of(at + MESSAGE_HEADER, here - MESSAGE_HEADER);
    const char *portal = read_cstr(&reader);
    const char *text = read_cstr(&reader);
    struct statement *statement = NULL;
    if (reader.bad && here < total_of(at) && here < 2 * LIMIT_STATEMENT_NAME)
        return NAMES_MORE;
    *used = here;
    client->part->stats.binds++;
    if (reader.bad || (text[0] != '\0' && !renames(client)))
        return NAMES_PASS; /* for PostgreSQL to complain about, or to use as it is */
    enum names_step step = text[0] == '\0' ? use_unnamed(client) : use(client, text, &statement);
    if (step != NAMES_REWRITTEN)
        return step;
    size_t portal_len = strlen(portal) + 1;
    size_t names_len = (size_t)(reader.pos - at) - MESSAGE_HEADER;
    size_t rest = total_of(at) - MESSAGE_HEADER - names_len;
    send_header(client, FE_BIND, portal_len + statement->name_len + 1 + rest);
    batch_copy(to_server(client), portal, portal_len);
    batch_copy(to_server(client), statement->name, statement->name_len + 1);
    batch_slice(to_server(client), reader.pos, here - MESSAGE_HEADER - names_len);
    expect(client, REPLY_BIND, REPLY_FORWARD, NULL);
    return NAMES_REWRITTEN;
}

/* Describe and Close: a kind byte and a name; both messages are small and needed whole. */
static enum names_step read_target(const char *at, size_t left, size_t *used, const char **text)
{
    size_t total = total_of(at);
    if (left < total)
        return NAMES_MORE;
    *used = total;
    struct reader reader = reader_of(at + MESSAGE_HEADER, total - MESSAGE_HEADER);
    uint8_t kind = read_u8(&reader);
    *text = read_cstr(&reader);
    if (reader.bad || reader_left(&reader) > 0 || kind != 'S')
        return NAMES_PASS; /* a portal, or for PostgreSQL to complain about */
    return NAMES_REWRITTEN;
}

enum names_step names_describe(struct client *client, const char *at, size_t left, size_t *used)
{
    const char *text;
    struct statement *statement = NULL;
    enum names_step step = read_target(at, left, used, &text);
    if (step != NAMES_REWRITTEN)
        return step;
    if (text[0] == '\0')
        return use_unnamed(client);
    if (!renames(client))
        return NAMES_PASS;
    step = use(client, text, &statement);
    if (step != NAMES_REWRITTEN)
        return step;
    send_header(client, FE_DESCRIBE, 1 + statement->name_len + 1);
    batch_copy(to_server(client), "S", 1);
    batch_copy(to_server(client), statement->name, statement->name_len + 1);
    expect(client, REPLY_DESCRIBE, REPLY_FORWARD, NULL);
    return NAMES_REWRITTEN;
}

enum names_step names_close(struct client *client, const char *at, size_t left, size_t *used)
{
    const char *text;
    enum names_step step = read_target(at, left, used, &text);
    if (step != NAMES_REWRITTEN)
        return step;
    if (text[0] == '\0') {
        names_drop_unnamed(client);
        return NAMES_PASS;
    }
    if (!renames(client))
        return NAMES_PASS;
    struct name *name = find(client, text);
    if (is_uncertain(client, name))
        return NAMES_STALL;
    struct note *note = NULL;
    if (name != NULL && name->statement != NULL) {
        note = new_note(client, NOTE_REMOVE, name, name->statement);
        set_statement(client, name, NULL);
    }
    /* The server keeps it: others may use it, and the oldest give way when room is needed. */
    expect(client, REPLY_CLOSE, REPLY_FAKE, note);
    return NAMES_REWRITTEN;
}

/* ---- from process to process ---- */

bool names_next(const struct client *client, uint32_t *at, const char **text,
                const struct statement **statement)
{
    const struct name *name;
    while ((name = (const struct name *)map_next(&client->names, at)) != NULL) {
        if (name->statement == NULL)
            continue;
        *text = name->text;
        *statement = name->statement;
        return true;
    }
    return false;
}

/* Whatever the settings were when it was parsed: a server that lacks it parses it under the present
 * ones, see renew(), and none of this process has it. */
void names_add(struct client *client, const char *text, const char *body, size_t len)
{
    struct statement *statement =
        statement_intern(table_of(client), body, len, environment(client));
    set_statement(client, get(client, text), statement);
    statement_unref(table_of(client), statement);
}
