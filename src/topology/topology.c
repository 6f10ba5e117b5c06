#include "topology/topology.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/settings.h"
#include "conf/splitting.h"
#include "net/loop.h"
#include "topology/cluster.h"
#include "topology/asker.h"
#include "topology/probe.h"

enum {
    EXPIRES_AFTER = 6, /* probe_intervals */
    EXPIRES_LEAST_US = 3000000,
};

/* ---- what is published ---- */

static bool is_usable(const struct node *node)
{
    return node->state == NODE_PRIMARY || node->state == NODE_STANDBY;
}

static bool is_near(const struct node *node, const char *zone)
{
    return zone[0] == '\0' || (node->conf->zone != NULL && strcmp(node->conf->zone, zone) == 0);
}

static void write_node(struct node_view *view, const struct node *node, const char *zone)
{
    view->name = mem_strdup(node->conf->name);
    view->host = mem_strdup(node->conf->host);
    view->port = node->conf->port;
    view->weight = node->conf->weight;
    view->near = is_near(node, zone);
    view->usable = node->usable;
    view->gauge = gauge_ref(node->gauge);
}

static void write_nodes(struct cluster_view *view, const struct cluster *cluster)
{
    const char *zone = conf_zone(cluster->topology->settings, cluster->conf);
    view->nodes = mem_new_array(cluster->n_nodes, sizeof *view->nodes);
    view->n_nodes = cluster->n_nodes;
    view->primary = -1;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        write_node(&view->nodes[i], cluster->nodes[i], zone);
        if (cluster->nodes[i] == cluster->primary)
            view->primary = (int)i;
    }
}

/* The last primary answers, but as something else. */
static bool is_deposed(const struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_nodes && cluster->last_primary != NULL; i++) {
        const struct node *node = cluster->nodes[i];
        if (strcmp(node->conf->name, cluster->last_primary) == 0)
            return cluster->primary == NULL && node->state != NODE_DOWN &&
                   node->state != NODE_UNKNOWN;
    }
    return false;
}

static void write_cluster(struct cluster_view *view, const struct cluster *cluster)
{
    const struct settings *settings = cluster->topology->settings;
    write_nodes(view, cluster);
    view->read_from = conf_read_from(settings, cluster->conf);
    view->balance = conf_balance(settings, cluster->conf);
    view->max_lag_us = conf_max_lag_us(settings, NULL, NULL, cluster->conf);
    view->max_lag_bytes = conf_max_lag_bytes(settings, cluster->conf);
    view->name = mem_strdup(cluster->conf->name);
    view->failover_timeout_us = cluster->conf->failover_timeout_us;
    view->lost_us = cluster->lost_us;
    view->detail = mem_strdup(cluster->detail);
    view->deposed = is_deposed(cluster);
    if (cluster->primary == NULL)
        return;
    view->host = mem_strdup(cluster->primary->conf->host);
    view->port = cluster->primary->conf->port;
    view->timeline = cluster->timeline;
}

static void publish(struct topology *topology)
{
    const struct cluster *cluster;
    size_t n = 0;
    TAILQ_FOREACH (cluster, &topology->clusters, entry)
        n++;
    struct topology_view *view = topology_view_new(n);
    n = 0;
    TAILQ_FOREACH (cluster, &topology->clusters, entry)
        write_cluster(&view->clusters[n++], cluster);
    topology->publish(topology->context, view);
    topology_view_unref(view);
}

/* ---- decisions ---- */

static enum log_level level_of(enum node_state state)
{
    switch (state) {
    case NODE_CONFLICT:
    case NODE_FOREIGN:
        return LOG_ERROR;
    case NODE_DOWN:
    case NODE_BEHIND:
    case NODE_BARRED:
        return LOG_WARNING;
    default:
        return LOG_INFO;
    }
}

