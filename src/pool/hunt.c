/* When a server is opened, and what becomes of the attempt. */
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "pool/opening.h"
#include "pool/part.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "topology/view.h"

enum {
    RETRY_FIRST_US = 100000, /* after a failed attempt; doubles with each one */
    RETRY_MOST_US = 1000000, /* who waits should know soon that a server is back */
};

static bool may_open(const struct part *part)
{
    return part->db != NULL && !part->worker->stopping && !part->worker->suspended &&
           !part_paused(part) && !part_is_headless(part) &&
           !atomic_load_explicit(&part->pool->retired, memory_order_relaxed);
}

/* ---- hunting ---- */

void part_hunt_again_at(struct part *part, int64_t at_us)
{
    if (part->again.at_us == 0 || at_us < part->again.at_us)
        deadline_set(part->worker->loop, &part->again, DEADLINE_OTHER, at_us);
}

void part_hunt_again(struct deadline *deadline, struct loop *loop)
{
    part_hunt(CONTAINER_OF(deadline, struct part, again));
}

static bool must_wait_to_retry(struct part *part)
{
    int64_t at_us = atomic_load(&part->pool->retry_at_us);
    if (at_us == 0 || at_us <= clock_now_us())
        return false;
    part_hunt_again_at(part, at_us);
    return true;
}

/* The attempt is for this waiter if others can have no use of it; else for whoever is the oldest then. */
static void open_for(struct part *part, struct waiter *waiter)
{
    part->n_connecting++;
    if (waiter == NULL || waiter->opening == NULL) {
        server_connect(part, NULL);
        return;
    }
    part_unlist(part, waiter);
    TAILQ_INSERT_TAIL(&part->expecting, waiter, entry);
    part->n_expecting++;
    server_connect(part, waiter);
}

/* Is an idle server being tested that will be this waiter's?  Those before it come first. */
static bool is_tested_for(const struct part *part, const struct waiter *waiter)
{
    const struct server *server;
    const struct waiter *before;
    int n = 0;
    if (part->n_testing == 0)
        return false;
    TAILQ_FOREACH (server, &part->others, entry)
        n += server->testing && opening_same(server->opening, waiter->opening);
    before = TAILQ_FIRST(&part->waiters);
    for (; n > 0 && before != waiter; before = TAILQ_NEXT(before, entry))
        n -= opening_same(before->opening, waiter->opening);
    return n > 0;
}

/* Oldest first: who cannot get one now keeps those behind it from taking its place, though not from having
 * an idle server tested. */
static void look_for_servers(struct part *part)
{
    int coming = part->n_connecting - part->n_expecting;
    bool blocked = false;
    struct waiter *waiter, *next;
    for (waiter = TAILQ_FIRST(&part->waiters); waiter != NULL; waiter = next) {
        next = TAILQ_NEXT(waiter, entry);
        if (is_tested_for(part, waiter) || part_test_idle(part, waiter->opening) ||
            (waiter->opening == NULL && coming-- > 0))
            continue;
        blocked = blocked || must_wait_to_retry(part) || !part_make_room(part, waiter);
        if (!blocked)
            open_for(part, waiter);
        else if (part->n_idle == 0)
            return;
    }
}

const struct waiter *part_first_blocked(const struct part *part)
{
    int coming = part->n_connecting - part->n_expecting;
    const struct waiter *waiter;
    TAILQ_FOREACH (waiter, &part->waiters, entry) {
        if (!is_tested_for(part, waiter) && (waiter->opening != NULL || coming-- <= 0))
            return waiter;
    }
    return NULL;
}

static void refuse_all(struct part *part, const struct err *err)
{
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&part->waiters)) != NULL) {
        part_leave(part, waiter);
        part->worker->events->refused(part->worker, waiter, err);
    }
}

/* Whoever waits for the node goes elsewhere. */
static void refuse_readers(struct part *part)
{
    struct err err;
    err_set(&err, SQLSTATE_CANNOT_CONNECT_NOW, "node \"%s\" is not usable", part->pool->node);
    part->hunting = true;
    refuse_all(part, &err);
    part->hunting = false;
}

/* Who waits for a primary is told that there is none, once that has lasted. */
static void wait_for_primary(struct part *part)
{
    const struct cluster_view *cluster = part->cluster;
    struct err err;
    if (part->pool->node != NULL) {
        refuse_readers(part);
        return;
    }
    if (cluster == NULL || part->worker->suspended || part_paused(part))
        return; /* the news is on its way, or nobody is told anything now */
    int64_t end_us = cluster->lost_us + cluster->failover_timeout_us;
    if (end_us > clock_now_us()) {
        part_hunt_again_at(part, end_us);
        return;
    }
    cluster_view_error(cluster, &err);
    part->hunting = true;
    refuse_all(part, &err);
    part->hunting = false;
}

void part_hunt(struct part *part)
{
    if (part->n_waiting > 0 && !part->hunting && part->db != NULL && part_is_headless(part))
        wait_for_primary(part);
    if (part->n_waiting == 0 || part->hunting || !may_open(part))
        return;
    part->hunting = true;
    look_for_servers(part);
    part->hunting = false;
    const struct waiter *blocked = part_alone(part) ? NULL : part_first_blocked(part);
    if (blocked != NULL)
        part_ask_others(part, blocked->opening);
}

void part_open_minimum(struct part *part)
{
    if (!may_open(part) || part->worker->parting ||
        (part->n_clients == 0 && part->db->user == NULL))
        return;
    int limit = atomic_load(&part->pool->limit);
    int least = conf_min_pool_size(part->worker->settings, part->db);
    if (limit > 0 && least > limit)
        least = limit;
    while (atomic_load(&part->pool->size) < least && !must_wait_to_retry(part) &&
           part_take_room(part, least))
        open_for(part, NULL);
}

