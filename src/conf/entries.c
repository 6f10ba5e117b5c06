#include "conf/entries.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "conf/clusters.h"
#include "conf/hash.h"
#include "conf/ini.h"
#include "conf/keys.h"
#include "conf/report.h"
#include "conf/userlist.h"
#include "conf/value.h"
#include "conf/words.h"

enum {
    HOSTS_MAX = 65535,
    PARAMETER_MAX = 1000,
    QUERY_MAX = 1 << 20,
    SECRET_MAX = USERLIST_SECRET_MAX,
    DEFAULT_PORT = 5432,
    DEFAULT_PEER_PORT = 6432,
};

struct database_node {
    struct conf_database database; /* first, so that the public pointer leads here */
    char *file;                    /* owned: where it stands */
    int line;
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

#define DB(field)   offsetof(struct conf_database, field)
#define USER(field) offsetof(struct conf_user, field)
#define PEER(field) offsetof(struct conf_peer, field)

/* clang-format off */
static const struct conf_key database_keys[] = {
    {"dbname",                    KEY_TEXT,          DB(dbname),                    LIMIT_NAME},
    {"host",                      KEY_HOSTS,         DB(host),                      HOSTS_MAX},
    {"port",                      KEY_PORT,          DB(port),                      0},
    {"cluster",                   KEY_TEXT,          DB(cluster),                   LIMIT_NAME},
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
    {"auth_user",                 KEY_LATER,         0,                             0},
    {"auth_query",                KEY_LATER,         0,                             0},
    {"auth_dbname",               KEY_LATER,         0,                             0},
    {"connect_query",             KEY_TEXT,          DB(connect_query),             QUERY_MAX},
    {"min_pool_size",             KEY_COUNT,         DB(min_pool_size),             0},
    {"reserve_pool_size",         KEY_COUNT,         DB(reserve_pool_size),         0},
    {"reserve_pool",              KEY_COUNT,         DB(reserve_pool_size),         0},
    {"max_db_connections",        KEY_LIMIT,         DB(max_db_connections),        0},
    {"load_balance_hosts",        KEY_HOST_ORDER,    DB(balance_hosts),             0},
    {"session_state",             KEY_SESSION_STATE, DB(session_state),             0},
    {"function_state",            KEY_FUNCTION_STATE, DB(function_state),           0},
    {"read_write_split",          KEY_BOOL,          DB(read_write_split),          0},
    {"max_lag",                   KEY_LAG,           DB(max_lag_us),                0},
    {"reads_follow_writes",       KEY_READS_FOLLOW,  DB(reads_follow_writes),       0},
    {NULL,                        KEY_END,           0,                             0},
};

static const struct conf_key user_keys[] = {
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
    {"read_write_split",            KEY_BOOL,        USER(read_write_split),            0},
    {"max_lag",                     KEY_LAG,         USER(max_lag_us),                  0},
    {"reads_follow_writes",         KEY_READS_FOLLOW, USER(reads_follow_writes),        0},
    {NULL,                          KEY_END,         0,                                 0},
};

static const struct conf_key peer_keys[] = {
    {"host",      KEY_HOST,      PEER(host),      CONF_HOST_MAX},
    {"port",      KEY_PORT,      PEER(port),      0},
    {"pool_size", KEY_COUNT,     PEER(pool_size), 0},
    {NULL,        KEY_END,       0,               0},
};
/* clang-format on */

static void warn_again(const struct conf_place *place)
{
    conf_report_warning(place->report, place->line->file, place->line->line,
                        "%s \"%s\" is defined again, this line counts", place->kind,
                        place->line->key);
}

static void free_database(struct database_node *node)
{
    if (node == NULL)
        return;
    conf_keys_free(&node->database, database_keys);
    mem_free((char *)node->database.name);
    mem_free(node->file);
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

/* Read/write splitting has no standbys without a cluster. */
static void check_splitting(const struct conf_database *database, const struct conf_place *place)
{
    bool said = database->read_write_split >= 0 || database->max_lag_us >= 0 ||
                database->reads_follow_writes >= 0;
    if (said && database->cluster == NULL)
        conf_complain(place, "keys \"read_write_split\", \"max_lag\" and \"reads_follow_writes\" "
                             "are for a database with \"cluster\"");
}

void entries_add_database(struct conf_entries *entries, const struct ini_entry *line,
                          struct conf_report *report)
{
    const struct conf_place place = {.kind = "database", .line = line, .report = report};
    size_t errors = report->n_errors;
    struct database_node *node = mem_new(sizeof *node);
    conf_keys_fill(&node->database, database_keys, &place);
    if (strcmp(line->key, "pgbouncer") == 0)
        conf_complain(&place, "the name is reserved for the admin console");
    if (node->database.cluster != NULL && (node->database.host != NULL || node->database.port != 0))
        conf_complain(&place, "key \"cluster\" excludes \"host\" and \"port\"");
    check_splitting(&node->database, &place);
    if (node->database.port == 0)
        node->database.port = DEFAULT_PORT;
    if (report->n_errors > errors) {
        free_database(node);
        return;
    }
    node->file = mem_strdup(line->file);
    node->line = line->line;
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
    const struct conf_place place = {.kind = "user", .line = line, .report = report};
    size_t errors = report->n_errors;
    struct user_node *node = mem_new(sizeof *node), *old;
    conf_keys_fill(&node->user, user_keys, &place);
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
    conf_keys_free(&node->peer, peer_keys);
    mem_free(node);
}

/* The name of a peer is its number. */
static void fill_peer(struct conf_peer *peer, const struct conf_place *place)
{
    int64_t id = 0;
    conf_keys_init(peer, peer_keys);
    if (!value_read_int(place->line->key, 1, CONF_PEER_ID_MAX, &id))
        conf_complain(place, "expected the number of a peer, from 1 to 16383");
    peer->id = (int)id;
    conf_keys_store(peer, peer_keys, place);
}

void entries_add_peer(struct conf_entries *entries, const struct ini_entry *line,
                      struct conf_report *report)
{
    const struct conf_place place = {.kind = "peer", .line = line, .report = report};
    size_t errors = report->n_errors;
    struct peer_node *node = mem_new(sizeof *node), *old;
    fill_peer(&node->peer, &place);
    if (report->n_errors == errors && node->peer.host == NULL)
        conf_complain(&place, "key \"host\" is missing");
    if (node->peer.port == 0)
        node->peer.port = DEFAULT_PEER_PORT;
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

static void check_database(const struct database_node *node, const struct conf_clusters *clusters,
                           struct conf_report *report)
{
    char excerpt[CONF_EXCERPT_MAX];
    const struct conf_database *database = &node->database;
    if (database->cluster != NULL && clusters_find(clusters, database->cluster) == NULL)
        conf_report_error(report, node->file, node->line,
                          "database \"%s\": there is no section [cluster.%s]", database->name,
                          conf_excerpt(database->cluster, excerpt));
}

void entries_check(const struct conf_entries *entries, const struct conf_clusters *clusters,
                   struct conf_report *report)
{
    const struct database_node *node;
    for (node = entries->databases; node != NULL; node = node->hh.next)
        check_database(node, clusters, report);
    if (entries->auto_database != NULL)
        check_database(entries->auto_database, clusters, report);
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
