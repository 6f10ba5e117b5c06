#include "session/sql_names.h"

#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/batch.h"
#include "pool/server.h"
#include "pool/undo.h"
#include "proto/message.h"
#include "session/client.h"
#include "session/naming.h"
#include "session/pins.h"
#include "session/script.h"
#include "session/state.h"
#include "session/worker.h"
#include "sql/facts.h"

bool sql_names_are_followed(const struct client *client)
{
    return state_is_tracked(client) && !client_in_session_mode(client) && naming_renames(client);
}

/* ---- what cannot be followed ---- */

static bool has_word(const char *text, size_t len)
{
    static const char *const words[] = {"prepare", "execute", "deallocate"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (script_contains(text, len, words[i]))
            return true;
    }
    return false;
}

/* Most texts that cannot be parsed are wrong: the server will say so. */
static bool is_unseen(const struct client *client, const struct sql_facts *facts, const char *text,
                      size_t len)
{
    size_t most = (size_t)client->worker->pool.settings->max_parse_length;
    return (facts->effects & SQL_UNPARSED) != 0 && (len > most || memchr(text, ';', len) != NULL);
}

static bool sets_unknown(const struct sql_statement *statement)
{
    bool unknown = (statement->effects & SQL_SETS_UNKNOWN) != 0;
    for (uint32_t i = 0; i < statement->n_settings; i++)
        unknown |= statement->settings[i].name == NULL;
    return unknown;
}

static bool is_too_much(const struct sql_statement *statement, bool alone)
{
    if ((statement->effects & SQL_PREPARES) != 0)
        return sets_unknown(statement);
    return !alone && (statement->effects & SQL_DEALLOCATES) != 0 && statement->ident == NULL;
}

/* Code that runs names is seen as text only. */
static bool may_run_names(const struct client *client, const struct sql_facts *facts,
                          const char *text, size_t len)
{
    if (!client->uses_sql_names)
        return false;
    bool code = is_unseen(client, facts, text, len);
    for (uint32_t i = 0; i < facts->n_statements; i++)
        code |= facts->statements[i].class == SQL_UTILITY &&
                (facts->statements[i].effects & SQL_CALLS) != 0;
    return code && has_word(text, len);
}

static bool must_own(const struct client *client, const struct sql_facts *facts, const char *text,
                     size_t len)
{
    if (!script_concerns(facts))
        return may_run_names(client, facts, text, len);
    if (client->traces != NULL && (client->traces->pins & PIN_PREPARE) != 0)
        return true;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        if (is_too_much(&facts->statements[i], facts->n_statements == 1))
            return true;
    }
    return may_run_names(client, facts, text, len);
}

static bool any_pending(const struct client *client)
{
    uint32_t at = 0;
    const struct name *name;
    while ((name = (const struct name *)map_next(&client->names, &at)) != NULL) {
        if (name->pending > 0)
            return true;
    }
    return false;
}

/* The client gets its statements under its own names, and keeps them here.  PASS: they are in front. */
static enum names_step own(struct client *client, const char *text, size_t len, struct err *err)
{
    uint32_t at = 0;
    const char *name;
    const struct statement *statement;
    if (any_pending(client))
        return NAMES_STALL;
    if (!traces_pin(client->traces) && !pins_may_begin(client, err))
        return NAMES_DROP;
    while (names_next(client, &at, &name, &statement))
        naming_inject_as(client, name, statement);
    client->server->undo |= UNDO_STATEMENTS;
    naming_clear(client);
    client->own_names = true;
    state_own_names(client, text, len);
    return NAMES_PASS;
}

/* ---- what the names of a text mean ---- */

enum { COPIES = 1 << 16 };

static bool is_in(const struct script *script, uint32_t n, const struct statement *statement)
{
    for (uint32_t i = 0; i < n; i++) {
        if (script->steps[i].kind != SCRIPT_END && script->steps[i].statement == statement)
            return true;
    }
    return false;
}

