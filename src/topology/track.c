/* How far the standbys of a cluster are behind its primary. */
#include <inttypes.h>

#include "base/log.h"
#include "conf/clusters.h"
#include "topology/cluster.h"
#include "topology/probe.h"

static const struct lag unknown = {.us = -1, .bytes = -1};

static void log_change(const struct node *node, int before)
{
    const char *cluster = node->cluster->conf->name, *name = node->conf->name;
    int behind = node->judge.behind;
    if (behind & ~before & BEHIND_TIME)
        log_line(LOG_WARNING, "cluster \"%s\": node \"%s\" is behind by %.1f s, more than max_lag",
                 cluster, name, (double)node->lag.us / 1e6);
    if (behind & ~before & BEHIND_BYTES)
        log_line(LOG_WARNING,
                 "cluster \"%s\": node \"%s\" is behind by %" PRId64
                 " bytes, more than max_lag_bytes",
                 cluster, name, node->lag.bytes);
    if (before != 0 && behind == 0)
        log_info("cluster \"%s\": node \"%s\" has caught up", cluster, name);
}

static void judge(struct node *node, bool sampled)
{
    int before = node->judge.behind;
    lag_judge(&node->judge, &node->lag, &node->cluster->max_lag, sampled);
    atomic_store(&node->gauge->behind, node->judge.behind);
    if (node->judge.behind != before)
        log_change(node, before);
}

/* Are its positions those of the primary's history?  After a failover a standby that has more of the old
 * timeline than the new primary would seem fresh. */
static bool is_comparable(const struct node *node)
{
    const struct cluster *cluster = node->cluster;
    return node->state == NODE_STANDBY && cluster->marked != NULL &&
           node->candidate.sample.timeline == cluster->marked_timeline;
}

static void measure(struct node *node, int64_t now_us)
{
    const struct freshness *freshness = &node->cluster->freshness;
    int64_t fresh_us = atomic_load(&node->gauge->fresh_us);
    node->lag = unknown;
    if (!is_comparable(node) || freshness->n == 0)
        return;
    int64_t bytes =
        (int64_t)(freshness->marks[freshness->n - 1].insert_lsn - node->candidate.sample.lsn);
    node->lag.bytes = bytes > 0 ? bytes : 0;
    if (fresh_us != 0)
        node->lag.us = now_us - fresh_us;
}

/* What it has shown it shows: replay only grows. */
static void refresh(struct node *node)
{
    struct node_gauge *gauge = node->gauge;
    uint64_t replay_lsn = atomic_load(&gauge->replay_lsn);
    int64_t fresh_us = freshness_of(&node->cluster->freshness, replay_lsn);
    if (!is_comparable(node))
        atomic_store(&gauge->fresh_us, 0);
    else if (fresh_us > atomic_load(&gauge->fresh_us))
        atomic_store(&gauge->fresh_us, fresh_us);
}

static void track_standby(struct node *node, int64_t now_us)
{
    uint64_t replay_lsn = node->candidate.sample.lsn;
    if (replay_lsn < atomic_load(&node->gauge->replay_lsn))
        track_anew(node);
    atomic_store(&node->gauge->replay_lsn, replay_lsn);
    refresh(node);
    measure(node, now_us);
    judge(node, true);
}

static void begin_anew(struct cluster *cluster, const struct node *primary)
{
    freshness_reset(&cluster->freshness);
    cluster->marked = primary;
    cluster->marked_timeline = cluster->timeline;
    for (size_t i = 0; i < cluster->n_nodes; i++)
        track_anew(cluster->nodes[i]);
}

static void track_primary(struct node *node, int64_t now_us)
{
    struct cluster *cluster = node->cluster;
    const struct node_sample *sample = &node->candidate.sample;
    if (cluster->marked != node || cluster->marked_timeline != cluster->timeline)
        begin_anew(cluster, node);
    const struct wal_mark mark = {.asked_us = sample->asked_us,
                                  .delay_us = sample->delay_us,
                                  .insert_lsn = sample->lsn,
                                  .flush_lsn = sample->other_lsn};
    freshness_add(&cluster->freshness, &mark);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        struct node *standby = cluster->nodes[i];
        if (standby->state != NODE_STANDBY)
            continue;
        /* What it has replayed may have been all: this is known only now. */
        if (standby->error[0] == '\0')
            refresh(standby);
        measure(standby, now_us);
        judge(standby, false);
        probe_follow(standby->probe);
    }
}

void track(struct node *node, int64_t now_us)
{
    if (gauge_answered(node->gauge, now_us))
        log_info("cluster \"%s\": node \"%s\" is not ejected any more", node->cluster->conf->name,
                 node->conf->name);
    if (node != node->cluster->primary) {
        track_standby(node, now_us);
        return;
    }
    track_primary(node, now_us);
    atomic_store(&node->gauge->replay_lsn, node->candidate.sample.lsn);
}

void track_anew(struct node *node)
{
    atomic_store(&node->gauge->fresh_us, 0);
    atomic_store(&node->gauge->replay_lsn, 0);
    node->lag = unknown;
}
