#include "conf/entries.h"

#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "conf/connstr.h"
#include "conf/hash.h"
#include "conf/ini.h"
#include "conf/report.h"
#include "conf/userlist.h"
#include "conf/value.h"
#include "conf/words.h"

enum {
    HOST_MAX = 255,
    HOSTS_MAX = 65535,
    PARAMETER_MAX = 1000,
    QUERY_MAX = 1 << 20,
    SECRET_MAX = USERLIST_SECRET_MAX,
    DEFAULT_PORT = 5432,
    DEFAULT_PEER_PORT = 6432,
};

struct database_node {
    struct conf_database database; /* first, so that the public pointer leads here */
    UT_hash_handle hh;
};

struct user_node {
    struct conf_user user; /* first, as above */
    UT_hash_handle hh;
};

struct peer_node {
    struct conf_peer peer; /* first, as above */
    UT_hash_handle hh;
};

struct conf_entries {
    atomic_int refs;
    struct database_node *databases;     /* owned: hash table */
    struct user_node *users;             /* owned: hash table */
    struct peer_node *peers;             /* owned: hash table */
    struct database_node *auto_database; /* owned: "*"; NULL for none */
};

enum key_kind {
    KEY_END,
    KEY_TEXT, /* at most `max` bytes, as the next two */
    KEY_SECRET,
    KEY_HOST,
    KEY_HOSTS,
    KEY_PORT,
    KEY_PEER_PORT, /* with the default of listen_port */
    KEY_COUNT,     /* -1 for not said */
    KEY_LIMIT,     /* any negative number for not said */
    KEY_TIME,
    KEY_POOL_MODE,
    KEY_BALANCE,
    KEY_SESSION_STATE,
    KEY_FUNCTION_STATE,
    KEY_LATER_TEXT, /* those of later versions */
};

struct entry_key {
    const char *name;
    enum key_kind kind;
    size_t offset;
    size_t max;
};

#define DB(field)   offsetof(struct conf_database, field)
#define USER(field) offsetof(struct conf_user, field)
#define PEER(field) offsetof(struct conf_peer, field)

/* clang-format off */
static const struct entry_key database_keys[] = {
    {"dbname",                    KEY_TEXT,          DB(dbname),                    LIMIT_NAME},
    {"host",                      KEY_HOSTS,         DB(host),                      HOSTS_MAX},
    {"port",                      KEY_PORT,          DB(port),                      0},
    {"user",                      KEY_TEXT,          DB(user),                      LIMIT_NAME},
    {"password",                  KEY_SECRET,        DB(password),                  SECRET_MAX},
    {"client_encoding",           KEY_TEXT,          DB(client_encoding),           PARAMETER_MAX},
    {"datestyle",                 KEY_TEXT,          DB(datestyle),                 PARAMETER_MAX},
    {"timezone",                  KEY_TEXT,          DB(timezone),                  PARAMETER_MAX},
    {"application_name",          KEY_TEXT,          DB(application_name),          PARAMETER_MAX},
    {"pool_mode",                 KEY_POOL_MODE,     DB(pool_mode),                 0},
    {"pool_size",                 KEY_COUNT,         DB(pool_size),                 0},
    {"max_db_client_connections", KEY_LIMIT,         DB(max_db_client_connections), 0},
    {"query_wait_timeout",        KEY_TIME,          DB(query_wait_timeout_us),     0},
    {"server_lifetime",           KEY_TIME,          DB(server_lifetime_us),        0},
    {"auth_user",                 KEY_LATER_TEXT,    0,                             0},
    {"auth_query",                KEY_LATER_TEXT,    0,                             0},
    {"auth_dbname",               KEY_LATER_TEXT,    0,                             0},
    {"connect_query",             KEY_TEXT,          DB(connect_query),             QUERY_MAX},
    {"min_pool_size",             KEY_COUNT,         DB(min_pool_size),             0},
    {"reserve_pool_size",         KEY_COUNT,         DB(reserve_pool_size),         0},
    {"reserve_pool",              KEY_COUNT,         DB(reserve_pool_size),         0},
    {"max_db_connections",        KEY_LIMIT,         DB(max_db_connections),        0},
    {"load_balance_hosts",        KEY_BALANCE,       DB(balance_hosts),             0},
    {"session_state",             KEY_SESSION_STATE, DB(session_state),             0},
    {"function_state",            KEY_FUNCTION_STATE, DB(function_state),           0},
    {NULL,                        KEY_END,           0,                             0},
};