/* A statement that nothing before it in the text uses: its name must be free when it is made. */
static struct statement *choose(struct client *client, const struct script *script, uint32_t i,
                                const char *text, const struct sql_facts *facts)
{
    struct statement_table *table = naming_table(client);
    struct slice body = script_body(text, facts, script->steps[i].span);
    char *copy = mem_strndup(body.ptr, body.len);
    struct statement *statement = NULL;
    uint64_t environment = naming_environment(client);
    for (uint64_t n = 0; statement == NULL || is_in(script, i, statement); n++) {
        statement_unref(table, statement);
        statement = statement_intern(table, copy, body.len + 1, environment + n * COPIES);
    }
    mem_free(copy);
    return statement;
}

/* What the name stands for when its step comes; NULL: nothing.  False: that is not known yet. */
static bool find_known(struct client *client, const struct script *script, uint32_t i,
                       struct statement **known, struct name **name)
{
    const char *ident = script->steps[i].ident;
    *name = NULL;
    for (uint32_t j = i; j-- > 0;) {
        const struct script_step *step = &script->steps[j];
        if ((step->kind != SCRIPT_MAKE && step->kind != SCRIPT_END) ||
            strcmp(step->ident, ident) != 0)
            continue;
        *known = step->kind == SCRIPT_MAKE ? step->statement : NULL;
        return true;
    }
    *name = naming_find(client, ident);
    *known = *name != NULL ? (*name)->statement : NULL;
    return !naming_is_uncertain(client, *name);
}

/* The server's, or the one that it will be given. */
static bool find_here(struct client *client, struct name *name, struct statement **statement)
{
    enum statement_presence there = naming_presence(client, *statement);
    if (there == STATEMENT_ABSENT && name != NULL) {
        *statement = naming_renew(client, name);
        there = naming_presence(client, *statement);
    }
    return there != STATEMENT_UNCERTAIN;
}

static bool resolve_step(struct client *client, struct script *script, uint32_t i, const char *text,
                         const struct sql_facts *facts)
{
    struct script_step *step = &script->steps[i];
    struct statement *known;
    struct name *name;
    if (!find_known(client, script, i, &known, &name))
        return false;
    if (step->kind == SCRIPT_MAKE && known == NULL) {
        step->statement = choose(client, script, i, text, facts);
        return find_here(client, NULL, &step->statement);
    }
    if (step->kind == SCRIPT_MAKE)
        step->kind = SCRIPT_TAKEN;
    else if (known == NULL)
        step->kind = SCRIPT_UNKNOWN;
    bool certain = known == NULL || step->kind == SCRIPT_END || find_here(client, name, &known);
    if (known != NULL)
        step->statement = statement_ref(naming_table(client), known);
    return certain;
}

/* NULL: replies must come first. */
static struct script *resolve(struct client *client, const char *text,
                              const struct sql_facts *facts)
{
    struct script *script = script_new(facts, naming_table(client));
    for (uint32_t i = 0; i < script->n; i++) {
        if (!resolve_step(client, script, i, text, facts)) {
            script_free(script);
            return NULL;
        }
    }
    script->batch = client->batch;
    script->version = client->names_version;
    return script;
}

static bool may_use_all(struct client *client, const struct script *script, struct err *err)
{
    for (uint32_t i = 0; i < script->n; i++) {
        if (script->steps[i].kind == SCRIPT_USE &&
            !naming_may_use(client, script->steps[i].statement, NULL, err))
            return false;
    }
    return true;
}

/* ---- what goes in front ---- */

static bool is_made_before(const struct script *script, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (script->steps[j].kind == SCRIPT_MAKE &&
            script->steps[j].statement == script->steps[i].statement)
            return true;
    }
    return false;
}

