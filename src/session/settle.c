/* What has become of a session, when a transaction is over. */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conf/value.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/undo.h"
#include "pool/welcome.h"
#include "session/client.h"
#include "session/functions.h"
#include "session/pins.h"
#include "session/probe.h"
#include "session/state.h"
#include "session/subscriber.h"
#include "session/worker.h"
#include "sql/facts.h"

enum {
    SETTINGS_MAX = 64, /* more of them, or more bytes, are not carried */
    SETTINGS_BYTES = 8192,
    RECHECK_US = 5000000, /* so old may be what is known of a pin when a transaction ends */
    FAILURES_MAX = 3,     /* of the question in a row; then it is not asked any more */
};

char state_probe_note;

/* What keeps a server for as long as it is there. */
static const struct {
    uint32_t pin;         /* enum pin */
    uint32_t makes, ends; /* enum sql_effect: statements that may */
    unsigned question;    /* enum probe */
    char letter;          /* of the rows that say that it is there */
    unsigned undo;        /* enum undo */
} kinds[] = {
    {PIN_TEMP, SQL_TEMP, SQL_DROPS, PROBE_TEMP, 't', UNDO_TEMP},
    {PIN_ADVISORY, SQL_LOCKS, SQL_UNLOCKS, PROBE_LOCKS, 'l', UNDO_LOCKS},
    {PIN_CURSOR, SQL_HOLDS, SQL_CLOSES, PROBE_CURSORS, 'h', UNDO_CURSORS},
    {PIN_LISTEN, SQL_LISTENS, SQL_UNLISTENS, PROBE_LISTEN, 'n', UNDO_LISTEN},
    {PIN_PREPARE, SQL_PREPARES, SQL_DEALLOCATES, PROBE_PREPARED, 'p', UNDO_STATEMENTS},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static struct params_table *table_of(const struct client *client)
{
    return client->worker->proxy->pools->params;
}

static const struct settings *settings_of(const struct client *client)
{
    return client->worker->pool.settings;
}

/* ---- asking ---- */

/* Of a custom setting nobody can list those that there are: these we know of. */
static void add_custom_names(struct client *client)
{
    for (size_t i = 0; i < params_count_more(client->params); i++) {
        const char *name = params_more_name(client->params, i);
        if (strchr(name, '.') != NULL)
            traces_add_name(&client->traces->names, name);
    }
}

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
    for (size_t i = 0; i < N_KINDS; i++) {
        if ((touched & (kinds[i].makes | kinds[i].ends)) != 0)
            what |= kinds[i].question;
    }
    if ((what & PROBE_PREPARED) != 0 && client->own_names)
        what |= PROBE_NAMES;
    return what;
}

static bool is_reported(const struct client *client, const char *name)
{
    return params_index(table_of(client), name) >= 0 &&
           welcome_value(client->server->welcome, name) != NULL;
}

/* ParameterStatus has told those that the server reports.  A list leaves out those that may not be read. */
static void leave_out_known(struct client *client)
{
    struct buf names = BUF_NONE, *old = &client->traces->names;
    bool listed = client->traces->lists_only;
    for (const char *each = NULL; (each = buf_next_cstr(old, each)) != NULL;) {
        if (!is_reported(client, each) && !(listed && strchr(each, '.') == NULL))
            buf_append_cstr(&names, each);
    }
    buf_done(old);
    *old = names;
}

/* Custom settings are not in the list: of those that no statement has named nobody can be told.  They are
 * taken back before another client gets the server.  (Of functions that is up to function_state.) */
static unsigned undo_unnamed(const struct client *client)
{
    uint32_t touched = client->traces->touched;
    if ((touched & SQL_CALLS) != 0 && client->part->function_state == FUNCTION_RESET)
        return UNDO_ALL;
    return (touched & (SQL_UNPARSED | SQL_SETS_UNKNOWN)) != 0 ? UNDO_SETTINGS : 0;
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
    if ((touched & SQL_SETS_UNKNOWN) != 0 || (strict && (touched & SQL_UNPARSED) != 0))
        pins |= PIN_UNKNOWN;
    return pins;
}

/* What is kept for settings is looked at again with each question about any. */
static void add_uncarried(struct traces *traces)
{
    const uint32_t sets = SQL_SETS | SQL_SETS_UNKNOWN | SQL_RESETS_ALL | SQL_DISCARDS_ALL;
    if ((traces->touched & (sets | SQL_UNPARSED)) == 0)
        return;
    for (const char *each = NULL; (each = buf_next_cstr(&traces->uncarried, each)) != NULL;)
        traces_add_name(&traces->names, each);
    buf_clear(&traces->uncarried);
}

static uint32_t pins_of_questions(unsigned what)
{
    uint32_t pins = 0;
    for (size_t i = 0; i < N_KINDS; i++) {
        if ((what & kinds[i].question) != 0)
            pins |= kinds[i].pin;
    }
    return pins;
}