static const struct entry_key user_keys[] = {
    {"pool_mode",                   KEY_POOL_MODE,   USER(pool_mode),                   0},
    {"pool_size",                   KEY_COUNT,       USER(pool_size),                   0},
    {"max_user_client_connections", KEY_LIMIT,       USER(max_user_client_connections), 0},
    {"query_wait_timeout",          KEY_TIME,        USER(query_wait_timeout_us),       0},
    {"query_timeout",               KEY_TIME,        USER(query_timeout_us),            0},
    {"idle_transaction_timeout",    KEY_TIME,        USER(idle_transaction_timeout_us), 0},
    {"transaction_timeout",         KEY_TIME,        USER(transaction_timeout_us),      0},
    {"client_idle_timeout",         KEY_TIME,        USER(client_idle_timeout_us),      0},
    {"reserve_pool_size",           KEY_COUNT,       USER(reserve_pool_size),           0},
    {"max_user_connections",        KEY_LIMIT,       USER(max_user_connections),        0},
    {"session_state",               KEY_SESSION_STATE, USER(session_state),             0},
    {"function_state",              KEY_FUNCTION_STATE, USER(function_state),           0},
    {NULL,                          KEY_END,         0,                                 0},
};

static const struct entry_key peer_keys[] = {
    {"host",      KEY_HOST,      PEER(host),      HOST_MAX},
    {"port",      KEY_PEER_PORT, PEER(port),      0},
    {"pool_size", KEY_COUNT,     PEER(pool_size), 0},
    {NULL,        KEY_END,       0,               0},
};
/* clang-format on */

static void *field_of(void *entry, const struct entry_key *key)
{
    return (char *)entry + key->offset;
}

static bool owns_text(const struct entry_key *key)
{
    return key->kind == KEY_TEXT || key->kind == KEY_SECRET || key->kind == KEY_HOST ||
           key->kind == KEY_HOSTS;
}

static void init_fields(void *entry, const struct entry_key *keys)
{
    for (const struct entry_key *key = keys; key->kind != KEY_END; key++) {
        switch (key->kind) {
        case KEY_PORT:
            *(int *)field_of(entry, key) = DEFAULT_PORT;
            break;
        case KEY_PEER_PORT:
            *(int *)field_of(entry, key) = DEFAULT_PEER_PORT;
            break;
        case KEY_COUNT:
        case KEY_LIMIT:
        case KEY_SESSION_STATE:
        case KEY_FUNCTION_STATE:
        case KEY_POOL_MODE:
            *(int *)field_of(entry, key) = -1;
            break;
        case KEY_TIME:
            *(int64_t *)field_of(entry, key) = -1;
            break;
        default:
            break; /* texts begin as NULL; those of later versions have no field */
        }
    }
}

static void free_texts(void *entry, const struct entry_key *keys)
{
    for (const struct entry_key *key = keys; key->kind != KEY_END; key++)
        if (owns_text(key))
            mem_wipe_free(*(char **)field_of(entry, key));
}

static bool refuse_later(const struct entry_key *key, struct err *err)
{
    return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                   "setting \"%s\" is not supported yet by this version", key->name);
}

static bool refuse(const struct entry_key *key, const char *value, const char *expected,
                   struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    if (key->kind == KEY_SECRET)
        return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "key \"%s\": expected %s", key->name,
                       expected);
    return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "key \"%s\": value \"%s\": expected %s",
                   key->name, conf_excerpt(value, excerpt), expected);
}

