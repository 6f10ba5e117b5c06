/*
 * topology/cluster.h - private to topology/: what is known of a cluster and its nodes
 *
 * Ownership:  by the topology
 * Threading:  the control thread
 */
#ifndef TOPOLOGY_CLUSTER_H
#define TOPOLOGY_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "net/loop.h"
#include "topology/election.h"
#include "topology/freshness.h"
#include "topology/gauge.h"
#include "topology/topology.h"

struct cluster;
struct conf_cluster;
struct conf_node;
struct probe;
struct resolver;
struct settings;

struct node {
    struct cluster *cluster;      /* borrowed */
    const struct conf_node *conf; /* borrowed from the topology's settings */
    struct probe *probe;          /* owned */
    struct node_gauge *gauge;     /* counted */
    struct candidate candidate;
    enum node_state state;
    int64_t sampled_us;
    bool usable;     /* as it was published */
    bool was_usable; /* at any time */
    struct lag lag;  /* of a standby, when it or the primary answered last */
    struct lag_judge judge;
    char error[256]; /* of the last question; "": it was answered */
};

struct cluster {
    struct topology *topology;       /* borrowed */
    TAILQ_ENTRY(cluster) entry;      /* in topology->clusters */
    const struct conf_cluster *conf; /* borrowed from the topology's settings */
    struct node **nodes;             /* owned array of owned */
    size_t n_nodes;
    uint64_t system_id;
    const struct node *primary; /* borrowed; NULL: none */
    uint32_t timeline;          /* of the primary */
    char *last_primary;         /* owned: the name of the last one; NULL: there was none yet */
    int64_t lost_us;            /* since when there is none */
    char *detail;               /* owned: why there is none */
    struct lag max_lag;         /* 0: no bound */
    /* Of the primary, or of the last one while there is none. */
    struct freshness freshness;
    const struct node *marked; /* borrowed: whose marks they are; NULL: there are none */
    uint32_t marked_timeline;
};

TAILQ_HEAD(cluster_list, cluster);

struct topology {
    struct loop *loop; /* borrowed, as the next */
    struct resolver *resolver;
    topology_publish *publish;
    void *context;
    struct settings *settings; /* counted; NULL before the first */
    struct cluster_list clusters;
    struct failover failovers[FAILOVERS_KEPT]; /* a ring; texts are owned */
    size_t n_failovers;                        /* all that there were */
    struct mail hurry;
    atomic_bool hurried; /* the mail is on its way */
    bool stopped;
};

/* report.c: a primary is there that was not, or not on this timeline.  The first one is no failover. */
void record_failover(struct cluster *cluster, const struct node *primary, int64_t now_us);
void free_failovers(struct topology *topology);

/* track.c: the node has answered; its state is set.  How far it, or all that follow it, have come. */
void track(struct node *node, int64_t now_us);
/* It may have been started anew, and then it may show less than it did. */
void track_anew(struct node *node);

#endif