static void describe(const struct node *node, char *text, size_t size)
{
    const struct node_sample *sample = &node->candidate.sample;
    switch (node->state) {
    case NODE_UNKNOWN:
        snprintf(text, size, "has not been asked yet");
        break;
    case NODE_DOWN:
        snprintf(text, size, "does not answer");
        break;
    case NODE_PRIMARY:
        snprintf(text, size, "is the primary, on timeline %" PRIu32, sample->timeline);
        break;
    case NODE_STANDBY:
        snprintf(text, size, "is a standby");
        break;
    case NODE_BEHIND:
        snprintf(text, size, "takes writes on timeline %" PRIu32 ", which is not the latest",
                 sample->timeline);
        break;
    case NODE_CONFLICT:
        snprintf(text, size, "takes writes on timeline %" PRIu32 ", and so does another node",
                 sample->timeline);
        break;
    case NODE_BARRED:
        snprintf(text, size, "takes writes, but has role=standby");
        break;
    case NODE_FOREIGN:
        snprintf(text, size, "has another system identifier, %" PRIu64, sample->system_id);
        break;
    }
}

static void log_state(const struct node *node)
{
    const char *cluster = node->cluster->conf->name, *name = node->conf->name;
    char text[128];
    describe(node, text, sizeof text);
    if (node->state == NODE_DOWN && node->error[0] != '\0')
        log_line(LOG_WARNING, "cluster \"%s\": node \"%s\" %s: %s", cluster, name, text,
                 node->error);
    else
        log_line(level_of(node->state), "cluster \"%s\": node \"%s\" %s", cluster, name, text);
}

/* True: it is another one. */
static bool write_detail(struct cluster *cluster)
{
    struct buf text = BUF_NONE;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        char state[128];
        describe(cluster->nodes[i], state, sizeof state);
        buf_printf(&text, "%s \"%s\" %s", i == 0 ? "Node" : ", node", cluster->nodes[i]->conf->name,
                   state);
    }
    buf_append(&text, ".", 2);
    bool changed = cluster->detail == NULL || strcmp(cluster->detail, text.data) != 0;
    mem_free(cluster->detail);
    cluster->detail = mem_strdup(text.data);
    buf_done(&text);
    return changed;
}

static bool is_fresh(const struct node *node, int64_t now_us)
{
    int64_t lasts_us = EXPIRES_AFTER * node->cluster->conf->probe_interval_us;
    if (lasts_us < EXPIRES_LEAST_US)
        lasts_us = EXPIRES_LEAST_US;
    return node->sampled_us != 0 && now_us - node->sampled_us < lasts_us;
}

static struct election hold_election(struct cluster *cluster, int64_t now_us)
{
    struct candidate *candidates = mem_new_array(cluster->n_nodes, sizeof *candidates);
    enum node_state *states = mem_new_array(cluster->n_nodes, sizeof *states);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        candidates[i] = cluster->nodes[i]->candidate;
        candidates[i].fresh = is_fresh(cluster->nodes[i], now_us);
    }
    struct election election = elect(candidates, cluster->n_nodes, cluster->system_id, states);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        struct node *node = cluster->nodes[i];
        bool changed = node->state != states[i];
        node->state = states[i];
        if (changed)
            log_state(node);
    }
    mem_free(candidates);
    mem_free(states);
    return election;
}

/* A primary that has fallen silent was lost when it was heard last. */
static void lose_primary(struct cluster *cluster, int64_t now_us)
{
    const struct node *old = cluster->primary;
    cluster->lost_us = old != NULL && old->state == NODE_DOWN ? old->sampled_us : now_us;
    log_error("cluster \"%s\" has no primary: %s", cluster->conf->name, cluster->detail);
}

/* True: of some node that has changed. */
static bool review_usable(struct cluster *cluster, int64_t now_us)
{
    bool changed = false;
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        struct node *node = cluster->nodes[i];
        changed |= node->usable != is_usable(node);
        if (is_usable(node) && !node->usable && node->was_usable)
            atomic_store(&node->gauge->back_us, now_us);
        node->usable = is_usable(node);
        node->was_usable |= node->usable;
    }
    return changed;
}

