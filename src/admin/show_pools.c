/* SHOW POOLS, DATABASES, USERS and LISTS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/mem.h"
#include "conf/settings.h"
#include "net/resolve.h"
#include "pool/cancel.h"
#include "pool/server.h"
#include "session/client.h"
#include "topology/view.h"

/* PgBouncer's order: by name, the console's among them. */
static void end_sorted(struct request *request)
{
    cells_sort(&request->table.cells, request->command.verb->n_columns);
    request_done(request, "SHOW");
}

/* What a worker says of its part of a pool. */
struct pool_row {
    const struct pool *pool;
    enum pool_mode mode;
    int cl_active, cl_waiting, cl_active_cancel, cl_waiting_cancel;
    int sv_active, sv_active_cancel, sv_being_canceled, sv_idle, sv_used, sv_tested, sv_login;
    int64_t max_wait_us;
};

static void count_servers(const struct part *part, struct pool_row *row)
{
    const struct server *server;
    TAILQ_FOREACH (server, &part->idle, entry)
        row->sv_used += server->unchecked;
    row->sv_idle = part->n_idle - row->sv_used;
    TAILQ_FOREACH (server, &part->others, entry) {
        switch (server->state) {
        case SERVER_CONNECTING:
        case SERVER_LOGIN:
            row->sv_login++;
            break;
        case SERVER_CANCELED:
            row->sv_being_canceled++;
            break;
        case SERVER_CLEANING:
            row->sv_login += server->starting;
            row->sv_tested += !server->starting;
            break;
        case SERVER_LISTENING: /* outside of the pool's size */
            break;
        default:
            row->sv_active++;
            break;
        }
    }
}

static int64_t longest_wait_us(const struct part *part)
{
    const struct waiter *oldest = TAILQ_FIRST(&part->waiters), *waiter;
    int64_t since_us = oldest != NULL ? oldest->since_us : clock_now_us();
    TAILQ_FOREACH (waiter, &part->expecting, entry) {
        if (waiter->since_us < since_us)
            since_us = waiter->since_us;
    }
    return clock_now_us() - since_us;
}

/* As PgBouncer counts: all logged-in clients that do not wait are active. */
static void ask_pools(struct worker *worker, struct buf *answer, const void *context)
{
    const struct part *part;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        int waiting = part->n_waiting + part->n_expecting;
        struct cancel_counts cancels = cancel_count(part);
        struct pool_row row = {.pool = part->pool->home != NULL ? part->pool->home : part->pool,
                               .mode = part->mode,
                               .cl_active = part->n_clients - waiting,
                               .cl_waiting = waiting,
                               .cl_active_cancel = cancels.sent,
                               .cl_waiting_cancel = cancels.not_sent,
                               .sv_active_cancel = cancels.connections,
                               .max_wait_us = waiting > 0 ? longest_wait_us(part) : 0};
        count_servers(part, &row);
        buf_append(answer, &row, sizeof row);
    }
}

static void add(struct pool_row *to, const struct pool_row *more)
{
    to->cl_active += more->cl_active;
    to->cl_waiting += more->cl_waiting;
    to->cl_active_cancel += more->cl_active_cancel;
    to->cl_waiting_cancel += more->cl_waiting_cancel;
    to->sv_active += more->sv_active;
    to->sv_active_cancel += more->sv_active_cancel;
    to->sv_being_canceled += more->sv_being_canceled;
    to->sv_idle += more->sv_idle;
    to->sv_used += more->sv_used;
    to->sv_tested += more->sv_tested;
    to->sv_login += more->sv_login;
    if (more->max_wait_us > to->max_wait_us)
        to->max_wait_us = more->max_wait_us;
}

static struct pool_row *merge(const struct buf *answers, size_t n_answers, size_t *n)
{
    struct pool_row *rows = NULL;
    *n = 0;
    for (size_t i = 0; i < n_answers; i++) {
        for (size_t at = 0; at < answers[i].len; at += sizeof(struct pool_row)) {
            struct pool_row row;
            size_t k = 0;
            memcpy(&row, answers[i].data + at, sizeof row);
            while (k < *n && rows[k].pool != row.pool)
                k++;
            if (k < *n) {
                add(&rows[k], &row);
                continue;
            }
            rows = mem_resize(rows, (*n + 1) * sizeof *rows);
            rows[(*n)++] = row;
        }
    }
    return rows;
}

/* Of several hosts; NULL: there is nothing to balance. */
static const char *balance_of(const struct conf_database *db)
{
    bool several = db != NULL && db->host != NULL && strchr(db->host, ',') != NULL;
    return several ? conf_word_of(load_balance_words, db->balance_hosts) : NULL;
}

