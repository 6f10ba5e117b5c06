#include "conf/clusters.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "conf/ini.h"
#include "conf/keys.h"
#include "conf/report.h"
#include "conf/words.h"

static const char section_prefix[] = "cluster.";
static const char node_prefix[] = "node.";

enum {
    NAME_MAX_LEN = 32, /* what inih takes for a section has an end */
    DEFAULT_PORT = 5432,
    TEXTS_MAX = 65535,
};

#define PROBE_INTERVAL_US     INT64_C(500000)
#define PROBE_INTERVAL_MIN_US INT64_C(10000)
#define PROBE_INTERVAL_MAX_US INT64_C(60000000)
#define FAILOVER_TIMEOUT_US   INT64_C(30000000)

struct cluster {
    struct conf_cluster public; /* first, so that the public pointer leads here */
    TAILQ_ENTRY(cluster) entry;
    char *file; /* owned: where its section begins */
    int line;
};

struct conf_clusters {
    atomic_int refs;
    TAILQ_HEAD(cluster_list, cluster) list;
};

#define NODE(field)    offsetof(struct conf_node, field)
#define CLUSTER(field) offsetof(struct conf_cluster, field)

/* clang-format off */
static const struct conf_key node_keys[] = {
    {"host",   KEY_HOST,      NODE(host),   CONF_HOST_MAX},
    {"port",   KEY_PORT,      NODE(port),   0},
    {"role",   KEY_NODE_ROLE, NODE(role),   0},
    {"weight", KEY_WEIGHT,    NODE(weight), 0},
    {"zone",   KEY_TEXT,      NODE(zone),   LIMIT_NAME},
    {NULL,     KEY_END,       0,            0},
};

static const struct conf_key cluster_keys[] = {
    {"probe_interval",      KEY_TIME,         CLUSTER(probe_interval_us),   0},
    {"probe_user",          KEY_TEXT,         CLUSTER(probe_user),          LIMIT_NAME},
    {"probe_dbname",        KEY_TEXT,         CLUSTER(probe_dbname),        LIMIT_NAME},
    {"failover_timeout",    KEY_TIME,         CLUSTER(failover_timeout_us), 0},
    {"read_write_split",    KEY_BOOL,         CLUSTER(read_write_split),    0},
    {"read_from",           KEY_READ_FROM,    CLUSTER(read_from),           0},
    {"balance",             KEY_BALANCE,      CLUSTER(balance),             0},
    {"max_lag",             KEY_LAG,          CLUSTER(max_lag_us),          0},
    {"max_lag_bytes",       KEY_BYTES,        CLUSTER(max_lag_bytes),       0},
    {"reads_follow_writes", KEY_READS_FOLLOW, CLUSTER(reads_follow_writes), 0},
    {"read_functions",      KEY_FUNCTIONS,    CLUSTER(read_functions),      TEXTS_MAX},
    {"write_functions",     KEY_FUNCTIONS,    CLUSTER(write_functions),     TEXTS_MAX},
    {"write_patterns",      KEY_PATTERN,      CLUSTER(write_patterns),      TEXTS_MAX},
    {"zone",                KEY_TEXT,         CLUSTER(zone),                LIMIT_NAME},
    {NULL,                  KEY_END,          0,                            0},
};
/* clang-format on */

struct conf_clusters *clusters_new(void)
{
    struct conf_clusters *clusters = mem_new(sizeof *clusters);
    atomic_init(&clusters->refs, 1);
    TAILQ_INIT(&clusters->list);
    return clusters;
}

struct conf_clusters *clusters_ref(struct conf_clusters *clusters)
{
    atomic_fetch_add_explicit(&clusters->refs, 1, memory_order_relaxed);
    return clusters;
}

static void free_node(struct conf_node *node)
{
    conf_keys_free(node, node_keys);
    mem_free((char *)node->name);
}

static void free_cluster(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->public.n_nodes; i++)
        free_node(&cluster->public.nodes[i]);
    mem_free(cluster->public.nodes);
    conf_keys_free(&cluster->public, cluster_keys);
    mem_free((char *)cluster->public.name);
    mem_free(cluster->file);
    mem_free(cluster);
}

void clusters_unref(struct conf_clusters *clusters)
{
    struct cluster *cluster;
    if (clusters == NULL || atomic_fetch_sub_explicit(&clusters->refs, 1, memory_order_acq_rel) > 1)
        return;
    while ((cluster = TAILQ_FIRST(&clusters->list)) != NULL) {
        TAILQ_REMOVE(&clusters->list, cluster, entry);
        free_cluster(cluster);
    }
    mem_free(clusters);
}

bool clusters_is_section(const char *section)
{
    return strncmp(section, section_prefix, sizeof section_prefix - 1) == 0;
}

static const char *name_of(const char *section)
{
    return section + sizeof section_prefix - 1;
}

static struct cluster *make(struct conf_clusters *clusters, const struct ini_entry *line)
{
    struct cluster *cluster = mem_new(sizeof *cluster);
    conf_keys_init(&cluster->public, cluster_keys);
    cluster->public.name = mem_strdup(name_of(line->section));
    cluster->public.probe_dbname = mem_strdup("postgres");
    cluster->public.probe_interval_us = PROBE_INTERVAL_US;
    cluster->public.failover_timeout_us = FAILOVER_TIMEOUT_US;
    cluster->file = mem_strdup(line->file);
    cluster->line = line->line;
    TAILQ_INSERT_TAIL(&clusters->list, cluster, entry);
    return cluster;
}