/* True: the workers have to know. */
static bool decide(struct cluster *cluster)
{
    int64_t now_us = clock_now_us();
    struct election election = hold_election(cluster, now_us);
    const struct node *primary = election.primary >= 0 ? cluster->nodes[election.primary] : NULL;
    uint32_t timeline = primary != NULL ? primary->candidate.sample.timeline : 0;
    bool changed = primary != cluster->primary || timeline != cluster->timeline;
    bool other_reason = write_detail(cluster), other_nodes = review_usable(cluster, now_us);
    cluster->system_id = election.system_id;
    if (primary != NULL && changed)
        record_failover(cluster, primary, now_us);
    if (primary == NULL && cluster->primary != NULL)
        lose_primary(cluster, now_us);
    else if (primary != NULL)
        cluster->lost_us = 0;
    cluster->primary = primary;
    cluster->timeline = timeline;
    return changed || other_nodes || (primary == NULL && other_reason);
}

static void on_done(void *context, const struct node_sample *sample, const char *error)
{
    struct node *node = context;
    node->candidate.tried = true;
    snprintf(node->error, sizeof node->error, "%s", error != NULL ? error : "");
    if (sample != NULL) {
        node->candidate.sample = *sample;
        node->sampled_us = clock_now_us();
    }
    bool changed = decide(node->cluster);
    if (sample != NULL)
        track(node, node->sampled_us); /* before the workers hear of a role */
    if (changed)
        publish(node->cluster->topology);
}

static void on_lost(void *context)
{
    track_anew(context);
}

/* ---- new settings ---- */

static struct probe_target target_of(const struct node *node, const struct settings *settings)
{
    const struct conf_cluster *cluster = node->cluster->conf;
    return (struct probe_target){.host = node->conf->host,
                                 .port = node->conf->port,
                                 .user = cluster->probe_user,
                                 .dbname = cluster->probe_dbname,
                                 .password = asker_secret(settings, cluster->probe_user),
                                 .interval_us = cluster->probe_interval_us};
}

static void free_node(struct node *node)
{
    probe_free(node->probe);
    gauge_unref(node->gauge);
    mem_free(node);
}

static void use_node(struct node *node, const struct conf_node *conf,
                     const struct settings *settings)
{
    struct topology *topology = node->cluster->topology;
    node->conf = conf;
    node->candidate.barred = conf->role == NODE_ROLE_STANDBY;
    struct probe_target target = target_of(node, settings);
    if (node->probe == NULL)
        node->probe =
            probe_new(topology->loop, topology->resolver, &target, on_done, on_lost, node);
    else
        probe_retarget(node->probe, &target);
}

/* Takes the node of that name and place out of the array; NULL: there is none. */
static struct node *take_node(struct node **nodes, size_t n, const struct conf_node *conf)
{
    for (size_t i = 0; i < n; i++) {
        struct node *node = nodes[i];
        if (node != NULL && strcmp(node->conf->name, conf->name) == 0 &&
            strcmp(node->conf->host, conf->host) == 0 && node->conf->port == conf->port) {
            nodes[i] = NULL;
            return node;
        }
    }
    return NULL;
}

static void use_nodes(struct cluster *cluster, const struct conf_cluster *conf,
                      const struct settings *settings)
{
    struct node **old = cluster->nodes;
    size_t n_old = cluster->n_nodes;
    cluster->conf = conf;
    cluster->max_lag = (struct lag){.us = conf_max_lag_us(settings, NULL, NULL, conf),
                                    .bytes = conf_max_lag_bytes(settings, conf)};
    cluster->n_nodes = conf->n_nodes;
    cluster->nodes = mem_new_array(conf->n_nodes, sizeof(struct node *));
    for (size_t i = 0; i < conf->n_nodes; i++) {
        struct node *node = take_node(old, n_old, &conf->nodes[i]);
        if (node == NULL) {
            node = mem_new(sizeof *node);
            node->cluster = cluster;
            node->gauge = gauge_new();
        }
        cluster->nodes[i] = node;
        use_node(node, &conf->nodes[i], settings);
    }
    for (size_t i = 0; i < n_old; i++) {
        if (old[i] == NULL)
            continue;
        if (old[i] == cluster->primary) {
            cluster->primary = NULL;
            cluster->lost_us = clock_now_us();
        }
        if (old[i] == cluster->marked)
            cluster->marked = NULL;
        free_node(old[i]);
    }
    mem_free(old);
}

