/* A worker's parts of the pools: made, given new settings, closed. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pool/cancel.h"
#include "pool/part.h"
#include "pool/pool.h"
#include "conf/splitting.h"
#include "pool/server.h"
#include "route/rules.h"
#include "topology/catalog_set.h"
#include "topology/view.h"

static const struct node_view *find_node(const struct cluster_view *cluster, const char *name)
{
    for (size_t i = 0; cluster != NULL && i < cluster->n_nodes; i++) {
        if (strcmp(cluster->nodes[i].name, name) == 0)
            return &cluster->nodes[i];
    }
    return NULL;
}

static struct home home_of(const struct part *part)
{
    const struct cluster_view *cluster = part->cluster;
    struct home home = {0};
    if (cluster == NULL || part->pool->node != NULL)
        return home;
    home.cluster = hash_bytes(cluster->name, strlen(cluster->name));
    if (cluster->host != NULL)
        home.primary =
            (hash_bytes(cluster->host, strlen(cluster->host)) * 31 + (uint64_t)cluster->port) * 31 +
            cluster->timeline;
    return home;
}

/* Of a cluster: where its primary is, or the node of a reader. */
static void find_place(struct part *part)
{
    const struct conf_database *db = part->db;
    part->clustered = db->cluster != NULL;
    part->cluster = part->clustered ? topology_view_find(part->worker->view, db->cluster) : NULL;
    part->hosts = db->host;
    part->port = db->port;
    if (part->pool->node != NULL) {
        part->node = find_node(part->cluster, part->pool->node);
        part->hosts = part->node != NULL ? part->node->host : NULL;
        part->port = part->node != NULL ? part->node->port : 0;
    } else if (part->cluster != NULL && part->cluster->host != NULL) {
        part->hosts = part->cluster->host;
        part->port = part->cluster->port;
    }
    part->home = home_of(part);
}

bool part_is_headless(const struct part *part)
{
    if (part->pool->node != NULL)
        return part->node == NULL || !part->node->usable;
    return part->clustered && (part->cluster == NULL || part->cluster->host == NULL);
}

void part_suspect(const struct part *part)
{
    const struct pools *pools = part->pool->pools;
    if (part->node != NULL)
        gauge_failed(part->node->gauge, clock_now_us());
    if (part->clustered && pools->hurry != NULL && !part->worker->stopping)
        pools->hurry(pools->topology);
}

static const char *dbname_of(const struct part *part)
{
    return part->db->dbname != NULL ? part->db->dbname : part->pool->database->name;
}

/* What makes one server as good as another: where it is, and as of which promotion. */
static uint64_t target_of(const struct part *part)
{
    const char *host = part->hosts != NULL ? part->hosts : part->worker->settings->unix_socket_dir;
    const char *dbname = dbname_of(part);
    if (part_is_headless(part))
        return 0; /* no server was ever opened there */
    uint64_t target = (uint64_t)part->port;
    target = target * 31 + hash_bytes(host, strlen(host));
    if (part->pool->node == NULL)
        target = target * 31 + (part->cluster != NULL ? part->cluster->timeline : 0);
    return target * 31 + hash_bytes(dbname, strlen(dbname));
}

/* True: it was another one. */
static bool set_limit(atomic_int *limit, int value)
{
    return atomic_exchange(limit, value) != value;
}

/* The texts have been checked when they were read. */
static void make_rules(struct part *part, const struct conf_cluster *cluster)
{
    const struct settings *settings = part->worker->settings;
    const char *texts[] = {conf_read_functions(settings, cluster),
                           conf_write_functions(settings, cluster),
                           conf_write_patterns(settings, cluster)};
    struct err err;
    part->rules = read_rules_new(texts[0], texts[1], texts[2], &err);
    part->rules_hash = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        part->rules_hash = part->rules_hash * 31 + hash_bytes(texts[i], strlen(texts[i]));
}

