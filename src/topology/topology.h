/*
 * topology/topology.h - the clusters of the settings, and where their primaries are
 *
 * Every node is asked again and again what it is (topology/probe.h); after each answer it is decided
 * which node of its cluster is the primary (topology/election.h), and if that has changed a new view
 * (topology/view.h) is published.  An answer counts for six probe_intervals, three seconds at least:
 * so long a node that does not answer is taken for what it was.
 *
 * Ownership:  loop and resolver are borrowed; settings are counted
 * Threading:  the control thread; topology_hurry() from any
 * Errors:     what becomes of a node is logged, once
 */
#ifndef TOPOLOGY_TOPOLOGY_H
#define TOPOLOGY_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "topology/election.h"
#include "topology/view.h"

struct err;
struct loop;
struct resolver;
struct settings;
struct topology;

/* The view is lent for the call. */
typedef void topology_publish(void *context, struct topology_view *view);

struct topology *topology_new(struct loop *loop, struct resolver *resolver,
                              topology_publish *publish, void *context);
/* Before the loop is drained: no more questions. */
void topology_stop(struct topology *topology);
void topology_free(struct topology *topology); /* accepts NULL */

/* Nodes that stay the same keep their connections and what is known of them. */
void topology_use(struct topology *topology, struct settings *settings);

/* A connection to a primary has broken: the nodes are asked at once. */
void topology_hurry(struct topology *topology);

/* For who looks at it. */
struct node_report {
    const char *cluster, *node, *host;
    int port;
    enum node_state state;
    struct node_sample sample; /* system_id 0: there is none */
    int64_t sample_age_us;
    int64_t lag_us;    /* of a standby, now; -1: not known */
    int64_t lag_bytes; /* when it was measured last; -1: not known */
    const struct node_gauge *gauge;
    const char *error; /* of the last question; NULL: it was answered */
};
typedef void topology_visit(void *arg, const struct node_report *report);
void topology_for_each(const struct topology *topology, topology_visit *visit, void *arg);

/* A change of a primary, or the end of a time without one. */
struct failover {
    int64_t at_us;
    const char *cluster, *from, *to; /* names; those of nodes may be the same */
    uint32_t timeline;
    int64_t without_us; /* how long there was none */
};
typedef void failover_visit(void *arg, const struct failover *failover);
/* The last FAILOVERS_KEPT, latest first. */
enum { FAILOVERS_KEPT = 100 };
void topology_for_each_failover(const struct topology *topology, failover_visit *visit, void *arg);

/* By hand: no reads from this node, until it is admitted, which ends any ejection.  name: of the node, or
 * cluster.node. */
bool topology_eject(struct topology *topology, const char *name, bool ejected, struct err *err);

#endif