static bool must_be_put(struct client *client, const struct script *script, uint32_t i)
{
    const struct script_step *step = &script->steps[i];
    return (step->kind == SCRIPT_USE || step->kind == SCRIPT_TAKEN) && !is_made_before(script, i) &&
           naming_presence(client, step->statement) == STATEMENT_ABSENT;
}

/* Before the first of them: what is found to be there must stay. */
static void make_room(struct client *client, const struct script *script)
{
    bool adds = false;
    for (uint32_t i = 0; i < script->n; i++)
        adds |= script->steps[i].kind == SCRIPT_MAKE || must_be_put(client, script, i);
    if (adds)
        naming_make_room(client);
}

static void put_in_front(struct client *client, const struct script *script)
{
    char room[SCRIPT_NAME_MAX];
    const char *name;
    make_room(client, script);
    for (uint32_t i = 0; i < script->n; i++) {
        const struct script_step *step = &script->steps[i];
        if (must_be_put(client, script, i)) {
            naming_inject(client, step->statement);
        } else if (step->kind == SCRIPT_MAKE) {
            if (naming_presence(client, step->statement) != STATEMENT_ABSENT)
                naming_close_on_server(client, step->statement);
        } else if (step->kind == SCRIPT_END) {
            name = script_server_name(script, i, room);
            naming_close_name(client, 'S', name);
            naming_send_parse(client, name, strlen(name), "\0\0", 3); /* no text, no types */
            naming_expect(client, REPLY_PARSE, REPLY_INJECT, NULL);
        }
    }
}

/* ---- what becomes of the client's names ---- */

static void begin_change(struct client *client, struct script_step *step)
{
    if (step->kind == SCRIPT_MAKE) {
        step->name = naming_get(client, step->ident);
        naming_set(client, step->name, step->statement);
        naming_change_here(client, step->statement);
        client->server->parses = true;
    } else if (step->kind == SCRIPT_END) {
        step->name = naming_get(client, step->ident);
        naming_set(client, step->name, NULL);
    } else {
        return;
    }
    step->name->pending++;
    step->name->batch = client->batch;
}

/* Takes the script. */
static struct note *note_of(struct client *client, struct script *script)
{
    struct note *note = naming_note(client, NOTE_SCRIPT, NULL, NULL);
    note->script = script;
    for (uint32_t i = 0; i < script->n; i++)
        begin_change(client, &script->steps[i]);
    client->uses_sql_names = true;
    return note;
}

static void end_change(struct client *client, struct server *server, struct script_step *step,
                       bool done)
{
    struct name *name = step->name;
    step->name = NULL;
    if (step->kind == SCRIPT_MAKE && client->state == CLIENT_CLOSED)
        server->undo |= UNDO_STATEMENTS;
    else if (step->kind == SCRIPT_MAKE)
        statement_set_settle(&server->prepared, naming_table(client), step->statement, done);
    if (!done)
        naming_set(client, name, step->kind == SCRIPT_MAKE ? NULL : step->statement);
    name->pending--;
    naming_forget_if_unused(client, name);
}

bool sql_names_noted(const struct reply *reply)
{
    if (reply == NULL || reply->note == NULL || reply->action != REPLY_FORWARD ||
        (reply->kind != REPLY_QUERY && reply->kind != REPLY_EXECUTE))
        return false;
    return ((const struct note *)reply->note)->kind == NOTE_SCRIPT;
}

void sql_names_command_complete(struct client *client, const struct reply *reply)
{
    if (!sql_names_noted(reply))
        return;
    struct note *note = reply->note;
    struct script *script = note->script;
    uint32_t position = script->n_complete++;
    for (uint32_t i = 0; i < script->n; i++) {
        struct script_step *step = &script->steps[i];
        if (step->position == position && step->name != NULL)
            end_change(client, note->server, step, true);
    }
}

/* What has not been done will not be; newest first. */
void sql_names_settled(struct client *client, struct note *note)
{
    struct script *script = note->script;
    for (uint32_t i = script->n; i-- > 0;) {
        if (script->steps[i].name != NULL)
            end_change(client, note->server, &script->steps[i], false);
    }
    script_free(script);
}