/* In session mode all of a session is at one place. */
static void refresh_routing(struct part *part)
{
    const struct settings *settings = part->worker->settings;
    const struct conf_cluster *cluster =
        part->clustered ? clusters_find(settings->clusters, part->db->cluster) : NULL;
    if (part->pool->node != NULL || part->mode == POOL_SESSION ||
        !conf_read_write_split(settings, part->db, part->conf_user, cluster))
        return;
    make_rules(part, cluster);
    part->splits = part->rules != NULL;
    part->catalog = catalog_set_find(part->worker->catalogs, part->db->cluster, dbname_of(part));
    if (part->worker->pools->want_catalog != NULL)
        part->worker->pools->want_catalog(part->worker->pools->catalogs, part->db->cluster,
                                          dbname_of(part));
    part->follows = conf_reads_follow_writes(settings, part->db, part->conf_user, cluster);
    part->max_lag_us = conf_max_lag_us(settings, part->db, part->conf_user, cluster);
}

/* True: a limit has changed, which other parts may wait for. */
static bool refresh(struct part *part)
{
    const struct settings *settings = part->worker->settings;
    struct pool *pool = part->pool;
    part->db = conf_database_for(settings, pool->database->name);
    part->conf_user = conf_find_user(settings, pool->user);
    part->hosts = NULL; /* those of old settings, or of an old view, may be gone */
    part->cluster = NULL;
    part->node = NULL;
    part->clustered = part->splits = false;
    part->catalog = NULL;
    read_rules_unref(part->rules);
    part->rules = NULL;
    mem_free(part->readers);
    part->readers = NULL;
    part->home = (struct home){0};
    if (part->db == NULL || atomic_load_explicit(&pool->retired, memory_order_relaxed))
        return false;
    find_place(part);
    part->target = target_of(part);
    part->mode = conf_pool_mode(settings, part->db, part->conf_user);
    part->session_state = part->mode == POOL_SESSION
                              ? STATE_OFF
                              : conf_session_state(settings, part->db, part->conf_user);
    part->function_state = conf_function_state(settings, part->db, part->conf_user);
    refresh_routing(part);
    bool changed = set_limit(&pool->limit, conf_pool_size(settings, part->db, part->conf_user));
    changed |=
        set_limit(&pool->reserve, conf_reserve_pool_size(settings, part->db, part->conf_user));
    changed |= set_limit(&pool->database->quota.limit, conf_max_db_connections(settings, part->db));
    changed |=
        set_limit(&pool->role->quota.limit, conf_max_user_connections(settings, part->conf_user));
    return changed;
}

struct part *part_get(struct pool_worker *worker, struct pool *pool)
{
    struct part *part = pool->parts[worker->index];
    if (part != NULL)
        return part;
    part = mem_new(sizeof *part);
    part->pool = pool;
    part->worker = worker;
    part->again.expired = part_hunt_again;
    TAILQ_INIT(&part->idle);
    TAILQ_INIT(&part->others);
    TAILQ_INIT(&part->free);
    TAILQ_INIT(&part->waiters);
    TAILQ_INIT(&part->expecting);
    TAILQ_INSERT_TAIL(&worker->parts, part, entry);
    pool->parts[worker->index] = part;
    /* The workers get new settings one after the other: the last word may be ours. */
    if (refresh(part))
        part_tell_change(part);
    return part;
}

struct part *part_reader(struct part *home, size_t node)
{
    const struct cluster_view *cluster = home->cluster;
    if (home->readers == NULL)
        home->readers = mem_new_array(cluster->n_nodes, sizeof(struct part *));
    if (home->readers[node] == NULL)
        home->readers[node] =
            part_get(home->worker, pools_reader(home->pool, cluster->nodes[node].name));
    return home->readers[node];
}

struct latency *part_new_latency(struct part *part)
{
    part->latency = mem_new(sizeof *part->latency);
    return part->latency;
}

static void close_idle(struct part *part, const char *reason)
{
    struct server *server;
    while ((server = TAILQ_FIRST(&part->idle)) != NULL)
        server_close(server, reason);
}

