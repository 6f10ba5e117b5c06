#include "session/names.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/undo.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/client.h"
#include "session/naming.h"
#include "session/script.h"
#include "session/sql_names.h"
#include "session/state.h"
#include "session/worker.h"

char names_parameters_note, names_unnamed_note, names_again_note;

struct statement_table *naming_table(const struct client *client)
{
    return client->worker->proxy->pools->statements;
}

/* With max_prepared_statements = 0 names go through as they are, but for clients that have had theirs
 * before that was set; the unnamed statement is still the client's own. */
bool naming_renames(const struct client *client)
{
    return !client->own_names &&
           (client->worker->pool.settings->max_prepared_statements > 0 || client->names.count > 0);
}

/* ---- the map ---- */

static bool same_name(const struct map_entry *entry, const void *text)
{
    return strcmp(((const struct name *)entry)->text, text) == 0;
}

struct name *naming_find(const struct client *client, const char *text)
{
    if (client->names.count == 0)
        return NULL;
    return (struct name *)map_find(&client->names, hash_bytes(text, strlen(text)), same_name, text);
}

struct name *naming_get(struct client *client, const char *text)
{
    struct name *name = naming_find(client, text);
    if (name != NULL)
        return name;
    size_t len = strlen(text);
    name = mem_new(sizeof *name + len + 1);
    memcpy(name->text, text, len + 1);
    name->entry.hash = hash_bytes(text, len);
    map_add(&client->names, &name->entry);
    return name;
}

void naming_forget_if_unused(struct client *client, struct name *name)
{
    if (name->statement != NULL || name->pending > 0)
        return;
    map_remove(&client->names, &name->entry);
    mem_free(name);
}

/* Does it depend on a reply of an earlier batch that has not come? */
bool naming_is_uncertain(const struct client *client, const struct name *name)
{
    return name != NULL && name->pending > 0 && name->batch != client->batch;
}

void naming_set(struct client *client, struct name *name, struct statement *statement)
{
    statement_unref(naming_table(client), name->statement);
    name->statement = statement != NULL ? statement_ref(naming_table(client), statement) : NULL;
    client->names_version++;
}

/* Changes whose reply is to come stand behind what has ended all others. */
void naming_clear(struct client *client)
{
    struct map kept = {0};
    uint32_t at = 0;
    struct name *name;
    while ((name = (struct name *)map_next(&client->names, &at)) != NULL) {
        if (name->pending > 0) {
            map_add(&kept, &name->entry);
            continue;
        }
        naming_set(client, name, NULL);
        mem_free(name);
    }
    map_done(&client->names);
    client->names = kept;
    client->names_version++;
}

void names_clear(struct client *client)
{
    naming_clear(client);
    client->own_names = false;
    names_drop_unnamed(client);
    sql_names_unbind(client);
}

/* ---- notes ---- */

struct note *naming_note(struct client *client, enum note_kind kind, struct name *name,
                         struct statement *statement)
{
    struct note *note = mem_new(sizeof *note);
    note->kind = kind;
    note->name = name;
    note->server = client->server;
    if (statement != NULL)
        note->statement = statement_ref(naming_table(client), statement);
    if (name != NULL) {
        name->pending++;
        name->batch = client->batch;
    }
    return note;
}

static void undo(struct client *client, struct note *note)
{
    if (note->kind == NOTE_ADD)
        naming_set(client, note->name, NULL);
    else if (note->kind == NOTE_REMOVE)
        naming_set(client, note->name, note->statement);
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
        note->server->undo |= UNDO_STATEMENTS;
    else if (note->on_server)
        statement_set_settle(&note->server->prepared, naming_table(client), note->statement,
                             outcome == REPLY_DONE);
    if (outcome != REPLY_DONE)
        undo(client, note);
    if (note->err != NULL && outcome == REPLY_FAILED)
        say_error(client, note->err);
    if (note->kind == NOTE_SCRIPT)
        sql_names_settled(client, note);
    if (note->name != NULL) {
        note->name->pending--;
        naming_forget_if_unused(client, note->name);
    }
    statement_unref(naming_table(client), note->statement);
    mem_free(note->err);
    mem_free(note);
}

/* ---- what goes to the server ---- */

struct batch *naming_out(struct client *client)
{
    return &client->worker->to_server;
}

void naming_expect(struct client *client, enum reply_kind kind, enum reply_action action,
                   struct note *note)
{
    bool expected =
        replies_expect(&client->server->replies, &client_replies, client, kind, action, note);
    assert(expected || note == NULL); /* nothing is rewritten while the server skips */
}

