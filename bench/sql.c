/* bench/sql METHOD TIMES TEXT: what bench/sql runs under the instruction counter, and by the clock */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "sql/cache.h"
#include "sql/facts.h"
#include "sql/glance.h"

enum { MAX_LEN = 1 << 20, CACHE_BYTES = 1 << 20 };

static size_t found; /* so that nothing is optimised away */

static void plain(const char *text, size_t len, long times)
{
    for (long i = 0; i < times; i++)
        found += sql_is_plain(text, len, false);
}

static void plain_calls(const char *text, size_t len, long times)
{
    for (long i = 0; i < times; i++)
        found += sql_is_plain(text, len, true);
}

static void facts(const char *text, size_t len, long times)
{
    for (long i = 0; i < times; i++) {
        struct sql_facts *all = sql_facts_of(text, len, MAX_LEN, true);
        found += all->n_statements;
        sql_facts_free(all);
    }
}

static void cached(const char *text, size_t len, long times)
{
    struct sql_cache *cache = sql_cache_new(CACHE_BYTES, MAX_LEN);
    for (long i = 0; i < times; i++)
        found += sql_cache_get(cache, text, len, true)->n_statements;
    sql_cache_free(cache);
}

static const struct {
    const char *name;
    void (*run)(const char *text, size_t len, long times);
} methods[] = {{"plain", plain}, {"plain+calls", plain_calls}, {"facts", facts}, {"cached", cached}};

int main(int argc, char **argv)
{
    struct timespec from, to;
    hash_init();
    for (size_t i = 0; argc == 4 && i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(argv[1], methods[i].name) != 0)
            continue;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        methods[i].run(argv[3], strlen(argv[3]), atol(argv[2]));
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
        printf("%.0f\n", ns / (double)atol(argv[2]));
        sql_thread_done();
        return found == 0;
    }
    return 2;
}
