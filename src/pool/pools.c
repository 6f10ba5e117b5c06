/* The registry of pools and databases. */
#include "pool/pool.h"

#include <string.h>

#include "auth/scram_cache.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "pool/canon.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/statements.h"
#include "pool/welcome.h"

struct pools *pools_new(unsigned n_workers, const char *track_extra_parameters)
{
    struct pools *pools = mem_new(sizeof *pools);
    pthread_mutex_init(&pools->mutex, NULL);
    pthread_mutex_init(&pools->room, NULL);
    pools->last = &pools->first;
    pools->last_database = &pools->databases;
    pools->n_workers = n_workers;
    pools->workers = mem_new_array(n_workers, sizeof(struct pool_worker *));
    pools->resolver = resolver_new();
    pools->scram_cache = scram_cache_new();
    pools->statements = statement_table_new();
    pools->params = params_table_new(track_extra_parameters);
    return pools;
}

void pool_free(struct pool *pool)
{
    mem_wipe(&pool->keys, sizeof pool->keys);
    welcome_unref(pool, pool->welcome);
    canon_free(pool->canon);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool->slots);
    mem_free(pool->parts);
    mem_free(pool->user);
    mem_free(pool->node);
    mem_free(pool);
}

void pools_stop(struct pools *pools)
{
    resolver_free(pools->resolver);
    pools->resolver = NULL;
}

void pools_free(struct pools *pools)
{
    if (pools == NULL)
        return;
    for (struct pool *pool = pools->first, *next; pool != NULL; pool = next) {
        next = pool->next;
        pool_free(pool);
    }
    for (struct database *database = pools->databases, *next; database != NULL; database = next) {
        next = database->next;
        mem_free(database->name);
        mem_free(database);
    }
    uint32_t at = 0;
    struct role *role;
    while ((role = (struct role *)map_next(&pools->role_by_name, &at)) != NULL) {
        mem_free(role->name);
        mem_free(role);
    }
    map_done(&pools->role_by_name);
    map_done(&pools->by_name);
    map_done(&pools->database_by_name);
    resolver_free(pools->resolver);
    scram_cache_free(pools->scram_cache);
    statement_table_free(pools->statements);
    params_table_free(pools->params);
    pthread_mutex_destroy(&pools->mutex);
    pthread_mutex_destroy(&pools->room);
    mem_free(pools->workers);
    mem_free(pools);
}

static bool same_database(const struct map_entry *entry, const void *name)
{
    return strcmp(((const struct database *)entry)->name, name) == 0;
}

/* With the mutex held. */
static struct database *get_database(struct pools *pools, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name));
    struct database *database =
        (struct database *)map_find(&pools->database_by_name, hash, same_database, name);
    if (database != NULL)
        return database;
    database = mem_new(sizeof *database);
    database->entry.hash = hash;
    database->name = mem_strdup(name);
    atomic_init(&database->write_us,
                clock_now_us()); /* another process may have written just now */
    map_add(&pools->database_by_name, &database->entry);
    *pools->last_database = database;
    pools->last_database = &database->next;
    return database;
}

struct database *pools_database(struct pools *pools, const char *name)
{
    pthread_mutex_lock(&pools->mutex);
    struct database *database = get_database(pools, name);
    pthread_mutex_unlock(&pools->mutex);
    return database;
}

static bool same_role(const struct map_entry *entry, const void *name)
{
    return strcmp(((const struct role *)entry)->name, name) == 0;
}

/* With the mutex held. */
static struct role *get_role(struct pools *pools, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name));
    struct role *role = (struct role *)map_find(&pools->role_by_name, hash, same_role, name);
    if (role == NULL) {
        role = mem_new(sizeof *role);
        role->entry.hash = hash;
        role->name = mem_strdup(name);
        map_add(&pools->role_by_name, &role->entry);
    }
    return role;
}

struct role *pools_role(struct pools *pools, const char *name)
{
    pthread_mutex_lock(&pools->mutex);
    struct role *role = get_role(pools, name);
    pthread_mutex_unlock(&pools->mutex);
    return role;
}

struct pool_name {
    const char *database, *user;
};

static bool same_pool(const struct map_entry *entry, const void *key)
{
    const struct pool *pool = (const struct pool *)entry;
    const struct pool_name *name = key;
    return strcmp(pool->database->name, name->database) == 0 && strcmp(pool->user, name->user) == 0;
}

static struct pool *make_pool(struct pools *pools, const struct pool_name *name)
{
    struct pool *pool = mem_new(sizeof *pool);
    pool->pools = pools;
    pool->database = get_database(pools, name->database);
    pool->user = mem_strdup(name->user);
    pool->role = get_role(pools, name->user);
    pthread_mutex_init(&pool->mutex, NULL);
    pool->slots = mem_new_aligned(64, pools->n_workers * sizeof(struct pool_slot));
    pool->parts = mem_new_array(pools->n_workers, sizeof(struct part *));
    *pools->last = pool;
    pools->last = &pool->next;
    return pool;
}

static struct pool *get_pool(struct pools *pools, const char *database, const char *user,
                             bool forced_user, int holders)
{
    struct pool_name name = {database, user};
    uint64_t hash = hash_bytes(database, strlen(database)) * 31 + hash_bytes(user, strlen(user));
    pthread_mutex_lock(&pools->mutex);
    struct pool *pool = (struct pool *)map_find(&pools->by_name, hash, same_pool, &name);
    if (pool == NULL) {
        pool = make_pool(pools, &name);
        pool->entry.hash = hash;
        map_add(&pools->by_name, &pool->entry);
    }
    pool->forced_user = forced_user;
    atomic_fetch_add(&pool->n_holders, holders);
    pthread_mutex_unlock(&pools->mutex);
    return pool;
}