bool sql_names_explain(const struct reply *reply)
{
    return sql_names_noted(reply) && script_must_fail(((const struct note *)reply->note)->script);
}

bool sql_names_write_error(const struct reply *reply, const char *body, size_t len, struct buf *out)
{
    return sql_names_noted(reply) &&
           script_write_error(((const struct note *)reply->note)->script, body, len, out);
}

/* ---- simple queries ---- */

static void send_query(struct client *client, const char *text, size_t len, struct note *note)
{
    naming_send_header(client, FE_QUERY, len);
    batch_copy(naming_out(client), text, len);
    naming_expect(client, REPLY_QUERY, REPLY_FORWARD, note);
}

/* If what stands in front has failed, the server skips the query, and the client gets the Sync's answer. */
static void send_sync(struct client *client)
{
    naming_send_header(client, FE_SYNC, 0);
    naming_expect(client, REPLY_SYNC, REPLY_INJECT, NULL);
    client->batch++;
}

static enum names_step own_query(struct client *client, const char *text, size_t len)
{
    struct err err;
    enum names_step step = own(client, text, len, &err);
    if (step == NAMES_DROP)
        names_refuse_query(client, &err);
    if (step != NAMES_PASS)
        return step;
    send_query(client, text, len, NULL);
    send_sync(client);
    return NAMES_REWRITTEN;
}

static void send_script(struct client *client, const char *text, size_t len, struct script *script)
{
    struct buf out = BUF_NONE;
    put_in_front(client, script);
    bool more = client->server->replies.open || script_changes(script);
    script_write(script, text, len, &out);
    send_query(client, out.data, out.len, note_of(client, script));
    buf_done(&out);
    if (more)
        send_sync(client);
}

enum names_step sql_names_query(struct client *client, const char *text, size_t len,
                                const struct sql_facts *facts)
{
    struct err err;
    if (!sql_names_are_followed(client))
        return NAMES_PASS;
    if (must_own(client, facts, text, len))
        return own_query(client, text, len);
    if (!script_concerns(facts))
        return NAMES_PASS;
    if (client->discards && replies_query_to_come(&client->server->replies))
        return NAMES_STALL;
    struct script *script = resolve(client, text, facts);
    if (script == NULL)
        return NAMES_STALL;
    if (may_use_all(client, script, &err)) {
        send_script(client, text, len, script);
        return NAMES_REWRITTEN;
    }
    names_refuse_query(client, &err);
    script_free(script);
    return NAMES_DROP;
}

/* ---- extended protocol ---- */

/* Of a text for which there must be a script, or the client's own names; else NULL. */
static struct sql_facts *facts_of(struct client *client, const char *text, size_t len)
{
    if (!sql_names_are_followed(client) || !script_may_concern(text, len))
        return NULL;
    struct sql_facts *facts = state_facts(client, text, len);
    if (script_concerns(facts))
        return facts;
    sql_facts_free(facts);
    return NULL;
}

static enum names_step own_message(struct client *client, const char *text, size_t len)
{
    struct err err;
    enum names_step step = own(client, text, len, &err);
    if (step == NAMES_DROP)
        naming_expect_error(client, &err);
    return step;
}

enum names_step sql_names_parse(struct client *client, const char *body, size_t len)
{
    size_t text_len = mem_strnlen(body, len);
    struct sql_facts *facts = facts_of(client, body, text_len);
    if (facts == NULL)
        return NAMES_PASS;
    sql_facts_free(facts);
    return own_message(client, body, text_len);
}

void sql_names_drop_unnamed(struct client *client)
{
    script_free(client->unnamed_script);
    client->unnamed_script = NULL;
}

void sql_names_unbind(struct client *client)
{
    script_free(client->bound_script);
    client->bound_script = NULL;
}