void pool_worker_part(struct pool_worker *worker)
{
    struct part *part;
    worker->parting = true;
    TAILQ_FOREACH (part, &worker->parts, entry)
        close_idle(part, "handed over");
}

void part_close_all(struct part *part, const char *reason)
{
    close_idle(part, reason);
    while (!TAILQ_EMPTY(&part->others))
        server_close(TAILQ_FIRST(&part->others), reason);
}

/* Pools with a user of their own keep min_pool_size servers before the first client comes. */
static void make_forced_pools(struct pool_worker *worker)
{
    const struct settings *settings = worker->settings;
    const struct conf_database *db = NULL;
    while (worker->index == 0 && (db = conf_next_database(settings, db)) != NULL) {
        if (db->user != NULL && conf_min_pool_size(settings, db) > 0)
            part_get(worker, pools_get(worker->pools, db->name, db->user, true));
    }
}

void pool_worker_init(struct pool_worker *worker, struct pools *pools, unsigned index,
                      struct loop *loop, struct settings *settings,
                      const struct pool_events *events)
{
    *worker = (struct pool_worker){.loop = loop, .pools = pools, .index = index, .events = events};
    worker->settings = settings_ref(settings);
    worker->upkeep.expired = part_upkeep;
    TAILQ_INIT(&worker->parts);
    TAILQ_INIT(&worker->cancels);
    pools->workers[index] = worker;
    make_forced_pools(worker);
    deadline_set(loop, &worker->upkeep, DEADLINE_SERVER, clock_now_us());
}

void pool_worker_done(struct pool_worker *worker)
{
    struct part *part;
    worker->stopping = true;
    deadline_clear(worker->loop, &worker->upkeep);
    TAILQ_FOREACH (part, &worker->parts, entry) {
        part_close_all(part, NULL);
        deadline_clear(worker->loop, &part->again);
    }
    cancel_end_all(worker);
}

void pool_worker_free_parts(struct pool_worker *worker)
{
    struct part *part;
    while ((part = TAILQ_FIRST(&worker->parts)) != NULL) {
        TAILQ_REMOVE(&worker->parts, part, entry);
        part->pool->parts[worker->index] = NULL;
        mem_free(part->latency);
        read_rules_unref(part->rules);
        mem_free(part->readers);
        mem_free(part);
    }
    mem_free(worker->retired);
    worker->retired = NULL;
    settings_unref(worker->settings);
    worker->settings = NULL;
    topology_view_unref(worker->view);
    worker->view = NULL;
    catalog_set_unref(worker->catalogs);
    worker->catalogs = NULL;
}

static struct part_stats *retired_stats(struct pool_worker *worker, const struct database *database)
{
    for (size_t i = 0; i < worker->n_retired; i++) {
        if (worker->retired[i].database == database)
            return &worker->retired[i].stats;
    }
    worker->retired =
        mem_resize(worker->retired, (worker->n_retired + 1) * sizeof *worker->retired);
    worker->retired[worker->n_retired] = (struct retired_stats){.database = database};
    return &worker->retired[worker->n_retired++].stats;
}

void pool_worker_drop(struct pool_worker *worker, struct pool *pool)
{
    struct part *part = pool->parts[worker->index];
    if (part == NULL)
        return;
    assert(part->n_idle + part->n_others + part->n_waiting + part->n_expecting == 0);
    part_stats_add(retired_stats(worker, pool->database), &part->stats);
    deadline_clear(worker->loop, &part->again);
    TAILQ_REMOVE(&worker->parts, part, entry);
    pool->parts[worker->index] = NULL;
    mem_free(part->latency);
    read_rules_unref(part->rules);
    mem_free(part->readers);
    mem_free(part);
}

void part_stats_add(struct part_stats *to, const struct part_stats *more)
{
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *add = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof *to / sizeof *sum; i++)
        sum[i] += add[i];
}

/* Who waits for the place of the one may take the next one out of the list. */
static void close_those(struct part *part, const struct server_list *list,
                        bool (*which)(const struct part *part, const struct server *server),
                        const char *reason)
{
    struct server *server = TAILQ_FIRST(list);
    while (server != NULL) {
        if (!which(part, server)) {
            server = TAILQ_NEXT(server, entry);
            continue;
        }
        server_close(server, reason);
        server = TAILQ_FIRST(list);
    }
}