void naming_send_header(struct client *client, char kind, size_t body_len)
{
    char header[MESSAGE_HEADER];
    header[0] = kind;
    store_u32(header + 1, (uint32_t)(body_len + 4));
    batch_copy(naming_out(client), header, sizeof header);
}

void naming_send_parse(struct client *client, const char *name, size_t name_len, const char *body,
                       size_t len)
{
    naming_send_header(client, FE_PARSE, name_len + 1 + len);
    batch_copy(naming_out(client), name, name_len + 1);
    batch_copy(naming_out(client), body, len);
    client->part->stats.server_parses++;
}

/* Describe and Close. */
static void send_target(struct client *client, char message, char kind, const char *name)
{
    size_t len = strlen(name) + 1;
    naming_send_header(client, message, 1 + len);
    batch_copy(naming_out(client), &kind, 1);
    batch_copy(naming_out(client), name, len);
}

void naming_close_name(struct client *client, char kind, const char *name)
{
    send_target(client, FE_CLOSE, kind, name);
    naming_expect(client, REPLY_CLOSE, REPLY_SWALLOW, NULL);
}

static uint32_t epoch(const struct client *client)
{
    return atomic_load_explicit(&client->part->pool->plan_epoch, memory_order_relaxed);
}

void naming_change_here(struct client *client, struct statement *statement)
{
    statement_set_change(&client->server->prepared, naming_table(client), statement, client->batch,
                         epoch(client));
}

/* A note of a Parse or Close that goes to the server. */
static struct note *change_server(struct client *client, enum note_kind kind, struct name *name,
                                  struct statement *statement)
{
    struct note *note = naming_note(client, kind, name, statement);
    note->on_server = true;
    naming_change_here(client, statement);
    return note;
}

void naming_close_on_server(struct client *client, struct statement *statement)
{
    struct note *note = change_server(client, NOTE_EVICT, NULL, statement);
    send_target(client, FE_CLOSE, 'S', note->statement->name);
    naming_expect(client, REPLY_CLOSE, REPLY_SWALLOW, note);
}

/* Makes room on the server for one more, however long that is. */
void naming_make_room(struct client *client)
{
    struct server *server = client->server;
    int most = client->worker->pool.settings->max_prepared_statements;
    struct statement *oldest;
    while ((server->prepared.count >= (uint32_t)most ||
            server->prepared.bytes > LIMIT_PREPARED_TEXTS) &&
           (oldest = statement_set_oldest(&server->prepared)) != NULL)
        naming_close_on_server(client, oldest);
}

uint64_t naming_environment(const struct client *client)
{
    return params_environment(client->params);
}

/* The statement of a name that the server has not got is parsed under the present settings, as a
 * plan that has become invalid is. */
struct statement *naming_renew(struct client *client, struct name *name)
{
    struct statement *old = name->statement;
    if (old->environment == naming_environment(client))
        return old;
    struct statement *renewed =
        statement_intern(naming_table(client), old->body, old->len, naming_environment(client));
    naming_set(client, name, renewed);
    statement_unref(naming_table(client), renewed);
    return renewed;
}

/* What is there but of no use any more is closed at once. */
enum statement_presence naming_presence(struct client *client, struct statement *statement)
{
    enum statement_presence there =
        statement_set_find(&client->server->prepared, statement, client->batch, epoch(client));
    if (there != STATEMENT_STALE)
        return there;
    naming_close_on_server(client, statement);
    return STATEMENT_ABSENT;
}

/* Parse, for the client or for a use of it that follows. */
static void parse(struct client *client, enum note_kind kind, struct name *name,
                  struct statement *statement)
{
    struct note *note = change_server(client, kind, name, statement);
    naming_send_parse(client, statement->name, statement->name_len, statement->body,
                      statement->len);
    naming_expect(client, REPLY_PARSE, kind == NOTE_INJECT ? REPLY_INJECT : REPLY_FORWARD, note);
}

/* By messages, as a simple query would end the implicit transaction that this may be in; with names of
 * our own, as the unnamed ones are the client's. */
