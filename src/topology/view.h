/*
 * topology/view.h - where the primary of each cluster is, as a value that never changes
 *
 * The control thread makes a new one when that has changed, and posts it to the workers.
 *
 * Ownership:  counted references; what it points to lives as long as it
 * Threading:  any thread may read, take and drop references
 */
#ifndef TOPOLOGY_VIEW_H
#define TOPOLOGY_VIEW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct cluster_view {
    char *name;
    char *host; /* of the primary; NULL: there is none */
    int port;
    uint32_t timeline;           /* of the primary */
    int64_t lost_us;             /* since when there is none, on clock_now_us()'s clock */
    int64_t failover_timeout_us; /* how long clients wait then */
    char *detail;                /* why there is none: a sentence */
};

struct topology_view {
    atomic_int refs;
    struct cluster_view *clusters;
    size_t n_clusters;
};

/* Room for n clusters, which the caller fills with texts of its own. */
struct topology_view *topology_view_new(size_t n);
struct topology_view *topology_view_ref(struct topology_view *view);
void topology_view_unref(struct topology_view *view); /* accepts NULL */

/* NULL: not known yet, or no view. */
const struct cluster_view *topology_view_find(const struct topology_view *view,
                                              const char *cluster);

/* What a client is told that has waited in vain. */
void cluster_view_error(const struct cluster_view *cluster, struct err *err);

#endif