static void free_cluster(struct cluster *cluster)
{
    TAILQ_REMOVE(&cluster->topology->clusters, cluster, entry);
    for (size_t i = 0; i < cluster->n_nodes; i++)
        free_node(cluster->nodes[i]);
    mem_free(cluster->nodes);
    mem_free(cluster->detail);
    mem_free(cluster->last_primary);
    mem_free(cluster);
}

static struct cluster *get_cluster(struct topology *topology, const char *name)
{
    struct cluster *cluster;
    TAILQ_FOREACH (cluster, &topology->clusters, entry) {
        if (strcmp(cluster->conf->name, name) == 0)
            return cluster;
    }
    cluster = mem_new(sizeof *cluster);
    cluster->topology = topology;
    cluster->lost_us = clock_now_us();
    TAILQ_INSERT_TAIL(&topology->clusters, cluster, entry);
    return cluster;
}

static void drop_removed(struct topology *topology, const struct settings *settings)
{
    struct cluster *cluster, *next;
    for (cluster = TAILQ_FIRST(&topology->clusters); cluster != NULL; cluster = next) {
        next = TAILQ_NEXT(cluster, entry);
        if (conf_find_cluster(settings, cluster->conf->name) == NULL)
            free_cluster(cluster);
    }
}

void topology_use(struct topology *topology, struct settings *settings)
{
    const struct conf_cluster *conf = NULL;
    struct settings *old = topology->settings; /* the nodes refer to it until they have new ones */
    topology->settings = settings_ref(settings);
    drop_removed(topology, settings);
    while ((conf = conf_next_cluster(settings, conf)) != NULL) {
        struct cluster *cluster = get_cluster(topology, conf->name);
        use_nodes(cluster, conf, settings);
        decide(cluster);
    }
    settings_unref(old);
    publish(topology);
}

/* ---- haste ---- */

static void deliver_hurry(struct mail *mail, struct loop *loop)
{
    struct topology *topology = CONTAINER_OF(mail, struct topology, hurry);
    struct cluster *cluster;
    atomic_store(&topology->hurried, false);
    if (topology->stopped)
        return;
    TAILQ_FOREACH (cluster, &topology->clusters, entry) {
        for (size_t i = 0; i < cluster->n_nodes; i++)
            probe_hurry(cluster->nodes[i]->probe);
    }
}

void topology_hurry(struct topology *topology)
{
    if (!atomic_exchange(&topology->hurried, true))
        loop_post(topology->loop, &topology->hurry);
}

/* ---- life ---- */

struct topology *topology_new(struct loop *loop, struct resolver *resolver,
                              topology_publish *publish_view, void *context)
{
    struct topology *topology = mem_new(sizeof *topology);
    topology->loop = loop;
    topology->resolver = resolver;
    topology->publish = publish_view;
    topology->context = context;
    topology->hurry.deliver = deliver_hurry;
    TAILQ_INIT(&topology->clusters);
    return topology;
}

void topology_stop(struct topology *topology)
{
    topology->stopped = true;
    while (!TAILQ_EMPTY(&topology->clusters))
        free_cluster(TAILQ_FIRST(&topology->clusters));
}

void topology_free(struct topology *topology)
{
    if (topology == NULL)
        return;
    topology_stop(topology);
    free_failovers(topology);
    settings_unref(topology->settings);
    mem_free(topology);
}