static void prepare_by_sql(struct client *client, const char *name,
                           const struct statement *statement, struct note *note)
{
    static const char own[] = STATEMENT_PREFIX "do";
    static const char bind[] = STATEMENT_PREFIX "do\0" STATEMENT_PREFIX "do\0\0\0\0\0\0";
    struct buf body = BUF_NONE;
    buf_append_str(&body, "PREPARE ");
    params_quote_name(&body, name);
    buf_append(&body, statement->body, statement->len);
    buf_append_u16(&body, 0);
    naming_close_name(client, 'S', own);
    naming_send_parse(client, own, sizeof own - 1, body.data, body.len);
    buf_done(&body);
    naming_expect(client, REPLY_PARSE, REPLY_INJECT, NULL);
    naming_send_header(client, FE_BIND, sizeof bind);
    batch_copy(naming_out(client), bind, sizeof bind);
    naming_expect(client, REPLY_BIND, REPLY_INJECT, NULL);
    naming_send_header(client, FE_EXECUTE, sizeof own + 4);
    batch_copy(naming_out(client), own, sizeof own);
    batch_copy(naming_out(client), "\0\0\0", 4);
    naming_expect(client, REPLY_EXECUTE, REPLY_INJECT, note);
    naming_close_name(client, 'P', own);
    naming_close_name(client, 'S', own);
}

void naming_inject(struct client *client, struct statement *statement)
{
    client->server->parses = true;
    if (statement_is_by_sql(statement))
        prepare_by_sql(client, statement->name, statement,
                       change_server(client, NOTE_INJECT, NULL, statement));
    else
        parse(client, NOTE_INJECT, NULL, statement);
}

void naming_inject_as(struct client *client, const char *name, const struct statement *statement)
{
    if (statement_is_by_sql(statement)) {
        prepare_by_sql(client, name, statement, NULL);
        return;
    }
    naming_send_parse(client, name, strlen(name), statement->body, statement->len);
    naming_expect(client, REPLY_PARSE, REPLY_INJECT, NULL);
}

static struct note *error_note(struct client *client, const struct err *err, const char *expected)
{
    struct note *note = naming_note(client, NOTE_ERROR, NULL, NULL);
    note->expected = expected;
    note->err = mem_dup(err, sizeof *err);
    return note;
}

bool names_error_is_other(void *noted, const char *body, size_t len)
{
    struct note *note = noted;
    struct err err;
    const char *severity;
    response_parse(body, len, &err, &severity);
    if (strcmp(err.sqlstate, note->expected) == 0)
        return false;
    mem_free(note->err);
    note->err = NULL;
    return true;
}

/* A Bind of a statement that cannot exist: no client's Parse ever gets this name. */
void naming_expect_error(struct client *client, const struct err *err)
{
    static const char bind[] = "\0" STATEMENT_PREFIX "none\0\0\0\0\0\0";
    struct note *note = error_note(client, err, SQLSTATE_INVALID_STATEMENT_NAME);
    naming_send_header(client, FE_BIND, sizeof bind);
    batch_copy(naming_out(client), bind, sizeof bind);
    naming_expect(client, REPLY_BIND, REPLY_REPLACE, note);
}

void names_refuse_query(struct client *client, const struct err *err)
{
    naming_expect_error(client, err);
    naming_send_header(client, FE_SYNC, 0);
    client->batch++;
    naming_expect(client, REPLY_SYNC, REPLY_FORWARD, NULL);
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
    naming_expect_error(client, &err);
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
    atomic_store_explicit(&unnamed->glance, 0, memory_order_relaxed);
    sql_names_drop_unnamed(client);
}

/* Parse of the unnamed statement goes through as it is, but we keep a copy, for a later transaction
 * that may run on another server.  One that is too long for that can be used in this one only. */
static enum names_step parse_unnamed(struct client *client, const char *at, size_t left,
                                     size_t *used)
{
    size_t len = total_of(at) - MESSAGE_HEADER - 1;
    bool kept = len <= LIMIT_KEPT_STATEMENT;
    if (left < total_of(at) && kept)
        return NAMES_MORE;
    if (!kept) {
        names_drop_unnamed(client);
    } else {
        names_keep_unnamed(client, at + MESSAGE_HEADER + 1, len);
        state_parse(client, &client->unnamed->glance, client->unnamed->body, len);
        *used = total_of(at);
        enum names_step step = sql_names_unnamed(client, REPLY_FORWARD);
        client->part->stats.client_parses += step == NAMES_REWRITTEN;
        if (step != NAMES_PASS)
            return step;
    }
    client->unnamed_here = true;
    client->unnamed_batch = client->batch;
    return NAMES_PASS;
}

void names_drop_unnamed(struct client *client)
{
    if (client->unnamed != NULL)
        client->unnamed->len = 0;
    client->unnamed_here = false;
    sql_names_drop_unnamed(client);
}

