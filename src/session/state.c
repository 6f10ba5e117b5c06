#include "session/state.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/undo.h"
#include "pool/welcome.h"
#include "proto/build.h"
#include "proto/message.h"
#include "session/client.h"
#include "session/functions.h"
#include "session/pins.h"
#include "session/probe.h"
#include "session/sql_names.h"
#include "session/worker.h"
#include "sql/cache.h"
#include "sql/facts.h"
#include "sql/glance.h"

enum {
    CAUSE_MAX = 200,      /* bytes of a statement that SHOW PINS tells */
    BOUND_NAME_MAX = 256, /* bytes of a setting's name */
    SETTINGS_MAX = 64,    /* more of them, or more bytes, are not carried */
    SETTINGS_BYTES = 8192,
};

char state_probe_note;

static struct params_table *table_of(const struct client *client)
{
    return client->worker->proxy->pools->params;
}

static const struct settings *settings_of(const struct client *client)
{
    return client->worker->pool.settings;
}

bool state_is_tracked(const struct client *client)
{
    return client->part->session_state != STATE_OFF && !client->keeps_server;
}

static struct traces *traces_of(struct client *client)
{
    if (client->traces == NULL)
        client->traces = mem_new(sizeof *client->traces);
    return client->traces;
}

void state_free(struct client *client)
{
    if (client->traces == NULL)
        return;
    pins_set(client, 0);
    buf_done(&client->traces->names);
    buf_done(&client->traces->renewed);
    buf_done(&client->traces->functions);
    mem_free(client->traces->cause);
    mem_free(client->traces);
    client->traces = NULL;
}

/* ---- what a statement may do ---- */

static bool has_name(const struct buf *names, const char *name)
{
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
        if (strcmp(names->data + at, name) == 0)
            return true;
    }
    return false;
}

static void add_name(struct buf *names, const char *name)
{
    if (!has_name(names, name))
        buf_append_cstr(names, name);
}

/* Of a custom setting nobody can list those that there are: these we know of. */
static void add_custom_names(struct client *client)
{
    for (size_t i = 0; i < params_count_more(client->params); i++) {
        const char *name = params_more_name(client->params, i);
        if (strchr(name, '.') != NULL)
            add_name(&client->traces->names, name);
    }
}

/* Effects that matter in this client's mode. */
static uint32_t mask_of(const struct client *client)
{
    uint32_t mask = ~(uint32_t)(SQL_CALLS | SQL_SEQUENCES | SQL_READS_SEQUENCES);
    if (client->part->function_state != FUNCTION_TRUST)
        mask |= SQL_CALLS;
    if (client->part->session_state == STATE_STRICT)
        mask |= SQL_SEQUENCES;
    /* What ends a state is of interest only where there is one. */
    uint32_t pins = client->traces != NULL ? client->traces->pins : 0;
    uint32_t touched = client->traces != NULL ? client->traces->touched : 0;
    if ((pins & PIN_TEMP) == 0 && (touched & SQL_TEMP) == 0)
        mask &= ~(uint32_t)SQL_DROPS;
    if ((pins & PIN_ADVISORY) == 0)
        mask &= ~(uint32_t)SQL_UNLOCKS;
    if ((pins & PIN_CURSOR) == 0)
        mask &= ~(uint32_t)SQL_CLOSES;
    if ((pins & PIN_LISTEN) == 0)
        mask &= ~(uint32_t)SQL_UNLISTENS;
    if ((pins & PIN_PREPARE) == 0)
        mask &= ~(uint32_t)SQL_DEALLOCATES;
    if (client->traces == NULL || client->traces->prepared == 0)
        mask &= ~(uint32_t)SQL_EXECUTES;
    return mask;
}

static void keep_cause(struct traces *traces, const char *text, size_t len)
{
    if (traces->pins != 0)
        return;
    mem_free(traces->cause);
    traces->cause = mem_strndup(text, mem_strnlen(text, len < CAUSE_MAX ? len : CAUSE_MAX));
}

