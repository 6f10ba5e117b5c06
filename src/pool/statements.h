/*
 * pool/statements.h - prepared statements, one name for each distinct (text, types, environment)
 *
 * Clients that prepare the same text share one statement, which has one name on all servers, so
 * that a server needs it only once.  Literals are read when a statement is parsed: what '01/02/2020'
 * is depends on DateStyle.  So the settings at that time, the environment, are part of what it is;
 * see params_environment().
 *
 * A statement comes from a Parse message or from SQL's PREPARE; the body tells which.
 *
 * Source:     PostgreSQL docs, protocol-message-formats-Parse
 * Ownership:  statements are counted; the table must outlive them
 * Threading:  the table and the counts by any thread; a statement_set by its server's thread
 */
#ifndef POOL_STATEMENTS_H
#define POOL_STATEMENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "base/hash.h"

struct statement_table;

struct statement {
    struct map_entry entry; /* first: the map finds us by it */
    unsigned refs;          /* under the table's mutex */
    uint64_t environment;
    atomic_uchar glance; /* what a look at the text has told whoever uses it; 0: nothing yet */
    _Atomic uint64_t reads_by; /* it was found to read, by what this stands for; 0: it was not */
    uint32_t name_len;
    char name[32]; /* on servers; without NUL in the messages' counts */
    size_t len;
    char body
        []; /* of Parse behind the name: text, NUL, number of types, types; or what stands behind
                  * the name in a PREPARE, with a NUL */
};

#define STATEMENT_PREFIX "HOWDAH_"

struct statement_table *statement_table_new(void);
void statement_table_free(struct statement_table *table);

/* How many there are, and what their texts take. */
struct statement_usage {
    size_t n, bytes;
};
struct statement_usage statement_table_usage(struct statement_table *table);

/* Was it made by SQL's PREPARE? */
static inline bool statement_is_by_sql(const struct statement *statement)
{
    return memchr(statement->body, '\0', statement->len) == statement->body + statement->len - 1;
}

/* A counted reference. */
struct statement *statement_intern(struct statement_table *table, const char *body, size_t len,
                                   uint64_t environment);
struct statement *statement_ref(struct statement_table *table, struct statement *statement);
void statement_unref(struct statement_table *table, struct statement *statement);

/* What one server has prepared.  A change takes effect when it is sent, and may be undone when its
 * reply has come; until then only messages of the same batch may rely on it. */
struct statement_set {
    struct map map;
    TAILQ_HEAD(prepared_list, prepared_here)
    lru;            /* those that are there, least recently used first */
    uint32_t count; /* of them */
    size_t bytes;   /* of their texts */
};

enum statement_presence {
    STATEMENT_ABSENT,
    STATEMENT_PRESENT,
    STATEMENT_STALE,     /* there, but of an earlier epoch: it must be closed and prepared again */
    STATEMENT_UNCERTAIN, /* it depends on a reply to an earlier batch */
};

void statement_set_init(struct statement_set *set);
void statement_set_done(struct statement_set *set, struct statement_table *table);
/* The server has forgotten all it had; changes whose reply is still to come come after that. */
void statement_set_clear(struct statement_set *set, struct statement_table *table);

/* Has the server this statement, as far as the batch may know?  If so it counts as used.  epoch: the
 * present one of the pool, see pool->plan_epoch. */
enum statement_presence statement_set_find(struct statement_set *set,
                                           const struct statement *statement, uint32_t batch,
                                           uint32_t epoch);
/* Parse, if it was absent, or Close, if it was present, is on its way. */
void statement_set_change(struct statement_set *set, struct statement_table *table,
                          struct statement *statement, uint32_t batch, uint32_t epoch);
/* The reply to that has come: the change is done, or did not happen. */
void statement_set_settle(struct statement_set *set, struct statement_table *table,
                          const struct statement *statement, bool done);
/* The least recently used one whose presence is sure; NULL if there is none.  Borrowed. */
struct statement *statement_set_oldest(const struct statement_set *set);

#endif
