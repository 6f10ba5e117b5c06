/* The topology for who looks at it: nodes, failovers, and ejections by hand. */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/clusters.h"
#include "topology/cluster.h"

static void report_node(const struct node *node, int64_t now_us, topology_visit *visit, void *arg)
{
    int64_t fresh_us = atomic_load(&node->gauge->fresh_us);
    bool lags = node->state == NODE_STANDBY && fresh_us != 0;
    struct node_report report = {.cluster = node->cluster->conf->name,
                                 .node = node->conf->name,
                                 .host = node->conf->host,
                                 .port = node->conf->port,
                                 .state = node->state,
                                 .sample = node->candidate.sample,
                                 .sample_age_us = now_us - node->sampled_us,
                                 .lag_us = lags ? now_us - fresh_us : -1,
                                 .lag_bytes = node->state == NODE_STANDBY ? node->lag.bytes : -1,
                                 .gauge = node->gauge,
                                 .error = node->error[0] != '\0' ? node->error : NULL};
    visit(arg, &report);
}

void topology_for_each(const struct topology *topology, topology_visit *visit, void *arg)
{
    const struct cluster *cluster;
    TAILQ_FOREACH (cluster, &topology->clusters, entry) {
        for (size_t i = 0; i < cluster->n_nodes; i++)
            report_node(cluster->nodes[i], clock_now_us(), visit, arg);
    }
}

/* ---- failovers ---- */

static void free_failover(struct failover *failover)
{
    mem_free((char *)failover->cluster);
    mem_free((char *)failover->from);
    mem_free((char *)failover->to);
}

void free_failovers(struct topology *topology)
{
    for (size_t i = 0; i < FAILOVERS_KEPT; i++)
        free_failover(&topology->failovers[i]);
}

void record_failover(struct cluster *cluster, const struct node *primary, int64_t now_us)
{
    struct topology *topology = cluster->topology;
    char *from = cluster->last_primary;
    cluster->last_primary = mem_strdup(primary->conf->name);
    if (from == NULL)
        return;
    struct failover *failover = &topology->failovers[topology->n_failovers++ % FAILOVERS_KEPT];
    free_failover(failover);
    *failover =
        (struct failover){.at_us = now_us,
                          .cluster = mem_strdup(cluster->conf->name),
                          .from = from,
                          .to = mem_strdup(primary->conf->name),
                          .timeline = primary->candidate.sample.timeline,
                          .without_us = cluster->lost_us != 0 ? now_us - cluster->lost_us : 0};
}

void topology_for_each_failover(const struct topology *topology, failover_visit *visit, void *arg)
{
    size_t n = topology->n_failovers < FAILOVERS_KEPT ? topology->n_failovers : FAILOVERS_KEPT;
    for (size_t i = 1; i <= n; i++)
        visit(arg, &topology->failovers[(topology->n_failovers - i) % FAILOVERS_KEPT]);
}

/* ---- ejections by hand ---- */

static bool is_called(const struct node *node, const char *name)
{
    const char *cluster = node->cluster->conf->name;
    size_t len = strlen(cluster);
    return strcmp(node->conf->name, name) == 0 ||
           (strncmp(name, cluster, len) == 0 && name[len] == '.' &&
            strcmp(name + len + 1, node->conf->name) == 0);
}

static struct node *find_node(struct topology *topology, const char *name, struct err *err)
{
    struct cluster *cluster;
    struct node *found = NULL;
    TAILQ_FOREACH (cluster, &topology->clusters, entry) {
        for (size_t i = 0; i < cluster->n_nodes; i++) {
            struct node *node = cluster->nodes[i];
            if (!is_called(node, name))
                continue;
            if (found != NULL) {
                err_set(err, SQLSTATE_SYNTAX_ERROR, "more than one node is called \"%s\"", name);
                err_hint(err, "Say which, as in \"%s.%s\".", cluster->conf->name, node->conf->name);
                return NULL;
            }
            found = node;
        }
    }
    if (found == NULL)
        err_set(err, SQLSTATE_UNDEFINED_OBJECT, "no such node: %s", name);
    return found;
}

bool topology_eject(struct topology *topology, const char *name, bool ejected, struct err *err)
{
    struct node *node = find_node(topology, name, err);
    if (node == NULL)
        return false;
    atomic_store(&node->gauge->ejected_by_hand, ejected);
    if (!ejected)
        gauge_admit(node->gauge, clock_now_us());
    log_info("cluster \"%s\": node \"%s\" is %s by hand", node->cluster->conf->name,
             node->conf->name, ejected ? "ejected" : "admitted");
    return true;
}