static bool store_text(void *field, const struct entry_key *key, const char *value, struct err *err)
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
static bool store_host(void *field, const struct entry_key *key, const char *value, bool list,
                       struct err *err)
{
    const char *at = value;
    while (value[0] != '\0') {
        size_t len = strcspn(at, ",");
        if (len == 0 || len > HOST_MAX || (at[len] == ',' && !list))
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

static bool store_int(int *field, const struct entry_key *key, const char *value, int min, int max,
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

static bool store_time(int64_t *field, const struct entry_key *key, const char *value,
                       struct err *err)
{
    if (strcmp(value, "-1") == 0)
        *field = -1;
    else if (!value_read_time_us(value, 1000000, field))
        return refuse(key, value, "a time in seconds, or with a unit such as 500ms", err);
    return true;
}

/* expected: the words, for the error. */
static bool store_word(int *field, const struct entry_key *key, const struct conf_word *words,
                       const char *value, const char *expected, struct err *err)
{
    const struct conf_word *word = conf_find_word(words, value);
    if (word == NULL)
        return refuse(key, value, expected, err);
    *field = word->value;
    return true;
}

static bool store(void *entry, const struct entry_key *key, const char *value, struct err *err)
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
    case KEY_PEER_PORT:
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
    case KEY_LATER_TEXT:
        return value[0] == '\0' || refuse_later(key, err);
    case KEY_BALANCE:
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

static const struct entry_key *find_key(const struct entry_key *keys, const char *name)
{
    for (; keys->kind != KEY_END; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

static bool store_pair(void *entry, const struct entry_key *keys, const struct connstr *pair,
                       struct err *err)
{
    char excerpt[CONF_EXCERPT_MAX];
    const struct entry_key *key = find_key(keys, pair->key);
    if (key == NULL)
        return err_set(err, SQLSTATE_UNDEFINED_OBJECT, "unknown key \"%s\"",
                       conf_excerpt(pair->key, excerpt));
    return store(entry, key, pair->value, err);
}

/* Where an error was found: howdah.ini:7: database "shop": ... */
struct entry_place {
    const char *kind;
    const struct ini_entry *line;
    struct conf_report *report;
};

static void complain(const struct entry_place *place, const char *what)
{
    char excerpt[CONF_EXCERPT_MAX];
    conf_report_error(place->report, place->line->file, place->line->line, "%s \"%s\": %s",
                      place->kind, conf_excerpt(place->line->key, excerpt), what);
}

/* Goes on after a pair with an error, but not after text that is no pair. */
static void store_pairs(void *entry, const struct entry_key *keys, const struct entry_place *place)
{
    struct connstr connstr;
    struct err err = ERR_NONE;
    enum connstr_step step;
    connstr_init(&connstr, place->line->value);
    while ((step = connstr_next(&connstr, &err)) == CONNSTR_PAIR)
        if (!store_pair(entry, keys, &connstr, &err))
            complain(place, err.message);
    if (step == CONNSTR_BAD)
        complain(place, err.message);
    connstr_done(&connstr);
}

static void check_name(const struct entry_place *place)
{
    size_t len = strlen(place->line->key);
    if (len == 0 || len > LIMIT_NAME)
        complain(place, "expected a name of 1 to 63 bytes");
}

static void fill(void *entry, const struct entry_key *keys, const struct entry_place *place)
{
    init_fields(entry, keys);
    check_name(place);
    store_pairs(entry, keys, place);
}

static void warn_again(const struct entry_place *place)
{
    conf_report_warning(place->report, place->line->file, place->line->line,
                        "%s \"%s\" is defined again, this line counts", place->kind,
                        place->line->key);
}

static void free_database(struct database_node *node)
{
    if (node == NULL)
        return;
    free_texts(&node->database, database_keys);
    mem_free((char *)node->database.name);
    mem_free(node);
}

static bool is_auto(const char *name)
{
    return strcmp(name, "*") == 0;
}

/* Returns the entry that the node replaces, or NULL. */
static struct database_node *swap_database(struct conf_entries *entries, struct database_node *node)
{
    struct database_node *old;
    if (is_auto(node->database.name)) {
        old = entries->auto_database;
        entries->auto_database = node;
        return old;
    }
    size_t len = strlen(node->database.name);
    HASH_FIND(hh, entries->databases, node->database.name, len, old);
    if (old != NULL)
        HASH_DEL(entries->databases, old);
    HASH_ADD_KEYPTR(hh, entries->databases, node->database.name, len, node);
    return old;
}

void entries_add_database(struct conf_entries *entries, const struct ini_entry *line,
                          struct conf_report *report)
{
    const struct entry_place place = {.kind = "database", .line = line, .report = report};
    size_t errors = report->n_errors;
    struct database_node *node = mem_new(sizeof *node);
    fill(&node->database, database_keys, &place);
    if (strcmp(line->key, "pgbouncer") == 0)
        complain(&place, "the name is reserved for the admin console");
    if (report->n_errors > errors) {
        free_database(node);
        return;
    }
    node->database.name = mem_strdup(line->key);
    if (node->database.dbname == NULL && !is_auto(line->key))
        node->database.dbname = mem_strdup(line->key);
    struct database_node *old = swap_database(entries, node);
    if (old != NULL)
        warn_again(&place);
    free_database(old);
}

static void free_user(struct user_node *node)
{
    mem_free((char *)node->user.name);
    mem_free(node);
}

void entries_add_user(struct conf_entries *entries, const struct ini_entry *line,
                      struct conf_report *report)
{
    const struct entry_place place = {.kind = "user", .line = line, .report = report};
    size_t errors = report->n_errors;
    struct user_node *node = mem_new(sizeof *node), *old;
    fill(&node->user, user_keys, &place);
    if (report->n_errors > errors) {
        free_user(node);
        return;
    }
    node->user.name = mem_strdup(line->key);
    size_t len = strlen(line->key);
    HASH_FIND(hh, entries->users, line->key, len, old);
    if (old != NULL) {
        HASH_DEL(entries->users, old);
        free_user(old);
        warn_again(&place);
    }
    HASH_ADD_KEYPTR(hh, entries->users, node->user.name, len, node);
}

static void free_peer(struct peer_node *node)
{
    free_texts(&node->peer, peer_keys);
    mem_free(node);
}

/* The name of a peer is its number. */
static void fill_peer(struct conf_peer *peer, const struct entry_place *place)
{
    int64_t id = 0;
    init_fields(peer, peer_keys);
    if (!value_read_int(place->line->key, 1, CONF_PEER_ID_MAX, &id))
        complain(place, "expected the number of a peer, from 1 to 16383");
    peer->id = (int)id;
    store_pairs(peer, peer_keys, place);
}

void entries_add_peer(struct conf_entries *entries, const struct ini_entry *line,
                      struct conf_report *report)
{
    const struct entry_place place = {.kind = "peer", .line = line, .report = report};
    size_t errors = report->n_errors;
    struct peer_node *node = mem_new(sizeof *node), *old;
    fill_peer(&node->peer, &place);
    if (report->n_errors == errors && node->peer.host == NULL)
        complain(&place, "key \"host\" is missing");
    if (report->n_errors > errors) {
        free_peer(node);
        return;
    }
    HASH_FIND(hh, entries->peers, &node->peer.id, sizeof node->peer.id, old);
    if (old != NULL) {
        HASH_DEL(entries->peers, old);
        free_peer(old);
        warn_again(&place);
    }
    HASH_ADD(hh, entries->peers, peer.id, sizeof node->peer.id, node);
}

struct conf_entries *entries_new(void)
{
    struct conf_entries *entries = mem_new(sizeof *entries);
    atomic_init(&entries->refs, 1);
    return entries;
}

struct conf_entries *entries_ref(struct conf_entries *entries)
{
    atomic_fetch_add_explicit(&entries->refs, 1, memory_order_relaxed);
    return entries;
}

static void free_all(struct conf_entries *entries)
{
    struct database_node *database, *next_database;
    HASH_ITER(hh, entries->databases, database, next_database)
    {
        HASH_DEL(entries->databases, database);
        free_database(database);
    }
    struct user_node *user, *next_user;
    HASH_ITER(hh, entries->users, user, next_user)
    {
        HASH_DEL(entries->users, user);
        free_user(user);
    }
    struct peer_node *peer, *next_peer;
    HASH_ITER(hh, entries->peers, peer, next_peer)
    {
        HASH_DEL(entries->peers, peer);
        free_peer(peer);
    }
    free_database(entries->auto_database);
    mem_free(entries);
}

void entries_unref(struct conf_entries *entries)
{
    if (entries != NULL && atomic_fetch_sub_explicit(&entries->refs, 1, memory_order_acq_rel) == 1)
        free_all(entries);
}

const struct conf_database *entries_find_database(const struct conf_entries *entries,
                                                  const char *name)
{
    struct database_node *node;
    HASH_FIND(hh, entries->databases, name, strlen(name), node);
    return node != NULL ? &node->database : NULL;
}

const struct conf_database *entries_auto_database(const struct conf_entries *entries)
{
    return entries->auto_database != NULL ? &entries->auto_database->database : NULL;
}

const struct conf_user *entries_find_user(const struct conf_entries *entries, const char *name)
{
    struct user_node *node;
    if (entries->users == NULL)
        return NULL; /* before the name is hashed: this is asked often */
    HASH_FIND(hh, entries->users, name, strlen(name), node);
    return node != NULL ? &node->user : NULL;
}

const struct conf_peer *entries_find_peer(const struct conf_entries *entries, int id)
{
    struct peer_node *node;
    HASH_FIND(hh, entries->peers, &id, sizeof id, node);
    return node != NULL ? &node->peer : NULL;
}

const struct conf_database *entries_next_database(const struct conf_entries *entries,
                                                  const struct conf_database *after)
{
    const struct database_node *node = (const struct database_node *)after;
    node = node != NULL ? node->hh.next : entries->databases;
    return node != NULL ? &node->database : NULL;
}

const struct conf_user *entries_next_user(const struct conf_entries *entries,
                                          const struct conf_user *after)
{
    const struct user_node *node = (const struct user_node *)after;
    node = node != NULL ? node->hh.next : entries->users;
    return node != NULL ? &node->user : NULL;
}

const struct conf_peer *entries_next_peer(const struct conf_entries *entries,
                                          const struct conf_peer *after)
{
    const struct peer_node *node = (const struct peer_node *)after;
    node = node != NULL ? node->hh.next : entries->peers;
    return node != NULL ? &node->peer : NULL;
}
