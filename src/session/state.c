#include "session/state.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "pool/params.h"
#include "pool/server.h"
#include "session/client.h"
#include "session/functions.h"
#include "session/pins.h"
#include "session/sql_names.h"
#include "session/subscriber.h"
#include "session/worker.h"
#include "sql/cache.h"
#include "sql/facts.h"
#include "sql/glance.h"
#include "sql/hints.h"

enum {
    CAUSE_MAX = 200,      /* bytes of a statement that SHOW PINS tells */
    BOUND_NAME_MAX = 256, /* bytes of a setting's name */
};

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
    return (client->part->session_state != STATE_OFF && !client->keeps_server) ||
           client->subscriber != NULL || traces_pin(client->traces);
}

/* ---- what a statement may do ---- */

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
    if ((pins & PIN_LISTEN) == 0 && client->subscriber == NULL)
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
    traces_add_name(&traces->names, name);
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
            traces_add_name(&traces->renewed, setting->name);
        traces->relists |= setting->reset;
        if (setting->name != NULL)
            traces_add_name(&traces->names, setting->name);
        else if (!add_bound_name(traces, setting->name_param, values))
            more |= SQL_SETS_UNKNOWN;
    }
    return more;
}

/* ---- sequences ---- */

static void forget_sequences(struct client *client)
{
    forward_query(client, "DISCARD SEQUENCES", REPLY_SWALLOW, NULL);
    client->server->drawn_by = client->id;
}

/* Of currval() and lastval() a client must not get what another one has drawn.  So in a pool where they are
 * used a server forgets at the beginning of each lease what was drawn on it.  What the client itself has drawn
 * in an earlier transaction is lost with it, and an error of PostgreSQL's says so. */
void state_begin(struct client *client)
{
    struct server *server = client->server;
    if (server->drawn_by != client->id)
        server->drawn_by = server->drawn_by == 0 ? client->id : SERVER_DRAWN_BY_MANY;
    if (atomic_load_explicit(&client->part->pool->reads_sequences, memory_order_relaxed) &&
        state_is_tracked(client))
        forget_sequences(client);
}

/* The first time that it happens in the pool it may be too late: what this transaction has drawn must not be
 * forgotten, and what others have, not be told. */
static bool may_read_sequences(struct client *client, struct err *err)
{
    atomic_store_explicit(&client->part->pool->reads_sequences, true, memory_order_relaxed);
    if (client->server->drawn_by == client->id)
        return true;
    if (client->first || relay_is_between(client)) {
        forget_sequences(client);
        return true;
    }
    err_set(err, SQLSTATE_SERIALIZATION_FAILURE,
            "currval() and lastval() could not be told from what another session has drawn");
    err_detail(err, "This is their first use in this pool, and the transaction had begun before.");
    err_hint(err, "Run the transaction again.");
    return false;
}

/* ---- what a statement does ---- */

/* Does it set one of these? */
static bool sets(const struct sql_facts *facts, bool (*which)(const char *name))
{
    for (uint32_t i = 0; i < facts->n_statements; i++) {
        const struct sql_statement *statement = &facts->statements[i];
        for (uint32_t j = 0; j < statement->n_settings; j++) {
            const struct sql_setting *setting = &statement->settings[j];
            if (setting->name != NULL && !setting->reset && which(setting->name))
                return true;
        }
    }
    return false;
}

static bool is_request(const char *name)
{
    return strcmp(name, "howdah.pin") == 0;
}

/* Effects that keep the server, if the statement succeeds. */
static bool would_pin(const struct client *client, const struct sql_facts *facts, uint32_t effects)
{
    uint32_t pinning = SQL_TEMP | SQL_LOCKS | SQL_HOLDS | SQL_PREPARES | SQL_LOADS | SQL_SEEDS |
                       SQL_SEQUENCES | SQL_SETS_UNKNOWN;
    if (client->part->function_state == FUNCTION_PIN)
        pinning |= SQL_CALLS;
    /* Else only for the moment until its channels are taken over. */
    if (atomic_load_explicit(&client->part->pool->is_deaf, memory_order_relaxed))
        pinning |= SQL_LISTENS;
    if (traces_pin(client->traces))
        return false;
    return (effects & pinning) != 0 ||
           ((effects & SQL_SETS_ROLE) != 0 && settings_of(client)->session_role != ROLE_CARRY &&
            sets(facts, params_is_identity)) ||
           sets(facts, is_request);
}