static void take_header(struct conf_clusters *clusters, const struct ini_entry *line,
                        struct conf_report *report)
{
    char excerpt[CONF_EXCERPT_MAX];
    size_t len = strlen(name_of(line->section));
    if (len == 0 || len > NAME_MAX_LEN)
        conf_report_error(report, line->file, line->line,
                          "section \"%s\": expected a name of 1 to %d bytes behind \"%s\"",
                          conf_excerpt(line->section, excerpt), NAME_MAX_LEN, section_prefix);
    else if (clusters_find(clusters, name_of(line->section)) == NULL)
        make(clusters, line);
}

/* ---- nodes ---- */

static void complain_about(const struct conf_place *place, const char *what,
                           const struct conf_node *other)
{
    char text[200];
    snprintf(text, sizeof text, "%s as node \"%s\"", what, other->name);
    conf_complain(place, text);
}

static void check_unique(const struct conf_cluster *cluster, const struct conf_node *node,
                         const char *name, const struct conf_place *place)
{
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        const struct conf_node *other = &cluster->nodes[i];
        if (strcmp(other->name, name) == 0)
            conf_complain(place, "the cluster has a node of this name already");
        else if (node->host != NULL && strcmp(other->host, node->host) == 0 &&
                 other->port == node->port)
            complain_about(place, "the same host and port", other);
    }
    if (cluster->n_nodes == CONF_NODES_MAX)
        conf_complain(place, "a cluster may have at most 64 nodes");
}

static void add_node(struct conf_cluster *cluster, const struct ini_entry *line,
                     struct conf_report *report)
{
    const struct conf_place place = {.kind = "key", .line = line, .report = report};
    const char *name = line->key + sizeof node_prefix - 1;
    size_t errors = report->n_errors, len = strlen(name);
    struct conf_node node = {.name = NULL};
    conf_keys_init(&node, node_keys);
    conf_keys_store(&node, node_keys, &place);
    if (node.port == 0)
        node.port = DEFAULT_PORT;
    if (node.weight < 0)
        node.weight = 1;
    if (len == 0 || len > LIMIT_NAME)
        conf_complain(&place, "expected the name of a node, of 1 to 63 bytes, behind \"node.\"");
    if (report->n_errors == errors && node.host == NULL)
        conf_complain(&place, "key \"host\" is missing");
    check_unique(cluster, &node, name, &place);
    if (report->n_errors > errors) {
        free_node(&node);
        return;
    }
    node.name = mem_strdup(name);
    cluster->nodes = mem_resize(cluster->nodes, (cluster->n_nodes + 1) * sizeof node);
    cluster->nodes[cluster->n_nodes++] = node;
}

/* ---- settings ---- */

static void check_times(const struct conf_cluster *cluster, const struct ini_entry *line,
                        struct conf_report *report)
{
    const struct conf_place place = {.kind = "key", .line = line, .report = report};
    if (cluster->probe_interval_us < PROBE_INTERVAL_MIN_US ||
        cluster->probe_interval_us > PROBE_INTERVAL_MAX_US)
        conf_complain(&place, "expected a time from 10ms to 60s");
    if (cluster->failover_timeout_us < 0)
        conf_complain(&place, "expected a time, such as 30s");
}

static void set(struct conf_cluster *cluster, const struct ini_entry *line,
                struct conf_report *report)
{
    struct err err = ERR_NONE;
    if (conf_key_store(cluster, cluster_keys, line->key, line->value, &err))
        check_times(cluster, line, report);
    else
        conf_report_error(report, line->file, line->line, "cluster \"%s\": %s", cluster->name,
                          err.message);
}

void clusters_add(struct conf_clusters *clusters, const struct ini_entry *line,
                  struct conf_report *report)
{
    if (line->key == NULL) {
        take_header(clusters, line, report);
        return;
    }
    struct conf_cluster *cluster =
        (struct conf_cluster *)clusters_find(clusters, name_of(line->section));
    if (cluster == NULL)
        return; /* its header was refused */
    if (strncmp(line->key, node_prefix, sizeof node_prefix - 1) == 0)
        add_node(cluster, line, report);
    else
        set(cluster, line, report);
}

/* ---- all together ---- */

static bool can_have_primary(const struct conf_cluster *cluster)
{
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (cluster->nodes[i].role != NODE_ROLE_STANDBY)
            return true;
    }
    return false;
}

static const char *fault_of(const struct conf_cluster *cluster)
{
    if (cluster->n_nodes == 0)
        return "it has no nodes, such as \"node.a = host=10.0.0.11 port=5432\"";
    if (!can_have_primary(cluster))
        return "no node can be its primary, all have role=standby";
    if (cluster->probe_user == NULL)
        return "key \"probe_user\" is missing, the role that looks at the nodes";
    if (cluster->probe_dbname == NULL)
        return "key \"probe_dbname\" is empty";
    return NULL;
}

void clusters_check(const struct conf_clusters *clusters, struct conf_report *report)
{
    const struct cluster *cluster;
    TAILQ_FOREACH (cluster, &clusters->list, entry) {
        const char *fault = fault_of(&cluster->public);
        if (fault != NULL)
            conf_report_error(report, cluster->file, cluster->line, "cluster \"%s\": %s",
                              cluster->public.name, fault);
    }
}

const struct conf_cluster *clusters_find(const struct conf_clusters *clusters, const char *name)
{
    const struct cluster *cluster;
    TAILQ_FOREACH (cluster, &clusters->list, entry) {
        if (strcmp(cluster->public.name, name) == 0)
            return &cluster->public;
    }
    return NULL;
}

const struct conf_cluster *clusters_next(const struct conf_clusters *clusters,
                                         const struct conf_cluster *after)
{
    const struct cluster *cluster = (const struct cluster *)after;
    cluster = cluster != NULL ? TAILQ_NEXT(cluster, entry) : TAILQ_FIRST(&clusters->list);
    return cluster != NULL ? &cluster->public : NULL;
}
