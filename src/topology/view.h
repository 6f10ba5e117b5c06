/*
 * topology/view.h - the nodes of each cluster and which is the primary, as a value that never changes
 *
 * The control thread makes a new one when a role, the usability of a node, or a setting has changed, and
 * posts it to the workers.  What changes more often, above all how fresh a standby is, is in the gauges,
 * which all views share: that arrives without mail, and at once.
 *
 * Ownership:  counted references; what it points to lives as long as it
 * Threading:  any thread may read, take and drop references
 */
#ifndef TOPOLOGY_VIEW_H
#define TOPOLOGY_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/words.h"
#include "topology/gauge.h"

struct err;

struct node_view {
    char *name;
    char *host;
    int port;
    int weight;               /* from 1 to 100 */
    bool near;                /* in our zone, or we have none */
    bool usable;              /* the primary, or a standby of this cluster that answers */
    struct node_gauge *gauge; /* counted */
};

struct cluster_view {
    char *name;
    char *host; /* of the primary; NULL: there is none */
    int port;
    uint32_t timeline;           /* of the primary */
    int64_t lost_us;             /* since when there is none, on clock_now_us()'s clock */
    int64_t failover_timeout_us; /* how long clients wait then */
    char *detail;                /* why there is none: a sentence */
    bool deposed;            /* there is none, and the last one answers, but as something else */
    int primary;             /* index into nodes; -1: there is none */
    struct node_view *nodes; /* in the order of the file */
    size_t n_nodes;
    enum read_from read_from;
    enum balance balance;
    int64_t max_lag_us;    /* of the cluster, 0: no bound; databases and users may have their own */
    int64_t max_lag_bytes; /* 0: no bound */
};

struct topology_view {
    atomic_int refs;
    struct cluster_view *clusters;
    size_t n_clusters;
};

/* Room for n clusters, which the caller fills with texts and nodes of its own. */
struct topology_view *topology_view_new(size_t n);
struct topology_view *topology_view_ref(struct topology_view *view);
void topology_view_unref(struct topology_view *view); /* accepts NULL */

/* NULL: not known yet, or no view. */
const struct cluster_view *topology_view_find(const struct topology_view *view,
                                              const char *cluster);

/* What a client is told that has waited in vain. */
void cluster_view_error(const struct cluster_view *cluster, struct err *err);

#endif