/* db: NULL for the console's, and once it has been removed. */
static void write_pool(struct buf *cells, const char *database, const char *user,
                       const struct conf_database *db, const struct pool_row *row)
{
    cell_text(cells, database);
    cell_text(cells, user);
    cell_int(cells, row->cl_active);
    cell_int(cells, row->cl_waiting);
    cell_int(cells, row->cl_active_cancel);
    cell_int(cells, row->cl_waiting_cancel);
    cell_int(cells, row->sv_active);
    cell_int(cells, row->sv_active_cancel);
    cell_int(cells, row->sv_being_canceled);
    cell_int(cells, row->sv_idle);
    cell_int(cells, row->sv_used);
    cell_int(cells, row->sv_tested);
    cell_int(cells, row->sv_login);
    cell_int(cells, row->max_wait_us / 1000000);
    cell_int(cells, row->max_wait_us % 1000000);
    cell_text(cells, pool_mode_name(row->mode));
    cell_text(cells, balance_of(db));
}

static void write_console_pool(struct request *request)
{
    struct pool_row row = {.mode = POOL_STATEMENT, .cl_active = request->control->n_sessions};
    write_pool(&request->table.cells, "pgbouncer", "pgbouncer", NULL, &row);
}

static void end_pools(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    size_t n;
    struct pool_row *rows = merge(answers, n_answers, &n);
    for (size_t i = 0; i < n; i++) {
        const struct pool *pool = rows[i].pool;
        const char *database = pool->database->name;
        write_pool(&request->table.cells, database, pool->user,
                   conf_database_for(request->control->settings, database), &rows[i]);
    }
    mem_free(rows);
    write_console_pool(request);
    end_sorted(request);
}

void show_pools(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask_pools, end_pools, request);
}

/* ---- databases ---- */

/* Of a cluster: where its primary is now. */
static void write_place(struct buf *cells, const struct control *control,
                        const struct conf_database *db)
{
    const struct cluster_view *cluster =
        db->cluster != NULL ? topology_view_find(control->view, db->cluster) : NULL;
    cell_text(cells, cluster != NULL ? cluster->host : db->host);
    cell_int(cells, cluster != NULL ? cluster->port : db->port);
}

static void write_database(struct request *request, const char *name,
                           const struct conf_database *db)
{
    struct control *control = request->control;
    const struct settings *settings = control->settings;
    struct database *database = pools_database(control->proxy->pools, name);
    struct buf *cells = &request->table.cells;
    cell_text(cells, name);
    write_place(cells, control, db);
    cell_text(cells, db->dbname != NULL ? db->dbname : name);
    cell_text(cells, db->user);
    cell_int(cells, conf_pool_size(settings, db, NULL));
    cell_int(cells, conf_min_pool_size(settings, db));
    cell_int(cells, conf_reserve_pool_size(settings, db, NULL));
    cell_int(cells, conf_server_lifetime_us(settings, db) / 1000000);
    cell_text(cells, db->pool_mode >= 0 ? pool_mode_name((enum pool_mode)db->pool_mode) : NULL);
    cell_text(cells, balance_of(db));
    cell_int(cells, conf_max_db_connections(settings, db));
    cell_int(cells, atomic_load(&database->quota.n_servers));
    cell_int(cells, conf_max_db_client_connections(settings, db));
    cell_int(cells, atomic_load(&database->n_clients));
    cell_int(cells, atomic_load(&database->paused) != PAUSE_NONE ||
                        atomic_load(&control->proxy->pools->paused) != PAUSE_NONE);
    cell_int(cells, atomic_load(&database->disabled));
}

static void write_console_database(struct request *request)
{
    const struct settings *settings = request->control->settings;
    struct buf *cells = &request->table.cells;
    cell_text(cells, "pgbouncer");
    cell_text(cells, NULL);
    cell_int(cells, settings->listen_port);
    cell_text(cells, "pgbouncer");
    cell_text(cells, "pgbouncer");
    cell_int(cells, 2);
    cell_int(cells, 0);
    cell_int(cells, 0);
    cell_int(cells, settings->server_lifetime_us / 1000000);
    cell_text(cells, "statement");
    cell_text(cells, NULL);
    cell_int(cells, 0);
    cell_int(cells, 0);
    cell_int(cells, 0);
    cell_int(cells, request->control->n_sessions);
    cell_int(cells, 0);
    cell_int(cells, 0);
}

void show_databases(struct request *request)
{
    const struct settings *settings = request->control->settings;
    struct pools *pools = request->control->proxy->pools;
    const struct conf_database *db = NULL, *automatic = conf_auto_database(settings);
    while ((db = conf_next_database(settings, db)) != NULL)
        write_database(request, db->name, db);
    struct database *used = pools_first_database(pools);
    for (; used != NULL && automatic != NULL; used = database_next(pools, used)) {
        if (conf_find_database(settings, used->name) == NULL)
            write_database(request, used->name, automatic);
    }
    write_console_database(request);
    end_sorted(request);
}

/* ---- users ---- */

static void write_size(struct buf *cells, int size)
{
    char text[16];
    snprintf(text, sizeof text, "%9d", size);
    cell_text(cells, size >= 0 ? text : "");
}

struct names {
    const char **list; /* owned; the names are borrowed */
    size_t n;
};