/* ---- the listening server ---- */

bool part_open_listener(struct part *part)
{
    if (!may_open(part) || !part_make_listener_room(part))
        return false;
    server_connect_listener(part);
    return true;
}

static const char *reason_to_close_listener(const struct part *part)
{
    if (part->db == NULL)
        return "database removed";
    if (part_is_outdated(part, part->listener))
        return "close_needed";
    if (part->n_hearing > 0)
        return NULL;
    return part->worker->parting ? "handed over" : part_reason_to_close_all(part);
}

void part_review_listener(struct part *part)
{
    const char *reason = part->listener != NULL ? reason_to_close_listener(part) : NULL;
    if (reason != NULL)
        server_close(part->listener, reason);
}

bool part_evict_listener(struct part *part)
{
    if (part->listener == NULL || part->n_hearing > 0)
        return false;
    server_close(part->listener, "evicted");
    return true;
}

void part_listener_gone(struct server *server)
{
    server->part->worker->events->deaf(server->part);
}

/* ---- what becomes of attempts to connect ---- */

static void end_attempt(const struct server *server)
{
    if (server->listens)
        return; /* it was not counted */
    server->part->n_connecting--;
    atomic_fetch_sub(&server->part->pool->n_connecting, 1);
}

/* It has one use, or goes to whoever waits. */
static void put_to_use(struct server *server)
{
    struct part *part = server->part;
    if (server->listens) {
        server->state = SERVER_LISTENING;
        part->worker->events->heard(server);
    } else if (server->waiter != NULL) {
        part_give(part, server->waiter, server);
    } else {
        part_release(server);
    }
}

void part_server_ready(struct server *server)
{
    struct part *part = server->part;
    struct pool *pool = part->pool;
    end_attempt(server);
    if (part->node != NULL)
        gauge_succeeded(part->node->gauge);
    atomic_store(&pool->failures, 0);
    atomic_store(&pool->retry_at_us, 0);
    pthread_mutex_lock(&pool->mutex);
    pool->login_refused = false;
    pthread_mutex_unlock(&pool->mutex);
    put_to_use(server);
    part_hunt(part);
    part_announce(part);
}

static int64_t retry_delay_us(const struct part *part, int failures, bool refused_login)
{
    int64_t most_us = part->worker->settings->server_login_retry_us;
    int64_t delay_us = RETRY_FIRST_US;
    if (refused_login)
        return most_us;
    if (most_us > RETRY_MOST_US)
        most_us = RETRY_MOST_US;
    while (--failures > 0 && delay_us < most_us)
        delay_us *= 2;
    return delay_us < most_us ? delay_us : most_us;
}

static void take_refusal(struct part *part, unsigned from)
{
    struct pool *pool = part->pool;
    pthread_mutex_lock(&pool->mutex);
    bool refused = pool->login_refused;
    struct err err = pool->failure;
    pthread_mutex_unlock(&pool->mutex);
    if (refused)
        refuse_all(part, &err);
}

/* A login that the server refuses will be refused again: who waits is told at once, if there is
 * no server left that could serve. */
static void fail_fast(struct part *part, const struct err *err)
{
    struct pool *pool = part->pool;
    pthread_mutex_lock(&pool->mutex);
    pool->failure = *err;
    pool->login_refused = true;
    pthread_mutex_unlock(&pool->mutex);
    if (pool_has_servers(pool))
        return;
    refuse_all(part, err);
    for (unsigned i = 0; i < pool->pools->n_workers; i++) {
        if (i != part->worker->index && atomic_load(&pool->slots[i].oldest_us) != 0)
            part_post(part, i, take_refusal);
    }
}

/* Is it the client's own startup packet that the server does not like?  Then the next client's may be
 * fine: classes 22 and 42 are about parameters and options. */
static bool is_clients_fault(const struct server *server, const struct err *err)
{
    if (server->opening == NULL)
        return false;
    return opening_is_for_one(server->opening) || strncmp(err->sqlstate, "22", 2) == 0 ||
           strncmp(err->sqlstate, "42", 2) == 0;
}

void part_connect_failed(struct server *server, const struct err *err, bool refused_login)
{
    struct part *part = server->part;
    struct pool *pool = part->pool;
    struct waiter *waiter = server->waiter;
    if (server->listens)
        return; /* whoever has opened it is told that it is gone */
    if (refused_login && is_clients_fault(server, err)) {
        if (waiter != NULL) {
            part_leave(part, waiter);
            part->worker->events->refused(part->worker, waiter, err);
        }
        return;
    }
    part_suspect(part);
    int failures = atomic_fetch_add(&pool->failures, 1) + 1;
    atomic_store(&pool->retry_at_us,
                 clock_now_us() + retry_delay_us(part, failures, refused_login));
    part_expect_no_more(server);
    if (refused_login || pool->node != NULL)
        fail_fast(part, err);
}

void part_expect_no_more(struct server *server)
{
    struct waiter *waiter = server->waiter;
    if (waiter == NULL)
        return;
    part_unlist(server->part, waiter);
    part_rejoin(server->part, waiter);
}

void part_server_gone(struct server *server, bool was_connecting)
{
    struct part *part = server->part;
    if (was_connecting)
        end_attempt(server);
    if (server->listens) {
        part->listener = NULL; /* whoever hunts now must not close it again */
        part_give_listener_room_back(part);
    } else {
        part_give_room_back(part);
    }
    part_hunt(part);
    part_announce(part);
}
