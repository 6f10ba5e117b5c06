#include "conf/keys.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "conf/connstr.h"
#include "conf/ini.h"
#include "conf/report.h"
#include "conf/splitting.h"
#include "conf/value.h"
#include "conf/words.h"

static void *field_of(void *entry, const struct conf_key *key)
{
    return (char *)entry + key->offset;
}

static bool owns_text(const struct conf_key *key)
{
    return key->kind == KEY_TEXT || key->kind == KEY_SECRET || key->kind == KEY_HOST ||
           key->kind == KEY_HOSTS || key->kind == KEY_FUNCTIONS || key->kind == KEY_PATTERN;
}

void conf_keys_init(void *entry, const struct conf_key *keys)
{
    for (const struct conf_key *key = keys; key->kind != KEY_END; key++) {
        switch (key->kind) {
        case KEY_COUNT:
        case KEY_LIMIT:
        case KEY_WEIGHT:
        case KEY_BOOL:
        case KEY_SESSION_STATE:
        case KEY_FUNCTION_STATE:
        case KEY_POOL_MODE:
        case KEY_READ_FROM:
        case KEY_BALANCE:
        case KEY_READS_FOLLOW:
            *(int *)field_of(entry, key) = -1;
            break;
        case KEY_TIME:
        case KEY_LAG:
        case KEY_BYTES:
            *(int64_t *)field_of(entry, key) = -1;
            break;
        default:
            break; /* texts begin as NULL, ports as 0; those of later versions have no field */
        }
    }
}

void conf_keys_free(void *entry, const struct conf_key *keys)
{
    for (const struct conf_key *key = keys; key->kind != KEY_END; key++)
        if (owns_text(key))
            mem_wipe_free(*(char **)field_of(entry, key));
}

static bool refuse_later(const struct conf_key *key, struct err *err)
{
    return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                   "setting \"%s\" is not supported yet by this version", key->name);
}

static bool refuse(const struct conf_key *key, const char *value, const char *expected,
                   struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    if (key->kind == KEY_SECRET)
        return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "key \"%s\": expected %s", key->name,
                       expected);
    return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "key \"%s\": value \"%s\": expected %s",
                   key->name, conf_excerpt(value, excerpt), expected);
}

static bool store_text(void *field, const struct conf_key *key, const char *value, struct err *err)
{
    char expected[64];
    snprintf(expected, sizeof expected, "at most %zu bytes", key->max);
    if (strlen(value) > key->max)
        return refuse(key, value, expected, err);
    char **text = field;
    mem_wipe_free(*text);
    *text = value[0] != '\0' ? mem_strdup(value) : NULL;
    return true;
}

