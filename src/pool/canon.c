#include "pool/canon.h"

#include <string.h>

#include "base/mem.h"
#include "pool/pool.h"

/* Few values are in use; more than these are asked for anew each time. */
enum { CANON_MAX = 64 };

struct canon {
    struct canon *next;
    char *name, *base, *raw, *spelt; /* owned */
};

/* With the mutex held. */
static struct canon *find(struct pool *pool, const char *name, const char *base, const char *raw)
{
    struct canon *canon = pool->canon;
    while (canon != NULL && (strcmp(canon->name, name) != 0 || strcmp(canon->base, base) != 0 ||
                             strcmp(canon->raw, raw) != 0))
        canon = canon->next;
    return canon;
}

char *canon_find(struct pool *pool, const char *name, const char *base, const char *raw)
{
    pthread_mutex_lock(&pool->mutex);
    struct canon *canon = find(pool, name, base, raw);
    char *spelt = canon != NULL ? mem_strdup(canon->spelt) : NULL;
    pthread_mutex_unlock(&pool->mutex);
    return spelt;
}

void canon_add(struct pool *pool, const char *name, const char *base, const char *raw,
               const char *spelt)
{
    pthread_mutex_lock(&pool->mutex);
    if (find(pool, name, base, raw) == NULL && pool->n_canon < CANON_MAX) {
        struct canon *canon = mem_new(sizeof *canon);
        canon->name = mem_strdup(name);
        canon->base = mem_strdup(base);
        canon->raw = mem_strdup(raw);
        canon->spelt = mem_strdup(spelt);
        canon->next = pool->canon;
        pool->canon = canon;
        pool->n_canon++;
    }
    pthread_mutex_unlock(&pool->mutex);
}

void canon_free(struct canon *canon)
{
    while (canon != NULL) {
        struct canon *next = canon->next;
        mem_free(canon->name);
        mem_free(canon->base);
        mem_free(canon->raw);
        mem_free(canon->spelt);
        mem_free(canon);
        canon = next;
    }
}
