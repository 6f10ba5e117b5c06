#include "pool/statements.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct statement_table {
    pthread_mutex_t mutex;
    struct map map;
    uint64_t last_id;
    size_t bytes; /* of all bodies */
};

struct body {
    const char *ptr;
    size_t len;
    uint64_t environment;
};

struct statement_table *statement_table_new(void)
{
    struct statement_table *table = mem_new(sizeof *table);
    pthread_mutex_init(&table->mutex, NULL);
    return table;
}

void statement_table_free(struct statement_table *table)
{
    if (table == NULL)
        return;
    map_done(&table->map);
    pthread_mutex_destroy(&table->mutex);
    mem_free(table);
}

struct statement_usage statement_table_usage(struct statement_table *table)
{
    pthread_mutex_lock(&table->mutex);
    struct statement_usage usage = {.n = table->map.count, .bytes = table->bytes};
    pthread_mutex_unlock(&table->mutex);
    return usage;
}

static bool same_body(const struct map_entry *entry, const void *key)
{
    const struct statement *statement = (const struct statement *)entry;
    const struct body *body = key;
    return statement->len == body->len && statement->environment == body->environment &&
           memcmp(statement->body, body->ptr, body->len) == 0;
}

static struct statement *make(struct statement_table *table, const struct body *body)
{
    struct statement *statement = mem_new(sizeof *statement + body->len);
    statement->name_len =
        (uint32_t)snprintf(statement->name, sizeof statement->name, STATEMENT_PREFIX "%llu",
                           (unsigned long long)++table->last_id);
    statement->environment = body->environment;
    statement->len = body->len;
    memcpy(statement->body, body->ptr, body->len);
    return statement;
}

struct statement *statement_intern(struct statement_table *table, const char *body, size_t len,
                                   uint64_t environment)
{
    struct body key = {body, len, environment};
    uint64_t hash = hash_bytes(body, len) ^ environment;
    pthread_mutex_lock(&table->mutex);
    struct statement *statement = (struct statement *)map_find(&table->map, hash, same_body, &key);
    if (statement == NULL) {
        statement = make(table, &key);
        statement->entry.hash = hash;
        map_add(&table->map, &statement->entry);
        table->bytes += len;
    }
    statement->refs++;
    pthread_mutex_unlock(&table->mutex);
    return statement;
}

struct statement *statement_ref(struct statement_table *table, struct statement *statement)
{
    pthread_mutex_lock(&table->mutex);
    statement->refs++;
    pthread_mutex_unlock(&table->mutex);
    return statement;
}

void statement_unref(struct statement_table *table, struct statement *statement)
{
    if (statement == NULL)
        return;
    pthread_mutex_lock(&table->mutex);
    bool last = --statement->refs == 0;
    if (last) {
        map_remove(&table->map, &statement->entry);
        table->bytes -= statement->len;
    }
    pthread_mutex_unlock(&table->mutex);
    if (last)
        mem_free(statement);
}

/* ---- what a server has ---- */

struct prepared_here {
    struct map_entry entry; /* first: the map finds us by it */
    TAILQ_ENTRY(prepared_here) lru;
    struct statement *statement; /* counted */
    bool present;
    unsigned pending; /* changes whose reply has not come */
    uint32_t batch;   /* of the last change */
    uint32_t epoch;   /* when it was prepared */
};

void statement_set_init(struct statement_set *set)
{
    *set = (struct statement_set){0};
    TAILQ_INIT(&set->lru);
}

static bool same_statement(const struct map_entry *entry, const void *key)
{
    return ((const struct prepared_here *)entry)->statement == key;
}

static struct prepared_here *find(const struct statement_set *set,
                                  const struct statement *statement)
{
    return (struct prepared_here *)map_find(&set->map, statement->entry.hash, same_statement,
                                            statement);
}

static void set_present(struct statement_set *set, struct prepared_here *here, bool present)
{
    if (present)
        TAILQ_INSERT_TAIL(&set->lru, here, lru);
    else
        TAILQ_REMOVE(&set->lru, here, lru);
    set->count += present ? 1 : (uint32_t)-1;
    set->bytes += present ? here->statement->len : -here->statement->len;
    here->present = present;
}

static void forget(struct statement_set *set, struct statement_table *table,
                   struct prepared_here *here)
{
    map_remove(&set->map, &here->entry);
    statement_unref(table, here->statement);
    mem_free(here);
}

enum statement_presence statement_set_find(struct statement_set *set,
                                           const struct statement *statement, uint32_t batch,
                                           uint32_t epoch)
{
    struct prepared_here *here = find(set, statement);
    if (here == NULL)
        return STATEMENT_ABSENT;
    if (here->pending > 0 && here->batch != batch)
        return STATEMENT_UNCERTAIN;
    if (!here->present)
        return STATEMENT_ABSENT;
    if (here->epoch != epoch && here->pending == 0)
        return STATEMENT_STALE;
    if (TAILQ_NEXT(here, lru) != NULL) {
        TAILQ_REMOVE(&set->lru, here, lru);
        TAILQ_INSERT_TAIL(&set->lru, here, lru);
    }
    return STATEMENT_PRESENT;
}

void statement_set_change(struct statement_set *set, struct statement_table *table,
                          struct statement *statement, uint32_t batch, uint32_t epoch)
{
    struct prepared_here *here = find(set, statement);
    if (here == NULL) {
        here = mem_new(sizeof *here);
        here->entry.hash = statement->entry.hash;
        here->statement = statement_ref(table, statement);
        map_add(&set->map, &here->entry);
    }
    set_present(set, here, !here->present);
    here->pending++;
    here->batch = batch;
    here->epoch = epoch;
}

void statement_set_settle(struct statement_set *set, struct statement_table *table,
                          const struct statement *statement, bool done)
{
    struct prepared_here *here = find(set, statement);
    if (here == NULL || here->pending == 0)
        return; /* the set has been cleared meanwhile */
    here->pending--;
    if (!done)
        set_present(set, here, !here->present);
    if (!here->present && here->pending == 0)
        forget(set, table, here);
}

void statement_set_done(struct statement_set *set, struct statement_table *table)
{
    struct prepared_here *here;
    while ((here = (struct prepared_here *)map_any(&set->map)) != NULL) {
        if (here->present)
            set_present(set, here, false);
        forget(set, table, here);
    }
}

void statement_set_clear(struct statement_set *set, struct statement_table *table)
{
    struct prepared_here *here, *next;
    for (here = TAILQ_FIRST(&set->lru); here != NULL; here = next) {
        next = TAILQ_NEXT(here, lru);
        if (here->pending > 0)
            continue;
        set_present(set, here, false);
        forget(set, table, here);
    }
}

struct statement *statement_set_oldest(const struct statement_set *set)
{
    const struct prepared_here *here = TAILQ_FIRST(&set->lru);
    while (here != NULL && here->pending > 0)
        here = TAILQ_NEXT(here, lru);
    return here != NULL ? here->statement : NULL;
}
