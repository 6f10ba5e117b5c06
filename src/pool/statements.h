/*
 * pool/statements.h - prepared statements, one name for each distinct (text, types)
 *
 * Clients that prepare the same text share one statement, which has one name on all servers, so
 * that a server needs it only once.
 *
 * Source:     PostgreSQL docs, protocol-message-formats-Parse
 * Ownership:  statements are counted; the table must outlive them
 * Threading:  the table and the counts by any thread; a statement_set by its server's thread
 */
#ifndef POOL_STATEMENTS_H
#define POOL_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/hash.h"

struct statement_table;

struct statement {
    struct map_entry entry; /* first: the map finds us by it */
    unsigned refs;          /* under the table's mutex */
    uint32_t name_len;
    char name[32]; /* on servers; without NUL in the messages' counts */
    size_t len;
    char body[]; /* of Parse behind the name: text, NUL, number of types, types */
};

#define STATEMENT_PREFIX "HOWDAH_"

struct statement_table *statement_table_new(void);
void statement_table_free(struct statement_table *table);

/* A counted reference. */
struct statement *statement_intern(struct statement_table *table, const char *body, size_t len);
struct statement *statement_ref(struct statement_table *table, struct statement *statement);
void statement_unref(struct statement_table *table, struct statement *statement);
size_t statement_table_count(struct statement_table *table);

/* What one server has prepared, least recently used first. */
struct prepared_here {
    struct map_entry entry;
    TAILQ_ENTRY(prepared_here) lru;
    struct statement *statement; /* counted */
};

struct statement_set {
    struct map map;
    TAILQ_HEAD(prepared_list, prepared_here) lru;
};

void statement_set_init(struct statement_set *set);
void statement_set_clear(struct statement_set *set, struct statement_table *table);

/* Has the server this statement?  Marks it as used. */
bool statement_set_use(struct statement_set *set, const struct statement *statement);
void statement_set_add(struct statement_set *set, struct statement_table *table,
                       struct statement *statement);
void statement_set_remove(struct statement_set *set, struct statement_table *table,
                          const struct statement *statement);
/* The least recently used one, NULL when empty; borrowed. */
struct statement *statement_set_oldest(const struct statement_set *set);

#endif