/* The name of a setting that the client has bound to a parameter; false: it cannot be told. */
static bool add_bound_name(struct traces *traces, unsigned number, const struct reader *values)
{
    struct reader reader = values != NULL ? *values : reader_of(NULL, 0);
    uint16_t formats = read_u16(&reader);
    read_bytes(&reader, 2 * (size_t)formats);
    uint16_t n = read_u16(&reader);
    struct slice value = {0};
    for (unsigned i = 0; i < number && !reader.bad; i++) {
        int32_t len = (int32_t)read_u32(&reader);
        value = (struct slice){0};
        if (len >= 0)
            value = read_bytes(&reader, (size_t)len);
    }
    if (reader.bad || number > n || value.ptr == NULL || value.len > BOUND_NAME_MAX)
        return false;
    char *name = mem_strndup(value.ptr, value.len);
    add_name(&traces->names, name);
    mem_free(name);
    return true;
}

static uint32_t touch_settings(struct traces *traces, const struct sql_statement *statement,
                               const struct reader *values)
{
    uint32_t more = 0;
    for (uint32_t i = 0; i < statement->n_settings; i++) {
        const struct sql_setting *setting = &statement->settings[i];
        if (setting->reset && setting->name != NULL)
            add_name(&traces->renewed, setting->name);
        traces->relists |= setting->reset;
        if (setting->name != NULL)
            add_name(&traces->names, setting->name);
        else if (!add_bound_name(traces, setting->name_param, values))
            more |= SQL_SETS_UNKNOWN;
    }
    return more;
}

void state_forget_sequences(struct client *client)
{
    struct buf out = BUF_NONE;
    if (!state_is_tracked(client))
        return;
    message_query(&out, "DISCARD SEQUENCES");
    replies_expect(&client->server->replies, &client_replies, client, REPLY_QUERY, REPLY_SWALLOW,
                   NULL);
    batch_copy(&client->worker->to_server, out.data, out.len);
    buf_done(&out);
}

/* Of currval() and lastval() a client must not get what another one has drawn.  What it has drawn itself
 * in an earlier transaction is lost, and an error says so. */
static void begin_to_read_sequences(struct client *client)
{
    if (client->reads_sequences)
        return;
    client->reads_sequences = true;
    if (client->first)
        state_forget_sequences(client);
}

/* Effects that keep the server, if the statement succeeds. */
static bool would_pin(const struct client *client, uint32_t effects)
{
    const uint32_t pinning = SQL_TEMP | SQL_LOCKS | SQL_HOLDS | SQL_LISTENS | SQL_PREPARES |
                             SQL_LOADS | SQL_SEEDS | SQL_SEQUENCES;
    return (effects & pinning) != 0 && !traces_pin(client->traces);
}

/* Functions that have been found to do nothing are none of interest. */
static uint32_t without_harmless(struct client *client, const struct sql_facts *facts,
                                 uint32_t effects)
{
    if ((effects & SQL_CALLS) == 0 || client->part->function_state != FUNCTION_PROBE ||
        client->part->session_state == STATE_STRICT)
        return effects;
    struct buf names = BUF_NONE;
    bool learn = true;
    if (functions_are_harmless(client->worker->functions, client->part->pool->database, facts,
                               &names, &learn))
        effects &= ~(uint32_t)SQL_CALLS;
    if (names.len > 0 || !learn) {
        struct traces *traces = traces_of(client);
        buf_append(&traces->functions, names.data, names.len);
        traces->unnamed_calls |= !learn;
    }
    buf_done(&names);
    return effects;
}

/* A statement that is prepared under a name of ours does nothing until it is executed. */
static bool is_only_prepared(const struct client *client, const struct sql_statement *statement)
{
    return (statement->effects & SQL_PREPARES) != 0 && sql_names_are_followed(client);
}

static uint32_t effects_of(const struct client *client, const struct sql_facts *facts)
{
    uint32_t effects = 0;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        if (!is_only_prepared(client, &facts->statements[i]))
            effects |= facts->statements[i].effects;
    }
    return effects;
}