void *names_note_of_unnamed(struct client *client, bool again)
{
    client->unnamed_pending++;
    return again ? &names_again_note : &names_unnamed_note;
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
    enum statement_presence there = naming_presence(client, found);
    if (there == STATEMENT_ABSENT) {
        found = naming_renew(client, name);
        there = naming_presence(client, found);
    }
    if (there == STATEMENT_UNCERTAIN)
        return NAMES_STALL;
    if (there == STATEMENT_ABSENT) {
        naming_make_room(client);
        naming_inject(client, found);
    }
    *statement = found;
    return NAMES_REWRITTEN;
}

bool naming_may_use(struct client *client, struct statement *statement, const struct reader *values,
                    struct err *err)
{
    size_t at = statement_is_by_sql(statement) ? script_query_in(statement->body) : 0;
    return !state_is_tracked(client) || state_use(client, &statement->glance, statement->body + at,
                                                  statement->len - at, values, err);
}

static bool use_statement(struct client *client, struct statement *statement,
                          const struct reader *values)
{
    struct err err;
    if (naming_may_use(client, statement, values, &err))
        return true;
    naming_expect_error(client, &err);
    return false;
}

/* A use of a text may do something to the session.  False: it may not, and fails. */
static bool use_text(struct client *client, atomic_uchar *kept, const char *text, size_t len,
                     const struct reader *values)
{
    struct err err;
    if (!state_is_tracked(client) || state_use(client, kept, text, len, values, &err))
        return true;
    naming_expect_error(client, &err);
    return false;
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
    naming_send_header(client, FE_PARSE, taken->name_len + 1 + reader_left(body));
    batch_copy(naming_out(client), taken->name, taken->name_len + 1);
    batch_slice(naming_out(client), body->pos, reader_left(body));
    naming_expect(client, REPLY_PARSE, REPLY_REPLACE,
                  error_note(client, &err, SQLSTATE_DUPLICATE_STATEMENT));
    return NAMES_REWRITTEN;
}

static void add_on_server(struct client *client, struct name *name, struct statement *statement)
{
    naming_make_room(client);
    client->server->parses = true;
    parse(client, NOTE_ADD, name, statement);
}

static enum names_step add_name(struct client *client, const char *text,
                                struct statement *statement)
{
    enum statement_presence there = naming_presence(client, statement);
    if (there == STATEMENT_UNCERTAIN)
        return NAMES_STALL;
    if (there == STATEMENT_PRESENT && client->server->txn == TXN_FAILED) {
        naming_close_on_server(client,
                               statement); /* PostgreSQL says whether it may be parsed now */
        there = STATEMENT_ABSENT;
    }
    struct name *name = naming_get(client, text);
    naming_set(client, name, statement);
    client->part->stats.client_parses++;
    if (there == STATEMENT_PRESENT)
        naming_expect(client, REPLY_PARSE, REPLY_FAKE,
                      naming_note(client, NOTE_ADD, name, statement));
    else
        add_on_server(client, name, statement);
    return NAMES_REWRITTEN;
}

enum names_step names_parse(struct client *client, const char *at, size_t left, size_t *used)
{
    size_t total = total_of(at);
    if (left <= MESSAGE_HEADER)
        return NAMES_MORE;
    if (at[MESSAGE_HEADER] == '\0')
        return parse_unnamed(client, at, left, used);
    if (left < total)
        return NAMES_MORE;
    struct reader reader = reader_of(at + MESSAGE_HEADER, total - MESSAGE_HEADER);
    const char *text = read_cstr(&reader);
    if (reader.bad)
        return NAMES_PASS; /* for PostgreSQL to complain about */
    if (!naming_renames(client)) {
        *used = total;
        return use_text(client, NULL, reader.pos, reader_left(&reader), NULL) ? NAMES_PASS
                                                                              : NAMES_DROP;
    }
    *used = total;
    if (reader_left(&reader) < 2 || memchr(reader.pos, '\0', reader_left(&reader) - 2) == NULL)
        return NAMES_PASS; /* for PostgreSQL to complain about */
    struct name *name = naming_find(client, text);
    if (naming_is_uncertain(client, name))
        return NAMES_STALL;
    enum names_step own = sql_names_parse(client, reader.pos, reader_left(&reader));
    if (own != NAMES_PASS || client->own_names)
        return own;
    if (name != NULL && name->statement != NULL)
        return duplicate(client, name, &reader);
    struct statement *statement = statement_intern(
        naming_table(client), reader.pos, reader_left(&reader), naming_environment(client));
    state_parse(client, &statement->glance, statement->body, statement->len);
    enum names_step step = add_name(client, text, statement);
    statement_unref(naming_table(client), statement);
    return step;
}