static void add_name(struct names *names, const char *name)
{
    names->list = mem_resize(names->list, (names->n + 1) * sizeof *names->list);
    names->list[names->n++] = name;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void make_unique(struct names *names)
{
    size_t kept = 0;
    qsort(names->list, names->n, sizeof *names->list, by_text);
    for (size_t i = 0; i < names->n; i++) {
        if (kept == 0 || strcmp(names->list[kept - 1], names->list[i]) != 0)
            names->list[kept++] = names->list[i];
    }
    names->n = kept;
}

/* Those in auth_file, in [users], and who has been here; sorted. */
static struct names known_users(const struct control *control)
{
    const struct settings *settings = control->settings;
    struct names names = {0};
    size_t n_roles;
    struct role **roles = pools_list_roles(control->proxy->pools, &n_roles);
    add_name(&names, "pgbouncer");
    for (size_t i = 0; i < n_roles; i++)
        add_name(&names, roles[i]->name);
    mem_free(roles);
    for (const char *name = NULL; (name = conf_next_listed_user(settings, name)) != NULL;)
        add_name(&names, name);
    for (const struct conf_user *user = NULL; (user = conf_next_user(settings, user)) != NULL;)
        add_name(&names, user->name);
    make_unique(&names);
    return names;
}

static void write_user(struct request *request, const char *name)
{
    const struct settings *settings = request->control->settings;
    struct buf *cells = &request->table.cells;
    const struct conf_user *user = conf_find_user(settings, name);
    struct role *role = pools_find_role(request->control->proxy->pools, name);
    int mode = user != NULL ? user->pool_mode : -1;
    cell_text(cells, name);
    write_size(cells, user != NULL ? user->pool_size : -1);
    write_size(cells, user != NULL ? user->reserve_pool_size : -1);
    cell_text(cells, mode >= 0 ? pool_mode_name((enum pool_mode)mode) : NULL);
    cell_int(cells, conf_max_user_connections(settings, user));
    cell_int(cells, role != NULL ? atomic_load(&role->quota.n_servers) : 0);
    cell_int(cells, conf_max_user_client_connections(settings, user));
    cell_int(cells, role != NULL ? atomic_load(&role->n_clients) : 0);
}

void show_users(struct request *request)
{
    struct names names = known_users(request->control);
    for (size_t i = 0; i < names.n; i++)
        write_user(request, names.list[i]);
    mem_free(names.list);
    request_done(request, "SHOW");
}

/* ---- lists ---- */

struct counts {
    int used_clients, login_clients, used_servers;
};

static void ask_counts(struct worker *worker, struct buf *answer, const void *context)
{
    struct counts counts = {.login_clients = worker->n_login,
                            .used_clients = atomic_load(&worker->n_sockets) - worker->n_login};
    const struct part *part;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        counts.used_servers += part->n_idle + part->n_others;
    }
    buf_append(answer, &counts, sizeof counts);
}

static void write_count(struct buf *cells, const char *name, int64_t items)
{
    cell_text(cells, name);
    cell_int(cells, items);
}

static int count_databases(const struct settings *settings)
{
    int n = 1; /* the console */
    for (const struct conf_database *db = NULL; (db = conf_next_database(settings, db)) != NULL;)
        n++;
    return n;
}

static int64_t count_users(const struct control *control)
{
    struct names names = known_users(control);
    mem_free(names.list);
    return (int64_t)names.n;
}

static int count_peers(const struct settings *settings)
{
    int n = 0;
    for (const struct conf_peer *peer = NULL; (peer = conf_next_peer(settings, peer)) != NULL;)
        n++;
    return n;
}

static int count_pools(struct pools *pools)
{
    int n = 1; /* the console's */
    for (struct pool *pool = pools_first(pools); pool != NULL; pool = pool_next(pools, pool))
        n++;
    return n;
}

static void end_lists(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    const struct control *control = request->control;
    struct counts all = {.used_clients = control->n_sessions};
    struct buf *cells = &request->table.cells;
    struct resolver_counts dns = resolver_count(control->proxy->pools->resolver);
    for (size_t i = 0; i < n_answers; i++) {
        struct counts counts;
        memcpy(&counts, answers[i].data, sizeof counts);
        all.used_clients += counts.used_clients;
        all.login_clients += counts.login_clients;
        all.used_servers += counts.used_servers;
    }
    write_count(cells, "databases", count_databases(control->settings));
    write_count(cells, "users", count_users(control));
    write_count(cells, "peers", count_peers(control->settings));
    write_count(cells, "pools", count_pools(control->proxy->pools));
    write_count(cells, "peer_pools", count_peers(control->settings)); /* each has one */
    write_count(cells, "free_clients", 0);
    write_count(cells, "used_clients", all.used_clients);
    write_count(cells, "login_clients", all.login_clients);
    write_count(cells, "free_servers", 0); /* free and used: of memory, not of work */
    write_count(cells, "used_servers", all.used_servers);
    write_count(cells, "dns_names", (int64_t)dns.names);
    write_count(cells, "dns_zones", 0);
    write_count(cells, "dns_queries", (int64_t)dns.queries);
    write_count(cells, "dns_pending", (int64_t)dns.pending);
    request_done(request, "SHOW");
}

void show_lists(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask_counts, end_lists, request);
}