static bool touch(struct client *client, const struct sql_facts *facts, const char *text,
                  size_t len, const struct reader *values, struct err *err)
{
    if ((facts->effects & SQL_READS_SEQUENCES) != 0)
        begin_to_read_sequences(client);
    uint32_t effects = without_harmless(client, facts, effects_of(client, facts) & mask_of(client));
    if (effects == 0)
        return true;
    if (would_pin(client, effects) && !pins_may_begin(client, err))
        return false;
    struct traces *traces = traces_of(client);
    if ((effects & SQL_PREPARES) != 0)
        traces->prepared |= effects & ~(uint32_t)SQL_PREPARES;
    if ((effects & SQL_EXECUTES) != 0)
        effects |= traces->prepared;
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        if (!is_only_prepared(client, &facts->statements[i]))
            effects |= touch_settings(traces, &facts->statements[i], values);
    }
    if ((effects & SQL_EXECUTES) != 0 && (traces->prepared & SQL_SETS) != 0)
        effects |= SQL_SETS_UNKNOWN;
    traces->touched |= effects;
    traces->renews_all |= (effects & SQL_RESETS_ALL) != 0;
    keep_cause(traces, text, len);
    return true;
}

static void touch_anything(struct client *client, const char *text, size_t len)
{
    struct traces *traces = traces_of(client);
    traces->touched |= SQL_UNPARSED;
    keep_cause(traces, text, len);
}

/* Literals are read by it. */
static bool conforms(const struct client *client)
{
    const char *value =
        params_find(table_of(client), client->params, "standard_conforming_strings");
    return value == NULL || strcmp(value, "off") != 0;
}

struct sql_facts *state_facts(const struct client *client, const char *text, size_t len)
{
    size_t most = (size_t)settings_of(client)->max_parse_length;
    return sql_facts_of(text, len, most, conforms(client));
}

/* Borrowed until the next one. */
static const struct sql_facts *verdict(const struct client *client, const char *text, size_t len)
{
    return sql_cache_get(client->worker->verdicts, text, len, conforms(client));
}

static bool look(struct client *client, const char *text, size_t len, const struct reader *values,
                 struct err *err)
{
    return touch(client, verdict(client, text, len), text, len, values, err);
}

/* Of a text that is used again the glance is kept, with calls and without. */
enum { LOOKED = 1, PLAIN = 2, LOOKED_AT_CALLS = 4, PLAIN_WITH_CALLS = 8 };

static bool is_kept_plain(atomic_uchar *kept, const char *text, size_t len, bool calls)
{
    unsigned char looked = calls ? LOOKED_AT_CALLS : LOOKED;
    unsigned char plain = calls ? PLAIN_WITH_CALLS : PLAIN;
    unsigned char known = atomic_load_explicit(kept, memory_order_relaxed);
    if ((known & looked) == 0) {
        known |= looked | (sql_is_plain(text, mem_strnlen(text, len), calls) ? plain : 0);
        atomic_fetch_or_explicit(kept, known, memory_order_relaxed);
    }
    return (known & plain) != 0;
}

bool state_is_plain(const struct client *client, atomic_uchar *kept, const char *text, size_t len)
{
    bool calls = client->part->function_state != FUNCTION_TRUST;
    if (client->part->session_state == STATE_STRICT)
        return false;
    return kept != NULL ? is_kept_plain(kept, text, len, calls)
                        : sql_is_plain(text, mem_strnlen(text, len), calls);
}

bool state_use(struct client *client, atomic_uchar *kept, const char *text, size_t len,
               const struct reader *values, struct err *err)
{
    if (text == NULL) {
        touch_anything(client, "", 0);
        return true;
    }
    return state_is_plain(client, kept, text, len) ||
           look(client, text, mem_strnlen(text, len), values, err);
}

void state_parse(struct client *client, atomic_uchar *kept, const char *text, size_t len)
{
    if (!state_is_tracked(client) || client->reads_sequences ||
        state_is_plain(client, kept, text, len))
        return;
    if ((verdict(client, text, mem_strnlen(text, len))->effects & SQL_READS_SEQUENCES) != 0)
        begin_to_read_sequences(client);
}