struct pool *pools_get(struct pools *pools, const char *database, const char *user,
                       bool forced_user)
{
    return get_pool(pools, database, user, forced_user, 0);
}

struct pool *pools_enter(struct pools *pools, const char *database, const char *user,
                         bool forced_user)
{
    return get_pool(pools, database, user, forced_user, 1);
}

struct pool *pools_reader(struct pool *home, const char *node)
{
    struct pools *pools = home->pools;
    struct pool_name name = {home->database->name, home->user};
    pthread_mutex_lock(&pools->mutex);
    struct pool *pool = home->readers;
    while (pool != NULL && strcmp(pool->node, node) != 0)
        pool = pool->next_reader;
    if (pool == NULL) {
        pool = make_pool(pools, &name);
        pool->node = mem_strdup(node);
        pool->home = home;
        pool->forced_user = home->forced_user;
        pool->next_reader = home->readers;
        home->readers = pool;
    }
    pthread_mutex_unlock(&pools->mutex);
    return pool;
}

/* After how long without clients and servers a pool is forgotten; 0: never. */
static int64_t idle_limit_us(const struct pool *pool, const struct settings *settings)
{
    int64_t limit_us = settings->pool_idle_timeout_us, auto_us = settings->autodb_idle_timeout_us;
    bool automatic = conf_find_database(settings, pool->database->name) == NULL;
    if (automatic && auto_us > 0 && (limit_us == 0 || auto_us < limit_us))
        limit_us = auto_us;
    return limit_us;
}

static bool is_in_use(struct pool *pool)
{
    for (struct pool *reader = pool->readers; reader != NULL; reader = reader->next_reader) {
        if (atomic_load(&reader->n_holders) > 0 || atomic_load(&reader->size) > 0)
            return true;
    }
    return atomic_load(&pool->n_holders) > 0 || atomic_load(&pool->size) > 0;
}

/* With the mutex held.  A reader goes with its home, which stands before it in the list. */
static bool is_forgotten(struct pool *pool, const struct settings *settings, int64_t now_us)
{
    int64_t limit_us = idle_limit_us(pool, settings);
    if (pool->home != NULL)
        return atomic_load(&pool->home->retired);
    if (limit_us == 0 || is_in_use(pool)) {
        pool->unused_since_us = 0;
        return false;
    }
    if (pool->unused_since_us == 0)
        pool->unused_since_us = now_us;
    return now_us - pool->unused_since_us >= limit_us;
}

struct pool *pools_retire(struct pools *pools, const struct settings *settings, int64_t now_us)
{
    struct pool *retired = NULL;
    pthread_mutex_lock(&pools->mutex);
    struct pool **at = &pools->first;
    while (*at != NULL) {
        struct pool *pool = *at;
        if (!is_forgotten(pool, settings, now_us)) {
            at = &pool->next;
            continue;
        }
        *at = pool->next;
        if (pool->home == NULL)
            map_remove(&pools->by_name, &pool->entry);
        atomic_store(&pool->retired, true);
        pool->next = retired;
        retired = pool;
    }
    pools->last = at;
    pthread_mutex_unlock(&pools->mutex);
    return retired;
}

void pool_leave(struct pool *pool)
{
    atomic_fetch_sub(&pool->n_holders, 1);
}

struct pool *pools_first(struct pools *pools)
{
    pthread_mutex_lock(&pools->mutex);
    struct pool *first = pools->first;
    pthread_mutex_unlock(&pools->mutex);
    return first;
}

struct database *pools_first_database(struct pools *pools)
{
    pthread_mutex_lock(&pools->mutex);
    struct database *first = pools->databases;
    pthread_mutex_unlock(&pools->mutex);
    return first;
}

struct pool *pool_next(struct pools *pools, struct pool *pool)
{
    pthread_mutex_lock(&pools->mutex);
    struct pool *next = pool->next;
    pthread_mutex_unlock(&pools->mutex);
    return next;
}

struct database *database_next(struct pools *pools, struct database *database)
{
    pthread_mutex_lock(&pools->mutex);
    struct database *next = database->next;
    pthread_mutex_unlock(&pools->mutex);
    return next;
}

struct role *pools_find_role(struct pools *pools, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name));
    pthread_mutex_lock(&pools->mutex);
    struct role *role = (struct role *)map_find(&pools->role_by_name, hash, same_role, name);
    pthread_mutex_unlock(&pools->mutex);
    return role;
}

struct role **pools_list_roles(struct pools *pools, size_t *n)
{
    struct map_entry *role;
    uint32_t at = 0;
    pthread_mutex_lock(&pools->mutex);
    struct role **list = mem_new_array(pools->role_by_name.count, sizeof(struct role *));
    for (*n = 0; (role = map_next(&pools->role_by_name, &at)) != NULL; ++*n)
        list[*n] = (struct role *)role;
    pthread_mutex_unlock(&pools->mutex);
    return list;
}

size_t pools_count_roles(struct pools *pools)
{
    pthread_mutex_lock(&pools->mutex);
    size_t n = pools->role_by_name.count;
    pthread_mutex_unlock(&pools->mutex);
    return n;
}

void pool_keep_keys(struct pool *pool, const struct scram_keys *keys)
{
    pthread_mutex_lock(&pool->mutex);
    pool->keys = *keys;
    pool->has_keys = true;
    pthread_mutex_unlock(&pool->mutex);
}

const struct conf_database *conf_database_for(const struct settings *settings, const char *name)
{
    const struct conf_database *database = conf_find_database(settings, name);
    return database != NULL ? database : conf_auto_database(settings);
}