/* One host, or with `list` some, between commas. */
static bool store_host(void *field, const struct conf_key *key, const char *value, bool list,
                       struct err *err)
{
    const char *at = value;
    while (value[0] != '\0') {
        size_t len = strcspn(at, ",");
        if (len == 0 || len > CONF_HOST_MAX || (at[len] == ',' && !list))
            return refuse(key, value,
                          list ? "hosts of 1 to 255 bytes, between commas"
                               : "one host of 1 to 255 bytes",
                          err);
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    return store_text(field, key, value, err);
}

static bool store_int(int *field, const struct conf_key *key, const char *value, int min, int max,
                      struct err *err)
{
    int64_t number;
    char expected[64];
    snprintf(expected, sizeof expected, "an integer from %d to %d", min, max);
    if (!value_read_int(value, min, max, &number))
        return refuse(key, value, expected, err);
    *field = (int)number;
    return true;
}

static bool store_time(int64_t *field, const struct conf_key *key, const char *value,
                       struct err *err)
{
    if (strcmp(value, "-1") == 0)
        *field = -1;
    else if (!value_read_time_us(value, 1000000, field))
        return refuse(key, value, "a time in seconds, or with a unit such as 500ms", err);
    return true;
}

static bool store_lag(int64_t *field, const struct conf_key *key, const char *value,
                      struct err *err)
{
    return value_read_lag_us(value, field) ||
           refuse(key, value, "a time with a unit, such as 10s or 500ms, or 0", err);
}

static bool store_bytes(int64_t *field, const struct conf_key *key, const char *value,
                        struct err *err)
{
    return value_read_bytes(value, 0, INT64_MAX, field) ||
           refuse(key, value, "bytes, or with a unit such as 16MB", err);
}

static bool store_bool(int *field, const struct conf_key *key, const char *value, struct err *err)
{
    bool on;
    if (!value_read_bool(value, &on))
        return refuse(key, value, "on or off", err);
    *field = on;
    return true;
}

/* expected: the words, for the error. */
static bool store_word(int *field, const struct conf_key *key, const struct conf_word *words,
                       const char *value, const char *expected, struct err *err)
{
    const struct conf_word *word = conf_find_word(words, value);
    if (word == NULL)
        return refuse(key, value, expected, err);
    *field = word->value;
    return true;
}

static bool store(void *entry, const struct conf_key *key, const char *value, struct err *err)
{
    void *field = field_of(entry, key);
    switch (key->kind) {
    case KEY_TEXT:
    case KEY_SECRET:
        return store_text(field, key, value, err);
    case KEY_HOST:
        return store_host(field, key, value, false, err);
    case KEY_HOSTS:
        return store_host(field, key, value, true, err);
    case KEY_PORT:
        return store_int(field, key, value, 1, 65535, err);
    case KEY_COUNT:
        return store_int(field, key, value, -1, INT_MAX, err);
    case KEY_LIMIT:
        return store_int(field, key, value, INT_MIN, INT_MAX, err);
    case KEY_TIME:
        return store_time(field, key, value, err);
    case KEY_POOL_MODE:
        return store_word(field, key, pool_mode_words, value, "session, transaction or statement",
                          err);
    case KEY_NODE_ROLE:
        return store_word(field, key, node_role_words, value, "standby", err);
    case KEY_LATER:
        return value[0] == '\0' || refuse_later(key, err);
    case KEY_WEIGHT:
        return store_int(field, key, value, 1, 100, err);
    case KEY_LAG:
        return store_lag(field, key, value, err);
    case KEY_BYTES:
        return store_bytes(field, key, value, err);
    case KEY_BOOL:
        return store_bool(field, key, value, err);
    case KEY_FUNCTIONS:
        return conf_check_functions(key->name, value, err) && store_text(field, key, value, err);
    case KEY_PATTERN:
        return conf_check_pattern(key->name, value, err) && store_text(field, key, value, err);
    case KEY_READ_FROM:
        return store_word(field, key, read_from_words, value,
                          "prefer_standby, standby_only, any or primary", err);
    case KEY_BALANCE:
        return store_word(field, key, balance_words, value,
                          "least_outstanding, round_robin, random, peak_ewma or client_hash", err);
    case KEY_READS_FOLLOW:
        return store_word(field, key, reads_follow_words, value, "session, database or off", err);
    case KEY_HOST_ORDER:
        return store_word(field, key, load_balance_words, value, "round-robin or disable", err);
    case KEY_SESSION_STATE:
        return store_word(field, key, session_state_words, value, "off, track or strict", err);
    case KEY_FUNCTION_STATE:
        return store_word(field, key, function_state_words, value, "trust, probe, reset or pin",
                          err);
    case KEY_END:
        break;
    }
    return false;
}

static const struct conf_key *find_key(const struct conf_key *keys, const char *name)
{
    for (; keys->kind != KEY_END; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

bool conf_key_store(void *entry, const struct conf_key *keys, const char *name, const char *value,
                    struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    const struct conf_key *key = find_key(keys, name);
    if (key == NULL)
        return err_set(err, SQLSTATE_UNDEFINED_OBJECT, "unknown key \"%s\"",
                       conf_excerpt(name, excerpt));
    return store(entry, key, value, err);
}

void conf_complain(const struct conf_place *place, const char *what)
{
    char excerpt[CONF_EXCERPT_MAX];
    conf_report_error(place->report, place->line->file, place->line->line, "%s \"%s\": %s",
                      place->kind, conf_excerpt(place->line->key, excerpt), what);
}

/* Goes on after a pair with an error, but not after text that is no pair. */
void conf_keys_store(void *entry, const struct conf_key *keys, const struct conf_place *place)
{
    struct connstr connstr;
    struct err err = ERR_NONE;
    enum connstr_step step;
    connstr_init(&connstr, place->line->value);
    while ((step = connstr_next(&connstr, &err)) == CONNSTR_PAIR)
        if (!conf_key_store(entry, keys, connstr.key, connstr.value, &err))
            conf_complain(place, err.message);
    if (step == CONNSTR_BAD)
        conf_complain(place, err.message);
    connstr_done(&connstr);
}

static void check_name(const struct conf_place *place)
{
    size_t len = strlen(place->line->key);
    if (len == 0 || len > LIMIT_NAME)
        conf_complain(place, "expected a name of 1 to 63 bytes");
}

void conf_keys_fill(void *entry, const struct conf_key *keys, const struct conf_place *place)
{
    conf_keys_init(entry, keys);
    check_name(place);
    conf_keys_store(entry, keys, place);
}