/* Of other texts only what its client does with names of prepared statements can make them matter. */
static bool may_concern_names(const struct client *client, const struct sql_facts *facts)
{
    uint32_t effects = SQL_PREPARES | SQL_EXECUTES | SQL_DEALLOCATES;
    if (client->uses_sql_names)
        effects |= SQL_CALLS | SQL_UNPARSED;
    return (facts->effects & effects) != 0;
}

bool state_query(struct client *client, const char *text, size_t len, bool whole,
                 struct sql_facts **facts, struct err *err)
{
    if (!whole) {
        touch_anything(client, text, len);
        return true;
    }
    len = mem_strnlen(text, len);
    if (state_is_plain(client, NULL, text, len))
        return true;
    const struct sql_facts *found = verdict(client, text, len);
    if (!touch(client, found, text, len, NULL, err))
        return false;
    if (may_concern_names(client, found))
        *facts = state_facts(client, text, len);
    return true;
}

void state_own_names(struct client *client, const char *text, size_t len)
{
    traces_of(client)->touched |= SQL_PREPARES;
    keep_cause(client->traces, text, len);
}

/* What libpq calls so are large objects, whose state ends with the transaction. */
void state_call_function(struct client *client, uint32_t oid)
{
    static const uint16_t harmless[] = {715, 764, 767, 952,  953,  954,  955, 956,
                                        957, 958, 964, 1004, 3170, 3171, 3172};
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (oid == harmless[i])
            return;
    }
    touch_anything(client, "(function call)", 15);
}

/* ---- what the client began with ---- */

/* A counted reference. */
static struct params *wishes_to_renew(const struct client *client)
{
    struct params_table *table = table_of(client);
    const struct buf *names = &client->traces->renewed;
    if (client->traces->renews_all && client->wishes != NULL)
        return params_ref(table, client->wishes);
    struct params *wanted = params_empty(table);
    for (size_t at = 0; client->wishes != NULL && at < names->len;
         at += strlen(names->data + at) + 1) {
        const char *value = params_find(table, client->wishes, names->data + at);
        if (value != NULL)
            params_put(table, &wanted, names->data + at, value);
    }
    return wanted;
}

/* A setting that is reset goes back to what the client has asked for at its login, as it would directly;
 * the server knows nothing of that. */
void state_sent(struct client *client)
{
    struct traces *traces = client->traces;
    struct params_table *table = table_of(client);
    if (traces == NULL || (!traces->renews_all && traces->renewed.len == 0))
        return;
    struct params *wanted = wishes_to_renew(client), *empty = params_empty(table);
    struct buf sql = BUF_NONE, out = BUF_NONE;
    traces->renews_all = false;
    buf_clear(&traces->renewed);
    if (params_difference(table, empty, wanted, &sql)) {
        buf_append_u8(&sql, '\0');
        message_query(&out, sql.data);
        replies_expect(&client->server->replies, &client_replies, client, REPLY_QUERY,
                       REPLY_SWALLOW, NULL);
        batch_copy(&client->worker->to_server, out.data, out.len);
    }
    params_unref(table, empty);
    params_unref(table, wanted);
    buf_done(&sql);
    buf_done(&out);
}

/* ---- asking ---- */

static unsigned questions_of(struct client *client)
{
    struct traces *traces = client->traces;
    uint32_t touched = traces->touched;
    unsigned what = 0;
    if ((touched & (SQL_UNPARSED | SQL_DISCARDS_ALL)) != 0 ||
        ((touched & SQL_CALLS) != 0 && client->part->function_state == FUNCTION_PROBE))
        what |= PROBE_ALL;
    if ((touched & (SQL_RESETS_ALL | SQL_SETS_UNKNOWN)) != 0 || traces->relists)
        what |= PROBE_LIST;
    if ((touched & (SQL_TEMP | SQL_DROPS)) != 0)
        what |= PROBE_TEMP;
    if ((touched & (SQL_LOCKS | SQL_UNLOCKS)) != 0)
        what |= PROBE_LOCKS;
    if ((touched & (SQL_HOLDS | SQL_CLOSES)) != 0)
        what |= PROBE_CURSORS;
    if ((touched & (SQL_LISTENS | SQL_UNLISTENS)) != 0)
        what |= PROBE_LISTEN;
    if ((touched & (SQL_PREPARES | SQL_DEALLOCATES)) != 0)
        what |= PROBE_PREPARED;
    if ((what & PROBE_PREPARED) != 0 && client->own_names)
        what |= PROBE_NAMES;
    return what;
}

