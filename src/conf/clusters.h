/*
 * conf/clusters.h - the sections [cluster.NAME]
 *
 * A cluster is one PostgreSQL primary and its standbys.  A line "node.NAME = connection string" is one
 * of them; every other line is a setting of the cluster.  A section that comes again goes on.
 *
 * Ownership:  counted references to the set; a cluster and its nodes live as long as their set
 * Threading:  any thread may look up, take and drop references once all have been added
 * Errors:     go to the report with file and line
 */
#ifndef CONF_CLUSTERS_H
#define CONF_CLUSTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_report;
struct ini_entry;

enum { CONF_NODES_MAX = 64 }; /* of a cluster */

struct conf_node {
    const char *name;
    const char *host; /* a name, an address, or the directory of a unix socket */
    int port;
    int role;         /* enum node_role of conf/words.h */
    int weight;       /* its share of the reads, from 1 to 100 */
    const char *zone; /* NULL: none */
};

struct conf_cluster {
    const char *name;
    struct conf_node *nodes; /* in the order of the file */
    size_t n_nodes;
    const char *probe_user;
    const char *probe_dbname;
    int64_t probe_interval_us;
    int64_t failover_timeout_us; /* how long clients wait for a primary; 0: not at all */
    /* Of read/write splitting; -1 and NULL: not said, and then the setting of the same name counts. */
    int read_write_split;
    int read_from; /* enum read_from of conf/words.h, and so on */
    int balance;
    int reads_follow_writes;
    int64_t max_lag_us;
    int64_t max_lag_bytes;
    const char *read_functions;
    const char *write_functions;
    const char *write_patterns;
    const char *zone;
};

struct conf_clusters;

struct conf_clusters *clusters_new(void); /* empty */
struct conf_clusters *clusters_ref(struct conf_clusters *clusters);
void clusters_unref(struct conf_clusters *clusters); /* accepts NULL */

/* Is it the name of such a section? */
bool clusters_is_section(const char *section);

/* A line of such a section, or its header. */
void clusters_add(struct conf_clusters *clusters, const struct ini_entry *line,
                  struct conf_report *report);
/* All lines have been added: is each cluster complete? */
void clusters_check(const struct conf_clusters *clusters, struct conf_report *report);

/* NULL when there is none. */
const struct conf_cluster *clusters_find(const struct conf_clusters *clusters, const char *name);
/* In the order of the file; after NULL comes the first, after the last NULL. */
const struct conf_cluster *clusters_next(const struct conf_clusters *clusters,
                                         const struct conf_cluster *after);

#endif
