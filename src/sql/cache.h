/*
 * sql/cache.h - the facts of texts that come again
 *
 * By the exact text, compared byte by byte, and by how its backslashes are read; nothing else makes a
 * difference to its facts.  What was used least recently makes room.  A text is kept when it comes for
 * the second time, as many come once only; one that would take more than a part of the whole is parsed each time.
 *
 * Ownership:  facts are borrowed until the next sql_cache_get() or sql_cache_free()
 * Threading:  one thread, which also ends with sql_thread_done() (sql/facts.h)
 */
#ifndef SQL_CACHE_H
#define SQL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sql_facts;
struct sql_cache;

struct sql_cache_counts {
    uint64_t hits, misses, evictions;
    size_t entries, bytes; /* that are there now; bytes of texts, facts and what holds them */
};

/* Of at most max_bytes; 0: nothing is kept.  Texts of more than max_len bytes are not parsed. */
struct sql_cache *sql_cache_new(size_t max_bytes, size_t max_len);
void sql_cache_free(struct sql_cache *cache); /* accepts NULL */

const struct sql_facts *sql_cache_get(struct sql_cache *cache, const char *text, size_t len,
                                      bool standard_conforming_strings);

struct sql_cache_counts sql_cache_counts(const struct sql_cache *cache);

#endif