/* Its channels are at the fanout: may what ends them, or the settings, run? */
static bool may_unlisten(struct client *client, uint32_t effects, struct err *err)
{
    if (client->subscriber == NULL || (effects & SQL_DISCARDS_ALL) != 0)
        return true;
    bool resets_all = (effects & SQL_RESETS_ALL) != 0;
    if ((effects & SQL_UNLISTENS) != 0)
        return subscriber_prepare(client, resets_all, err);
    return !resets_all || subscriber_may_reset(client, err);
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
        struct traces *traces = traces_get(client);
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

/* What is created without a schema is temporary where search_path begins with pg_temp.  It may have been
 * set in this transaction, to what is not known. */
static bool may_create_temporary(const struct client *client)
{
    const struct traces *traces = client->traces;
    if (traces != NULL && traces->touched != 0 &&
        ((traces->touched & SQL_SETS_UNKNOWN) != 0 || buf_has_cstr(&traces->names, "search_path")))
        return true;
    for (size_t i = 0; i < params_count_more(client->params); i++) {
        if (strcmp(params_more_name(client->params, i), "search_path") == 0)
            return strstr(params_more_value(client->params, i), "pg_temp") != NULL;
    }
    return false;
}

static bool creates(const struct sql_facts *facts)
{
    bool creates = false;
    for (uint32_t i = 0; i < facts->n_statements; i++)
        creates |= facts->statements[i].class == SQL_DDL;
    return creates;
}

static bool touch(struct client *client, const struct sql_facts *facts, const char *text,
                  size_t len, const struct reader *values, struct err *err)
{
    if ((facts->effects & SQL_READS_SEQUENCES) != 0 && !may_read_sequences(client, err))
        return false;
    uint32_t effects = without_harmless(client, facts, effects_of(client, facts) & mask_of(client));
    uint32_t perhaps = creates(facts) && may_create_temporary(client) ? SQL_TEMP : 0;
    if ((effects | perhaps) == 0)
        return true;
    if (would_pin(client, facts, effects) && !pins_may_begin(client, err))
        return false;
    if (!may_unlisten(client, effects, err))
        return false;
    struct traces *traces = traces_get(client);
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
    traces->touched |= effects | perhaps;
    client->changes_strings |= buf_has_cstr(&traces->names, "standard_conforming_strings");
    traces->renews_all |= (effects & SQL_RESETS_ALL) != 0;
    keep_cause(traces, text, len);
    return true;
}

static void touch_anything(struct client *client, const char *text, size_t len)
{
    struct traces *traces = traces_get(client);
    traces->touched |= SQL_UNPARSED;
    keep_cause(traces, text, len);
}

/* In transaction mode others may have left something on its server before: that is not its own. */
void state_before_reload(struct client *client)
{
    client->untracked = client->state == CLIENT_ACTIVE && !state_is_tracked(client) &&
                        (client_in_session_mode(client) || !client->server->untracked);
}

void state_after_reload(struct client *client)
{
    if (!client->untracked || !state_is_tracked(client))
        return;
    touch_anything(client, "(RELOAD)", 8);
    client->own_names = client->names.count == 0;
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

/* In these the second byte of a character can be a backslash. */
static bool hides_backslashes(const struct client *client)
{
    static const char *const names[] = {"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK",
                                        "UHC",  "GB18030",        "JOHAB"};
    const char *encoding = params_find(table_of(client), client->params, "client_encoding");
    for (size_t i = 0; encoding != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(encoding, names[i]) == 0)
            return true;
    }
    return false;
}

/* What backslashes mean is up to standard_conforming_strings when the server parses the text.  That may
 * have been long ago, for a prepared statement, or be changed by what is under way. */
static bool is_ambiguous(const struct client *client, const char *text, size_t len)
{
    const uint32_t any = SQL_UNPARSED | SQL_SETS_UNKNOWN | SQL_CALLS;
    return memchr(text, '\\', len) != NULL &&
           (client->changes_strings || hides_backslashes(client) ||
            (client->traces != NULL && (client->traces->touched & any) != 0));
}

const struct sql_facts *state_verdict(const struct client *client, const char *text, size_t len)
{
    return is_ambiguous(client, text, len) ? NULL : verdict(client, text, len);
}

static bool is_text(const char *text, struct sql_span span, const char *word)
{
    return span.len == strlen(word) && strncasecmp(text + span.start, word, span.len) == 0;
}

/* A comment asks for a pin, or ends that.  False: it must not have one. */
static bool take_hints(struct client *client, const char *text, size_t len, struct err *err)
{
    if (memmem(text, len, "howdah:", 7) == NULL)
        return true;
    struct sql_hints hints = sql_hints_of(text, len, conforms(client));
    for (uint32_t i = 0; i < hints.n; i++) {
        const struct sql_hint *hint = &hints.at[i];
        bool on = is_text(text, hint->value, "on");
        if (!is_text(text, hint->key, "pin") || (!on && !is_text(text, hint->value, "off")))
            continue;
        if (on && !traces_pin(client->traces) && !pins_may_begin(client, err))
            return false;
        client->wants_pin = on;
        traces_get(client)->touched |= SQL_SETS;
        keep_cause(client->traces, text, len);
    }
    return true;
}

/* Its facts, borrowed until the next one; NULL: it must not be sent. */
static const struct sql_facts *look(struct client *client, const char *text, size_t len,
                                    const struct reader *values, struct err *err)
{
    if (!take_hints(client, text, len, err))
        return NULL;
    if (is_ambiguous(client, text, len))
        touch_anything(client, text, len);
    const struct sql_facts *facts = verdict(client, text, len);
    return touch(client, facts, text, len, values, err) ? facts : NULL;
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
    if (client->part->session_state == STATE_STRICT ||
        may_create_temporary(client)) /* SELECT INTO */
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
           look(client, text, mem_strnlen(text, len), values, err) != NULL;
}

void state_parse(struct client *client, atomic_uchar *kept, const char *text, size_t len)
{
    struct err ignored;
    if (state_is_tracked(client) && !state_is_plain(client, kept, text, len) &&
        (verdict(client, text, mem_strnlen(text, len))->effects & SQL_READS_SEQUENCES) != 0)
        may_read_sequences(client, &ignored);
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
    const struct sql_facts *found = look(client, text, len, NULL, err);
    if (found == NULL)
        return false;
    if (may_concern_names(client, found))
        *facts = state_facts(client, text, len);
    return true;
}

void state_own_names(struct client *client, const char *text, size_t len)
{
    traces_get(client)->touched |= SQL_PREPARES;
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
    for (const char *each = NULL;
         client->wishes != NULL && (each = buf_next_cstr(names, each)) != NULL;) {
        const char *value = params_find(table, client->wishes, each);
        if (value != NULL)
            params_put(table, &wanted, each, value);
    }
    return wanted;
}

/* Unless it has been set again behind the RESET, or that has been undone.  Custom settings are not listed. */
static void write_wish(struct buf *sql, const char *name, const char *value)
{
    buf_append_str(sql, "SELECT pg_catalog.set_config(");
    params_quote(sql, name);
    buf_append_str(sql, ",");
    params_quote(sql, value);
    buf_append_str(sql, ",false) FROM (SELECT pg_catalog.max(source) AS s FROM "
                        "pg_catalog.pg_settings WHERE pg_catalog.lower(name) "
                        "OPERATOR(pg_catalog.=) pg_catalog.lower(");
    params_quote(sql, name);
    buf_append_str(sql, ")) f WHERE s OPERATOR(pg_catalog.<>) 'session' OR s IS NULL");
    if (strchr(name, '.') != NULL) {
        buf_append_str(sql, " AND COALESCE(pg_catalog.current_setting(");
        params_quote(sql, name);
        buf_append_str(sql, ",true),'') OPERATOR(pg_catalog.=) ''");
    }
    buf_append_str(sql, ";");
}

static void write_wishes(const struct client *client, const struct params *wanted, struct buf *sql)
{
    const struct params_table *table = table_of(client);
    for (size_t i = 0; i < params_count(table); i++) {
        if (params_get(wanted, i) != NULL)
            write_wish(sql, params_name(table, i), params_get(wanted, i));
    }
    for (size_t i = 0; i < params_count_more(wanted); i++)
        write_wish(sql, params_more_name(wanted, i), params_more_value(wanted, i));
}

/* A setting that is reset goes back to what the client has asked for at its login, as it would directly;
 * the server knows nothing of that. */
void state_sent(struct client *client)
{
    struct traces *traces = client->traces;
    if (traces == NULL || (!traces->renews_all && traces->renewed.len == 0))
        return;
    struct params *wanted = wishes_to_renew(client);
    struct buf sql = BUF_NONE;
    traces->renews_all = false;
    buf_clear(&traces->renewed);
    write_wishes(client, wanted, &sql);
    if (sql.len > 0) {
        buf_append_u8(&sql, '\0');
        forward_query(client, sql.data, REPLY_SWALLOW, NULL);
    }
    params_unref(table_of(client), wanted);
    buf_done(&sql);
}
