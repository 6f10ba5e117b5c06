/*
 * topology/catalog_set.h - the catalogs of all databases that have one, as a value that never changes
 *
 * Ownership:  counted references
 * Threading:  any thread may read, take and drop references
 */
#ifndef TOPOLOGY_CATALOG_SET_H
#define TOPOLOGY_CATALOG_SET_H

#include <stdatomic.h>
#include <stddef.h>

#include "topology/catalog.h"

struct catalog_set {
    atomic_int refs;
    size_t n;
    struct catalog_of {
        char *cluster, *dbname;
        struct catalog *catalog; /* counted; NULL: none yet */
    } * at;
};
struct catalog_set *catalog_set_ref(struct catalog_set *set);
void catalog_set_unref(struct catalog_set *set); /* accepts NULL */
/* NULL: none yet; lives as long as the set, or as references of its own.  set may be NULL. */
struct catalog *catalog_set_find(const struct catalog_set *set, const char *cluster,
                                 const char *dbname);

#endif