static bool is_reported(const struct client *client, const char *name)
{
    return params_index(table_of(client), name) >= 0 &&
           welcome_value(client->server->welcome, name) != NULL;
}

/* ParameterStatus has told those that the server reports. */
static void leave_out_reported(struct client *client)
{
    struct buf names = BUF_NONE, *old = &client->traces->names;
    for (size_t at = 0; at < old->len; at += strlen(old->data + at) + 1) {
        if (!is_reported(client, old->data + at))
            buf_append_cstr(&names, old->data + at);
    }
    buf_done(old);
    *old = names;
}

/* What nobody can ask for. */
static uint32_t sticky_pins(const struct client *client)
{
    uint32_t touched = client->traces->touched, pins = 0;
    bool strict = client->part->session_state == STATE_STRICT;
    if ((touched & SQL_LOADS) != 0)
        pins |= PIN_LOAD;
    if ((touched & SQL_SEEDS) != 0)
        pins |= PIN_SEED;
    if ((touched & SQL_SEQUENCES) != 0)
        pins |= PIN_SEQUENCE;
    if ((touched & SQL_CALLS) != 0 && client->part->function_state == FUNCTION_PIN)
        pins |= PIN_FUNCTION;
    if (strict && (touched & (SQL_UNPARSED | SQL_SETS_UNKNOWN)) != 0)
        pins |= PIN_UNKNOWN;
    return pins;
}

static uint32_t pins_of_questions(unsigned what)
{
    uint32_t pins = 0;
    if ((what & PROBE_TEMP) != 0)
        pins |= PIN_TEMP;
    if ((what & PROBE_LOCKS) != 0)
        pins |= PIN_ADVISORY;
    if ((what & PROBE_CURSORS) != 0)
        pins |= PIN_CURSOR;
    if ((what & PROBE_LISTEN) != 0)
        pins |= PIN_LISTEN;
    if ((what & PROBE_PREPARED) != 0)
        pins |= PIN_PREPARE;
    return pins;
}

static void ask(struct client *client, unsigned what)
{
    struct traces *traces = client->traces;
    struct buf sql = BUF_NONE;
    probe_write(&sql, what, &traces->names);
    buf_append_u8(&sql, '\0');
    traces->probing = true;
    traces->failed = false;
    traces->relisted = (what & PROBE_LIST) == 0;
    traces->asked_pins = traces->pins;
    traces->asked_at = client->params;
    traces->found &= ~pins_of_questions(what);
    if (has_name(&traces->names, "role"))
        traces->found &= ~(uint32_t)PIN_ROLE;
    server_send_query(client->server, sql.data, REPLY_SWALLOW, &client_replies, client,
                      &state_probe_note);
    buf_done(&sql);
}

bool state_is_known(struct client *client)
{
    struct traces *traces = client->traces;
    if (traces == NULL || (traces->touched == 0 && !traces->probing))
        return true;
    if (traces->probing)
        return false;
    unsigned what = questions_of(client);
    if ((traces->touched & SQL_CALLS) != 0 && client->part->function_state == FUNCTION_RESET)
        client->server->undo |= UNDO_ALL;
    if ((traces->touched & SQL_SETS_ROLE) != 0 || (what & PROBE_ALL) == PROBE_ALL) {
        add_name(&traces->names, "role");
        add_name(&traces->names, "session_authorization");
    }
    if ((what & PROBE_LIST) != 0)
        add_custom_names(client);
    leave_out_reported(client);
    if (traces->names.len > 0)
        what |= PROBE_SETTINGS;
    traces->found = traces->pins | sticky_pins(client);
    if (what != 0) {
        ask(client, what);
        return false;
    }
    traces->relisted = true;
    state_probed(client, REPLY_DONE);
    return true;
}

