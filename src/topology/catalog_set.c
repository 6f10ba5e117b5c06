#include "topology/catalog_set.h"

#include <string.h>

#include "base/mem.h"

struct catalog_set *catalog_set_ref(struct catalog_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void catalog_set_unref(struct catalog_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->n; i++) {
        mem_free(set->at[i].cluster);
        mem_free(set->at[i].dbname);
        catalog_unref(set->at[i].catalog);
    }
    mem_free(set->at);
    mem_free(set);
}

struct catalog *catalog_set_find(const struct catalog_set *set, const char *cluster,
                                 const char *dbname)
{
    for (size_t i = 0; set != NULL && i < set->n; i++)
        if (strcmp(set->at[i].cluster, cluster) == 0 && strcmp(set->at[i].dbname, dbname) == 0)
            return set->at[i].catalog;
    return NULL;
}