static void send_unnamed(struct client *client, struct script *script, enum reply_action action)
{
    const struct unnamed *unnamed = client->unnamed;
    size_t text_len = mem_strnlen(unnamed->body, unnamed->len);
    struct buf out = BUF_NONE;
    put_in_front(client, script);
    script_write(script, unnamed->body, text_len, &out);
    buf_append(&out, unnamed->body + text_len, unnamed->len - text_len);
    naming_send_parse(client, "", 0, out.data, out.len);
    buf_done(&out);
    replies_expect(&client->server->replies, &client_replies, client, REPLY_PARSE, action,
                   names_note_of_unnamed(client, action == REPLY_INJECT));
    client->unnamed_here = true;
    client->unnamed_batch = client->batch;
    sql_names_drop_unnamed(client);
    client->unnamed_script = script;
}

static enum names_step rewrite_unnamed(struct client *client, const struct sql_facts *facts,
                                       enum reply_action action)
{
    const char *text = client->unnamed->body;
    size_t len = mem_strnlen(text, client->unnamed->len);
    struct err err;
    if (must_own(client, facts, text, len)) {
        client->unnamed_here = false; /* it must be the client's own text */
        return own_message(client, text, len);
    }
    struct script *script = resolve(client, text, facts);
    if (script == NULL)
        return NAMES_STALL;
    if (may_use_all(client, script, &err)) {
        send_unnamed(client, script, action);
        return NAMES_REWRITTEN;
    }
    naming_expect_error(client, &err);
    script_free(script);
    return NAMES_DROP;
}

static bool is_up_to_date(const struct client *client)
{
    const struct script *script = client->unnamed_script;
    return client->unnamed_here && script != NULL && script->batch == client->batch &&
           script->version == client->names_version;
}

enum names_step sql_names_unnamed(struct client *client, enum reply_action action)
{
    const struct unnamed *unnamed = client->unnamed;
    if (unnamed == NULL || unnamed->len == 0 || !sql_names_are_followed(client) ||
        (action == REPLY_INJECT && is_up_to_date(client)) ||
        state_is_plain(client, &client->unnamed->glance, unnamed->body, unnamed->len))
        return NAMES_PASS;
    struct sql_facts *facts =
        facts_of(client, unnamed->body, mem_strnlen(unnamed->body, unnamed->len));
    if (facts == NULL)
        return NAMES_PASS;
    enum names_step step = rewrite_unnamed(client, facts, action);
    sql_facts_free(facts);
    return step;
}

enum names_step sql_names_bind(struct client *client, const char *portal)
{
    struct script *script = client->unnamed_script;
    if (script == NULL)
        return NAMES_PASS;
    if (portal[0] != '\0' && script_changes(script)) {
        const struct unnamed *unnamed = client->unnamed;
        client->unnamed_here = false;
        sql_names_drop_unnamed(client);
        return own_message(client, unnamed->body, mem_strnlen(unnamed->body, unnamed->len));
    }
    client->unnamed_script = NULL;
    if (portal[0] == '\0')
        client->bound_script = script;
    else
        script_free(script);
    return NAMES_PASS;
}

/* Since it was bound the name may have become something else: a portal can be of an earlier batch. */
static bool is_as_it_was(const struct client *client, const struct script *script)
{
    const struct script_step *step = &script->steps[0];
    const struct name *name = naming_find(client, step->ident);
    const struct statement *now = name != NULL ? name->statement : NULL;
    return now == (step->kind == SCRIPT_END ? step->statement : NULL);
}

void *sql_names_execute(struct client *client)
{
    struct script *script = client->bound_script;
    client->bound_script = NULL;
    if (!script_changes(script) || is_as_it_was(client, script))
        return note_of(client, script);
    client->server->undo |= UNDO_STATEMENTS; /* nobody knows what it has then */
    script_free(script);
    return NULL;
}