/* ---- the answer ---- */

/* These speak of the transaction, or cannot be set. */
static bool is_of_no_session(const char *name)
{
    static const char *const names[] = {"transaction_isolation", "transaction_read_only",
                                        "transaction_deferrable", "seed", "is_superuser"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void put(struct client *client, const char *name, const char *value)
{
    struct params_table *table = table_of(client);
    params_put(table, &client->params, name, value);
    params_put(table, &client->server->params, name, value);
}

/* Without SET ROLE the role is "none"; without SET SESSION AUTHORIZATION the session is the user's. */
static bool take_identity(struct client *client, const char *name, const char *value)
{
    bool is_role = strcmp(name, "role") == 0;
    if (!is_role && strcmp(name, "session_authorization") != 0)
        return false;
    bool none = value == NULL || strcmp(value, is_role ? "none" : client->part->pool->user) == 0;
    if (settings_of(client)->session_role == ROLE_CARRY)
        put(client, name, none ? NULL : value);
    else if (!none)
        client->traces->found |= PIN_ROLE;
    return true;
}

static void take_setting(struct client *client, struct slice name, struct slice value)
{
    char *key = mem_strndup(name.ptr, name.len);
    char *text = value.ptr != NULL ? mem_strndup(value.ptr, value.len) : NULL;
    if (value.len > PROBE_VALUE_MAX)
        client->traces->found |= PIN_SETTINGS;
    else if (!is_of_no_session(key) && !is_reported(client, key) &&
             !take_identity(client, key, text))
        put(client, key, text);
    mem_free(key);
    mem_free(text);
}

/* A list follows: what is not in it has been reset. */
static void forget_listed(struct client *client)
{
    for (size_t i = params_count_more(client->params); i-- > 0;) {
        const char *name = params_more_name(client->params, i);
        if (strchr(name, '.') != NULL || strcmp(name, "role") == 0 ||
            strcmp(name, "session_authorization") == 0)
            continue;
        char *copy = mem_strdup(name);
        put(client, copy, NULL);
        mem_free(copy);
    }
    client->traces->relisted = true;
}

void state_take_row(struct client *client, const char *body, size_t len)
{
    struct traces *traces = client->traces;
    struct probe_row row;
    struct slice name, value;
    if (!probe_read(&row, body, len))
        return;
    switch (row.kind) {
    case 't':
        traces->found |= PIN_TEMP;
        break;
    case 'l':
        traces->found |= PIN_ADVISORY;
        break;
    case 'h':
        traces->found |= PIN_CURSOR;
        break;
    case 'n':
        traces->found |= PIN_LISTEN;
        break;
    case 'p':
        traces->found |= PIN_PREPARE;
        break;
    case 'a':
        if (!traces->relisted)
            forget_listed(client);
        break;
    default:
        break;
    }
    while ((row.kind == 's' || row.kind == 'a') && probe_next(&row, &name, &value))
        take_setting(client, name, value);
}

static bool is_on(const char *value)
{
    return value != NULL && (strcasecmp(value, "on") == 0 || strcasecmp(value, "true") == 0 ||
                             strcasecmp(value, "yes") == 0 || strcmp(value, "1") == 0);
}

static uint32_t pins_by_settings(const struct client *client)
{
    uint32_t pins = 0;
    if (params_count_more(client->params) > SETTINGS_MAX ||
        params_weight(client->params) > SETTINGS_BYTES)
        pins |= PIN_SETTINGS;
    if (is_on(params_find(table_of(client), client->params, "howdah.pin")))
        pins |= PIN_REQUESTED;
    return pins;
}

void state_take_error(struct client *client)
{
    client->traces->failed = true;
}

/* Only if nothing else has happened it is known that a function has done it. */
static void learn_functions(struct client *client)
{
    struct traces *traces = client->traces;
    if (traces->touched == SQL_CALLS && !traces->unnamed_calls)
        functions_learn(client->worker->functions, client->part->pool->database, &traces->functions,
                        !traces->failed && traces->found == traces->asked_pins &&
                            client->params == traces->asked_at);
    buf_clear(&traces->functions);
    traces->unnamed_calls = false;
}

void state_probed(struct client *client, enum reply_outcome outcome)
{
    struct traces *traces = client->traces;
    traces->probing = false;
    if (outcome == REPLY_SKIPPED)
        return; /* the client leaves: what it has touched is undone */
    learn_functions(client);
    if (traces->failed || outcome == REPLY_FAILED)
        traces->found |= PIN_UNKNOWN;
    else if (!traces->relisted)
        forget_listed(client);
    traces->touched = 0;
    traces->relists = false;
    buf_clear(&traces->names);
    traces->found &= ~(uint32_t)PIN_REQUESTED;
    if ((traces->found & (PIN_PREPARE | PIN_UNKNOWN)) == 0)
        client->own_names = false;
    pins_set(client, traces->found | pins_by_settings(client));
    if ((traces->pins & PIN_PREPARE) == 0)
        traces->prepared = 0;
    if (traces->pins == 0)
        state_free(client);
}

/* Values are in the client's encoding, and are asked for again in the new one. */
void state_take_reported(struct client *client, size_t index)
{
    const struct params_table *table = table_of(client);
    if (strcmp(params_name(table, index), "client_encoding") != 0 ||
        !params_beyond_ascii(client->params))
        return;
    struct traces *traces = traces_of(client);
    for (size_t i = 0; i < params_count_more(client->params); i++)
        add_name(&traces->names, params_more_name(client->params, i));
    traces->touched |= SQL_SETS;
}

void state_rest(struct client *client)
{
    if (settings_of(client)->pin_idle_timeout_us == 0)
        return;
    client->traces->idle_us = clock_now_us();
    client->traces->warned = false;
    client_set_deadline(client);
}

/* ---- leaving ---- */

static uint8_t undo_of(uint32_t pins, uint32_t touched)
{
    unsigned undo = 0;
    if ((touched & (SQL_UNPARSED | SQL_CALLS)) != 0 || (pins & (PIN_FUNCTION | PIN_UNKNOWN)) != 0)
        undo |= UNDO_ALL;
    if ((pins & (PIN_ROLE | PIN_SETTINGS)) != 0 ||
        (touched & (SQL_SETS | SQL_SETS_UNKNOWN | SQL_SETS_ROLE | SQL_RESETS_ALL)) != 0)
        undo |= UNDO_SETTINGS;
    if ((pins & PIN_TEMP) != 0 || (touched & SQL_TEMP) != 0)
        undo |= UNDO_TEMP;
    if ((pins & PIN_ADVISORY) != 0 || (touched & SQL_LOCKS) != 0)
        undo |= UNDO_LOCKS;
    if ((pins & PIN_CURSOR) != 0 || (touched & SQL_HOLDS) != 0)
        undo |= UNDO_CURSORS;
    if ((pins & PIN_LISTEN) != 0 || (touched & SQL_LISTENS) != 0)
        undo |= UNDO_LISTEN;
    if ((pins & PIN_PREPARE) != 0 || (touched & SQL_PREPARES) != 0)
        undo |= UNDO_STATEMENTS;
    if ((pins & PIN_SEQUENCE) != 0 || (touched & SQL_SEQUENCES) != 0)
        undo |= UNDO_SEQUENCES;
    if ((pins & (PIN_LOAD | PIN_SEED)) != 0 || (touched & (SQL_LOADS | SQL_SEEDS)) != 0)
        undo |= UNDO_NOTHING_HELPS;
    return (uint8_t)undo;
}

void state_leave(struct client *client, struct server *server)
{
    const struct traces *traces = client->traces;
    if (traces != NULL)
        server->undo |= undo_of(traces->pins, traces->touched);
}