/* With server_fast_close nobody waits for the end of a session. */
static void tell_outdated(struct part *part)
{
    struct server *server, *next;
    for (server = TAILQ_FIRST(&part->others); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        if (server->state == SERVER_LEASED && part_is_outdated(part, server))
            part->worker->events->outdated(server);
    }
}

void pool_worker_review(struct pool_worker *worker)
{
    struct part *part;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        close_those(part, &part->idle, part_is_outdated, "close_needed");
        part_review_listener(part);
        if (worker->settings->server_fast_close)
            tell_outdated(part);
        const char *reason = part_reason_to_close_all(part);
        if (reason != NULL)
            close_idle(part, reason);
        part_hunt(part);
    }
}

/* An attempt to connect to what may never answer would keep those waiting whom it is for. */
static bool is_attempt_elsewhere(const struct part *part, const struct server *server)
{
    return server->target != part->target && server->attempt != NULL;
}

/* Is it of a node that is the primary no more?  One that does not answer may still be it. */
static bool is_deposed(const struct part *part, const struct server *server)
{
    if (part->cluster == NULL || server->home.cluster != part->home.cluster ||
        server->home.primary == part->home.primary || server->attempt != NULL || server->listens)
        return false;
    return part->home.primary != 0 || part->cluster->deposed;
}

static bool is_deposed_unlent(const struct part *part, const struct server *server)
{
    return server->state != SERVER_LEASED && is_deposed(part, server);
}

static struct server *find_deposed(const struct part *part)
{
    struct server *server;
    TAILQ_FOREACH (server, &part->others, entry) {
        if (!server->closing_asked && is_deposed(part, server))
            return server;
    }
    return NULL;
}

/* What is under way there is lost, or would be. */
static void close_deposed(struct part *part)
{
    struct server *server;
    close_those(part, &part->others, is_deposed_unlent, "primary changed");
    while ((server = find_deposed(part)) != NULL) {
        server->closing_asked = true;
        part->worker->events->deposed(server, part->cluster->name);
    }
}

static void refresh_all(struct pool_worker *worker)
{
    struct part *part;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        uint64_t before = part->target;
        bool changed = refresh(part);
        if (part->db == NULL || part->target != before) {
            close_idle(part, part->clustered ? "primary changed" : "connect string changed");
            /* The new target may be a server that works. */
            atomic_store(&part->pool->retry_at_us, 0);
            if (part->clustered)
                close_those(part, &part->others, is_attempt_elsewhere, "primary changed");
            changed = true;
        }
        if (changed)
            part_tell_change(part);
    }
}

void pool_worker_reload(struct pool_worker *worker, struct settings *settings)
{
    struct settings *old = worker->settings;
    worker->settings = settings;
    make_forced_pools(worker);
    refresh_all(worker);
    settings_unref(old);
    pool_worker_review(worker);
}

void pool_worker_take_view(struct pool_worker *worker, struct topology_view *view)
{
    struct topology_view *old = worker->view;
    struct part *part;
    worker->view = view;
    refresh_all(worker);
    TAILQ_FOREACH (part, &worker->parts, entry)
        close_deposed(part);
    topology_view_unref(old);
    pool_worker_review(worker);
}

void pool_worker_take_catalogs(struct pool_worker *worker, struct catalog_set *catalogs)
{
    struct catalog_set *old = worker->catalogs;
    struct part *part;
    worker->catalogs = catalogs;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        if (part->splits)
            part->catalog = catalog_set_find(catalogs, part->db->cluster, dbname_of(part));
    }
    catalog_set_unref(old);
}

void part_renew_catalog(const struct part *part)
{
    struct pools *pools = part->pool->pools;
    if (part->splits && pools->renew_catalog != NULL)
        pools->renew_catalog(pools->catalogs, part->db->cluster, dbname_of(part));
}
