#include "pool/opening.h"

#include <string.h>

#include "base/mem.h"

struct opening *opening_new(const struct startup_param *params, size_t n,
                            enum startup_replication replication)
{
    if (n == 0 && replication == STARTUP_NO_REPLICATION)
        return NULL;
    struct opening *opening = mem_new(sizeof *opening);
    atomic_init(&opening->refs, 1);
    opening->replication = replication;
    opening->n = n;
    opening->params = mem_new_array(n, sizeof *params);
    for (size_t i = 0; i < n; i++) {
        opening->params[i].name = mem_strdup(params[i].name);
        opening->params[i].value = mem_strdup(params[i].value);
    }
    return opening;
}

struct opening *opening_ref(struct opening *opening)
{
    if (opening != NULL)
        atomic_fetch_add_explicit(&opening->refs, 1, memory_order_relaxed);
    return opening;
}

void opening_unref(struct opening *opening)
{
    if (opening == NULL || atomic_fetch_sub_explicit(&opening->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < opening->n; i++) {
        mem_free((char *)opening->params[i].name);
        mem_free((char *)opening->params[i].value);
    }
    mem_free(opening->params);
    mem_free(opening);
}

bool opening_is_for_one(const struct opening *opening)
{
    return opening_replication(opening) != STARTUP_NO_REPLICATION;
}

bool opening_equal(const struct opening *a, const struct opening *b)
{
    if (a == NULL || b == NULL || a->n != b->n || opening_is_for_one(a) || opening_is_for_one(b))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->params[i].name, b->params[i].name) != 0 ||
            strcmp(a->params[i].value, b->params[i].value) != 0)
            return false;
    }
    return true;
}
