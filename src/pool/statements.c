#include "pool/statements.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct statement_table {
    pthread_mutex_t mutex;
    struct map map;
    uint64_t last_id;
};

struct body {
    const char *ptr;
    size_t len;
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

static bool same_body(const struct map_entry *entry, const void *key)
{
    const struct statement *statement = (const struct statement *)entry;
    const struct body *body = key;
    return statement->len == body->len && memcmp(statement->body, body->ptr, body->len) == 0;
}

static struct statement *make(struct statement_table *table, const struct body *body)
{
    struct statement *statement = mem_new(sizeof *statement + body->len);
    statement->name_len = (uint32_t)snprintf(statement->name, sizeof statement->name,
                                             STATEMENT_PREFIX "%llu",
                                             (unsigned long long)++table->last_id);
    statement->len = body->len;
    memcpy(statement->body, body->ptr, body->len);
    return statement;
}

struct statement *statement_intern(struct statement_table *table, const char *body, size_t len)
{
    struct body key = {body, len};
    uint64_t hash = hash_bytes(body, len);
    pthread_mutex_lock(&table->mutex);
    struct statement *statement =
        (struct statement *)map_find(&table->map, hash, same_body, &key);
    if (statement == NULL) {
        statement = make(table, &key);
        statement->entry.hash = hash;
        map_add(&table->map, &statement->entry);
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
    if (last)
        map_remove(&table->map, &statement->entry);
    pthread_mutex_unlock(&table->mutex);
    if (last)
        mem_free(statement);
}

size_t statement_table_count(struct statement_table *table)
{
    pthread_mutex_lock(&table->mutex);
    size_t count = table->map.count;
    pthread_mutex_unlock(&table->mutex);
    return count;
}

void statement_set_init(struct statement_set *set)
{
    set->map = (struct map){0};
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

bool statement_set_use(struct statement_set *set, const struct statement *statement)
{
    struct prepared_here *here = find(set, statement);
    if (here == NULL)
        return false;
    if (TAILQ_NEXT(here, lru) != NULL) {
        TAILQ_REMOVE(&set->lru, here, lru);
        TAILQ_INSERT_TAIL(&set->lru, here, lru);
    }
    return true;
}

void statement_set_add(struct statement_set *set, struct statement_table *table,
                       struct statement *statement)
{
    if (statement_set_use(set, statement))
        return;
    struct prepared_here *here = mem_new(sizeof *here);
    here->entry.hash = statement->entry.hash;
    here->statement = statement_ref(table, statement);
    map_add(&set->map, &here->entry);
    TAILQ_INSERT_TAIL(&set->lru, here, lru);
}

void statement_set_remove(struct statement_set *set, struct statement_table *table,
                          const struct statement *statement)
{
    struct prepared_here *here = find(set, statement);
    if (here == NULL)
        return;
    map_remove(&set->map, &here->entry);
    TAILQ_REMOVE(&set->lru, here, lru);
    statement_unref(table, here->statement);
    mem_free(here);
}

void statement_set_clear(struct statement_set *set, struct statement_table *table)
{
    struct statement *oldest;
    while ((oldest = statement_set_oldest(set)) != NULL)
        statement_set_remove(set, table, oldest);
}

struct statement *statement_set_oldest(const struct statement_set *set)
{
    const struct prepared_here *here = TAILQ_FIRST(&set->lru);
    return here != NULL ? here->statement : NULL;
}