static void ask(struct client *client, unsigned what)
{
    struct traces *traces = client->traces;
    struct buf sql = BUF_NONE;
    probe_write(&sql, what, &traces->names);
    buf_append_u8(&sql, '\0');
    traces->probing = true;
    traces->asked = (uint8_t)what;
    buf_clear(&traces->channels);
    traces->failed = false;
    traces->relisted = (what & PROBE_LIST) == 0;
    traces->asked_pins = traces->pins;
    traces->asked_at = client->params;
    traces->found &= ~pins_of_questions(what);
    if (buf_has_cstr(&traces->names, "role"))
        traces->found &= ~(uint32_t)PIN_ROLE;
    server_send_query(client->server, sql.data, REPLY_SWALLOW, &client_replies, client,
                      &state_probe_note);
    buf_done(&sql);
    traces->asked_us = clock_now_us();
    if (client->worker->has_query_timeouts)
        client_set_deadline(client);
}

/* Statements that nobody takes for one of those may have ended what pins it: functions, for instance. */
static void recheck(struct traces *traces)
{
    if (traces->pins == 0 || clock_now_us() - traces->known_us < RECHECK_US)
        return;
    for (size_t i = 0; i < N_KINDS; i++) {
        if ((traces->pins & kinds[i].pin) != 0)
            traces->touched |= kinds[i].ends;
    }
}

bool state_is_known(struct client *client)
{
    struct traces *traces = client->traces;
    if (traces == NULL)
        return true;
    if (traces_stall(traces))
        return false;
    if (traces->touched == 0)
        recheck(traces);
    if (traces->touched == 0)
        return client->subscriber == NULL || !subscriber_begin(client);
    unsigned what = questions_of(client);
    add_uncarried(traces);
    if (traces_have_too_many(&traces->names)) {
        buf_clear(&traces->names);
        traces->overflown = true;
    }
    client->server->undo |= (uint8_t)undo_unnamed(client);
    if ((traces->touched & SQL_SETS_ROLE) != 0 || (what & PROBE_ALL) == PROBE_ALL) {
        traces_add_name(&traces->names, "role");
        traces_add_name(&traces->names, "session_authorization");
    }
    if ((what & PROBE_LIST) != 0)
        add_custom_names(client);
    if (client->subscriber != NULL && subscriber_has_noted(client))
        traces_add_name(&traces->names, SUBSCRIBER_SETTING);
    leave_out_known(client);
    if (traces->names.len > 0)
        what |= PROBE_SETTINGS;
    traces->found = (traces->pins & ~(uint32_t)PIN_SETTINGS) | sticky_pins(client);
    if (what != 0) {
        ask(client, what);
        return false;
    }
    traces->relisted = true;
    traces->asked = 0;
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

/* Without SET ROLE the role is "none"; without SET SESSION AUTHORIZATION the session is the user's.  What
 * the client began with follows it as any other setting. */
static bool take_identity(struct client *client, const char *name, const char *value)
{
    if (!params_is_identity(name))
        return false;
    const char *usual = strcmp(name, "role") == 0 ? "none" : client->part->pool->user;
    const char *wish =
        client->wishes != NULL ? params_find(table_of(client), client->wishes, name) : NULL;
    bool none = value == NULL || strcmp(value, usual) == 0;
    bool carries = settings_of(client)->session_role == ROLE_CARRY ||
                   (!none && wish != NULL && strcmp(value, wish) == 0);
    put(client, name, none || !carries ? NULL : value);
    if (!none && !carries)
        client->traces->found |= PIN_ROLE;
    return true;
}

static void take_setting(struct client *client, struct slice name, struct slice value)
{
    if (client->subscriber != NULL && slice_is(name, SUBSCRIBER_SETTING)) {
        subscriber_take_setting(client, value.ptr, value.len);
        return;
    }
    char *key = mem_strndup(name.ptr, name.len);
    char *text = value.ptr != NULL ? mem_strndup(value.ptr, value.len) : NULL;
    if (value.len > PROBE_VALUE_MAX)
        traces_add_name(&client->traces->uncarried, key);
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
        if (strchr(name, '.') != NULL || params_is_identity(name))
            continue;
        char *copy = mem_strdup(name);
        put(client, copy, NULL);
        mem_free(copy);
    }
    client->traces->relisted = true;
}

static void take_channel(struct traces *traces, struct slice name)
{
    buf_append(&traces->channels, name.ptr, name.len);
    buf_append_u8(&traces->channels, '\0');
}

void state_take_row(struct client *client, const char *body, size_t len)
{
    struct traces *traces = client->traces;
    struct probe_row row;
    struct slice name, value;
    if (!probe_read(&row, body, len))
        return;
    for (size_t i = 0; i < N_KINDS; i++) {
        if (row.kind == kinds[i].letter)
            traces->found |= kinds[i].pin;
    }
    if (row.kind == 'n' && probe_next(&row, &name, &value))
        take_channel(traces, name);
    if (row.kind == 'a' && !traces->relisted)
        forget_listed(client);
    while ((row.kind == 's' || row.kind == 'a') && probe_next(&row, &name, &value))
        take_setting(client, name, value);
}