/* Use of the unnamed statement: the server must have ours, not somebody else's. */
static enum names_step use_unnamed(struct client *client)
{
    if (client->unnamed_pending > 0 && client->batch != client->unnamed_batch)
        return NAMES_STALL; /* whether its Parse has worked is not known yet */
    enum names_step step = sql_names_unnamed(client, REPLY_INJECT);
    if (step != NAMES_PASS)
        return step == NAMES_REWRITTEN ? NAMES_PASS : step;
    if (client->unnamed_here)
        return NAMES_PASS;
    const struct unnamed *unnamed = client->unnamed;
    if (unnamed == NULL || unnamed->len == 0) {
        no_such_statement(client, "");
        return NAMES_DROP;
    }
    naming_send_parse(client, "", 0, unnamed->body, unnamed->len);
    replies_expect(&client->server->replies, &client_replies, client, REPLY_PARSE, REPLY_INJECT,
                   names_note_of_unnamed(client, true));
    client->unnamed_here = true;
    client->unnamed_batch = client->batch;
    return NAMES_PASS;
}

static bool use_kept(struct client *client, const struct reader *values)
{
    struct unnamed *unnamed = client->unnamed;
    if (unnamed == NULL || unnamed->len == 0)
        return use_text(client, NULL, NULL, 0, values);
    return use_text(client, &unnamed->glance, unnamed->body, unnamed->len, values);
}

/* Finds the statement that a message uses; REWRITTEN means: *statement is on the server. */
static enum names_step use(struct client *client, const char *text, struct statement **statement)
{
    struct name *name = naming_find(client, text);
    if (naming_is_uncertain(client, name))
        return NAMES_STALL;
    if (name == NULL || name->statement == NULL) {
        no_such_statement(client, text);
        return NAMES_DROP;
    }
    return provide(client, name, statement);
}

static enum names_step bind_unnamed(struct client *client, const char *portal)
{
    enum names_step step = use_unnamed(client);
    if (step != NAMES_PASS)
        return step;
    step = sql_names_bind(client, portal);
    return step == NAMES_PASS && !client->unnamed_here ? use_unnamed(client) : step;
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
    sql_names_unbind(client);
    if (reader.bad || (text[0] != '\0' && !naming_renames(client)))
        return NAMES_PASS; /* for PostgreSQL to complain about, or to use as it is */
    enum names_step step =
        text[0] == '\0' ? bind_unnamed(client, portal) : use(client, text, &statement);
    if (step == NAMES_PASS && !use_kept(client, &reader))
        return NAMES_DROP;
    if (step != NAMES_REWRITTEN)
        return step;
    assert(statement != NULL);
    if (!use_statement(client, statement, &reader))
        return NAMES_DROP;
    size_t portal_len = strlen(portal) + 1;
    size_t names_len = (size_t)(reader.pos - at) - MESSAGE_HEADER;
    size_t rest = total_of(at) - MESSAGE_HEADER - names_len;
    naming_send_header(client, FE_BIND, portal_len + statement->name_len + 1 + rest);
    batch_copy(naming_out(client), portal, portal_len);
    batch_copy(naming_out(client), statement->name, statement->name_len + 1);
    batch_slice(naming_out(client), reader.pos, here - MESSAGE_HEADER - names_len);
    naming_expect(client, REPLY_BIND, REPLY_FORWARD, NULL);
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
    if (!naming_renames(client))
        return NAMES_PASS;
    step = use(client, text, &statement);
    if (step != NAMES_REWRITTEN)
        return step;
    assert(statement != NULL);
    send_target(client, FE_DESCRIBE, 'S', statement->name);
    naming_expect(client, REPLY_DESCRIBE, REPLY_FORWARD, NULL);
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
    if (!naming_renames(client))
        return NAMES_PASS;
    struct name *name = naming_find(client, text);
    if (naming_is_uncertain(client, name))
        return NAMES_STALL;
    struct note *note = NULL;
    if (name != NULL && name->statement != NULL) {
        note = naming_note(client, NOTE_REMOVE, name, name->statement);
        naming_set(client, name, NULL);
    }
    /* The server keeps it: others may use it, and the oldest give way when room is needed. */
    naming_expect(client, REPLY_CLOSE, REPLY_FAKE, note);
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
 * ones, see naming_renew(), and none of this process has it. */
void names_add(struct client *client, const char *text, const char *body, size_t len)
{
    struct statement *statement =
        statement_intern(naming_table(client), body, len, naming_environment(client));
    naming_set(client, naming_get(client, text), statement);
    client->uses_sql_names |= statement_is_by_sql(statement);
    statement_unref(naming_table(client), statement);
}