/* A custom setting that was reset is there as '', as it would be directly. */
static size_t count_settings(const struct params *params)
{
    size_t n = 0;
    for (size_t i = 0; i < params_count_more(params); i++)
        n += params_more_value(params, i)[0] != '\0';
    return n;
}

static uint32_t pins_by_settings(const struct client *client)
{
    const char *value = params_find(table_of(client), client->params, "howdah.pin");
    bool on = false;
    uint32_t pins = 0;
    if (client->traces->overflown || client->traces->uncarried.len > 0 ||
        count_settings(client->params) > SETTINGS_MAX ||
        params_weight(client->params) > SETTINGS_BYTES)
        pins |= PIN_SETTINGS;
    if (client->wants_pin || (value != NULL && value_read_bool(value, &on) && on))
        pins |= PIN_REQUESTED;
    return pins;
}

void state_take_error(struct client *client)
{
    client->traces->failed = true;
}

/* Only if nothing else has happened, or was there before, it is known that a function has done it. */
static void learn_functions(struct client *client)
{
    struct traces *traces = client->traces;
    if (traces->touched == SQL_CALLS && !traces->unnamed_calls && traces->asked_pins == 0)
        functions_learn(client->worker->functions, client->part->pool->database, &traces->functions,
                        !traces->failed && traces->found == 0 &&
                            client->params == traces->asked_at);
    buf_clear(&traces->functions);
    traces->unnamed_calls = false;
}

/* A cancel request may have come too late: the question is asked again.  If that fails, too, it may be for a
 * setting that its user may set, but not read.  Then the list of all settings is asked for, which has it not;
 * so it is taken back when the lease ends. */
static bool ask_again(struct client *client)
{
    struct traces *traces = client->traces;
    if (++traces->failures == FAILURES_MAX)
        return false;
    if (traces->failures == FAILURES_MAX - 1 && (traces->asked & PROBE_SETTINGS) != 0) {
        traces->lists_only = traces->relists = true;
        client->server->undo |= UNDO_SETTINGS;
    }
    return true; /* what was touched is still to be known */
}

/* The answer is complete. */
static void take_all(struct client *client)
{
    struct traces *traces = client->traces;
    if (!traces->relisted)
        forget_listed(client);
    if ((traces->asked & PROBE_LISTEN) != 0 && !subscriber_take_found(client, &traces->channels))
        traces->found &= ~(uint32_t)PIN_LISTEN;
}

void state_probed(struct client *client, enum reply_outcome outcome)
{
    struct traces *traces = client->traces;
    traces->probing = false;
    traces->asked_us = 0;
    if (outcome == REPLY_SKIPPED)
        return; /* the client leaves: what it has touched is undone */
    traces->known_us = clock_now_us();
    if (client->worker->has_query_timeouts)
        client_set_deadline(client);
    bool failed = traces->failed || outcome == REPLY_FAILED;
    if (failed && ask_again(client))
        return;
    learn_functions(client);
    if (failed)
        traces->found |= PIN_UNKNOWN;
    else
        take_all(client);
    traces->failures = 0;
    traces->touched = 0;
    traces->relists = traces->lists_only = false;
    buf_clear(&traces->names);
    traces->found &= ~(uint32_t)PIN_REQUESTED;
    if ((traces->found & (PIN_PREPARE | PIN_UNKNOWN)) == 0)
        client->own_names = false;
    pins_set(client, traces->found | pins_by_settings(client));
    if ((traces->pins & PIN_PREPARE) == 0)
        traces->prepared = 0;
    if (traces->pins == 0)
        traces_free(client);
}

/* Values are in the client's encoding, and are asked for again in the new one. */
void state_take_reported(struct client *client, size_t index)
{
    const struct params_table *table = table_of(client);
    client->changes_strings |=
        strcmp(params_name(table, index), "standard_conforming_strings") == 0;
    if (strcmp(params_name(table, index), "client_encoding") != 0 ||
        !params_beyond_ascii(client->params))
        return;
    struct traces *traces = traces_get(client);
    for (size_t i = 0; i < params_count_more(client->params); i++)
        traces_add_name(&traces->names, params_more_name(client->params, i));
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
    for (size_t i = 0; i < N_KINDS; i++) {
        if ((pins & kinds[i].pin) != 0 || (touched & kinds[i].makes) != 0)
            undo |= kinds[i].undo;
    }
    if ((pins & PIN_SEQUENCE) != 0 || (touched & SQL_SEQUENCES) != 0)
        undo |= UNDO_SEQUENCES;
    if ((pins & (PIN_LOAD | PIN_SEED)) != 0 || (touched & (SQL_LOADS | SQL_SEEDS)) != 0)
        undo |= UNDO_NOTHING_HELPS;
    return (uint8_t)undo;
}

void state_leave(struct client *client, struct server *server)
{
    const struct traces *traces = client->traces;
    if (server->setting)
        server->undo |= UNDO_SETTINGS;
    if (traces != NULL)
        server->undo |= undo_of(traces->pins, traces->touched);
}
