/*
 * Who gets a server that is free, and when a new one is opened.
 *
 * No wake-up is lost between workers because each side publishes before it looks: a worker that
 * begins to wait stores its slot's oldest_us and then reads idle and size of the others; one whose
 * server becomes idle, or closes, stores idle or size and then reads waiting_workers.  With
 * sequentially consistent atomics at least one of the two sees the other.
 */
#include "pool/pool.h"

#include <assert.h>
#include <string.h>

#include "base/container.h"
#include "base/count.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool/cancel.h"
#include "pool/server.h"

enum {
    SLACK_US = 4000,         /* how much longer a waiter of another worker must have waited */
    CONNECT_AT_ONCE = 8,     /* attempts to connect under way in one pool */
    RETRY_FIRST_US = 100000, /* after a failed attempt; doubles with each one */
    UPKEEP_EVERY_US = 333000,
};

static struct pool_slot *slot_of(const struct part *part)
{
    return &part->pool->slots[part->worker->index];
}

static bool alone(const struct part *part)
{
    return part->pool->pools->n_workers == 1;
}

/* ---- what the other workers may know ---- */

static void publish_idle(struct part *part)
{
    if (!alone(part))
        atomic_store(&slot_of(part)->idle, part->n_idle);
}

static void publish_oldest(struct part *part)
{
    if (alone(part))
        return;
    const struct waiter *oldest = TAILQ_FIRST(&part->waiters);
    atomic_store(&slot_of(part)->oldest_us, oldest != NULL ? oldest->since_us : 0);
    if ((oldest != NULL) == part->published)
        return;
    part->published = oldest != NULL;
    atomic_fetch_add(&part->pool->waiting_workers, part->published ? 1 : -1);
}

/* The worker whose client has waited longest, our own left out; -1: none waits. */
static int longest_elsewhere(const struct part *part, int64_t *since_us)
{
    struct pool *pool = part->pool;
    int found = -1;
    *since_us = 0;
    if (alone(part) || part->worker->suspended ||
        atomic_load(&pool->waiting_workers) <= (part->published ? 1 : 0))
        return -1;
    for (unsigned i = 0; i < pool->pools->n_workers; i++) {
        int64_t oldest = i != part->worker->index ? atomic_load(&pool->slots[i].oldest_us) : 0;
        if (oldest != 0 && (*since_us == 0 || oldest < *since_us)) {
            *since_us = oldest;
            found = (int)i;
        }
    }
    return found;
}

/* ---- mail between parts ---- */

struct part_mail {
    struct mail mail;
    struct pool *pool;
    unsigned to, from; /* indices of workers */
};

static void hunt(struct part *part);
static void give_idle_away(struct part *part, unsigned to);

static void post_to(struct pool *pool, unsigned to, unsigned from,
                    void (*deliver)(struct mail *, struct loop *))
{
    struct part_mail *mail = mem_new(sizeof *mail);
    mail->mail.deliver = deliver;
    mail->pool = pool;
    mail->to = to;
    mail->from = from;
    loop_post(pool->pools->workers[to]->loop, &mail->mail);
}

static struct part *part_of_mail(const struct part_mail *mail)
{
    return part_get(mail->pool->pools->workers[mail->to], mail->pool);
}

static void deliver_answer(struct mail *mail, struct loop *loop)
{
    struct part_mail *answer = (struct part_mail *)mail;
    struct part *part = part_of_mail(answer);
    part->asked &= ~(UINT64_C(1) << (answer->from % 64));
    mem_free(answer);
    hunt(part);
}

static void deliver_want(struct mail *mail, struct loop *loop)
{
    struct part_mail *want = (struct part_mail *)mail;
    struct part *part = part_of_mail(want);
    unsigned to = want->from;
    mem_free(want);
    if (part->n_waiting == 0)
        give_idle_away(part, to);
    post_to(part->pool, to, part->worker->index, deliver_answer);
}

static void deliver_room(struct mail *mail, struct loop *loop)
{
    struct part_mail *room = (struct part_mail *)mail;
    struct part *part = part_of_mail(room);
    mem_free(room);
    hunt(part);
}

/* There is room for a new server: let whoever waits elsewhere know. */
static void announce_room(struct part *part)
{
    int64_t since_us;
    int to = longest_elsewhere(part, &since_us);
    if (to >= 0)
        post_to(part->pool, (unsigned)to, part->worker->index, deliver_room);
}

static void ask_others(struct part *part)
{
    struct pool *pool = part->pool;
    for (unsigned i = 0; i < pool->pools->n_workers; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);
        if (i == part->worker->index || (part->asked & bit) != 0 ||
            atomic_load(&pool->slots[i].idle) <= 0)
            continue;
        part->asked |= bit;
        post_to(pool, i, part->worker->index, deliver_want);
    }
}

/* ---- new servers ---- */

static bool paused(const struct part *part)
{
    return atomic_load_explicit(&part->pool->database->paused, memory_order_relaxed) !=
               PAUSE_NONE ||
           atomic_load_explicit(&part->pool->pools->paused, memory_order_relaxed) != PAUSE_NONE;
}

static bool may_open(const struct part *part)
{
    return part->db != NULL && !part->worker->stopping && !part->worker->suspended && !paused(part);
}

/* After a failure one attempt at a time shows whether the server is back. */
static bool reserve(struct part *part)
{
    struct pool *pool = part->pool;
    int at_once = atomic_load(&pool->failures) > 0 ? 1 : CONNECT_AT_ONCE;
    if (!count_take(&pool->n_connecting, at_once))
        return false;
    if (!count_take(&pool->size, atomic_load(&pool->limit))) {
        atomic_fetch_sub(&pool->n_connecting, 1);
        return false;
    }
    atomic_fetch_add(&pool->database->n_servers, 1);
    return true;
}

static void on_retry(struct deadline *deadline, struct loop *loop)
{
    struct part *part = CONTAINER_OF(deadline, struct part, retry);
    hunt(part);
}

static bool must_wait_to_retry(struct part *part)
{
    int64_t at_us = atomic_load(&part->pool->retry_at_us);
    if (at_us == 0 || at_us <= clock_now_us())
        return false;
    deadline_set(part->worker->loop, &part->retry, DEADLINE_OTHER, at_us);
    return true;
}

/* Looks for servers for the clients that wait here. */
static void hunt(struct part *part)
{
    if (part->n_waiting == 0 || !may_open(part))
        return;
    if (!must_wait_to_retry(part)) {
        while (part->n_waiting > part->n_connecting && reserve(part)) {
            part->n_connecting++;
            server_connect(part);
        }
    }
    if (part->n_waiting > part->n_connecting && !alone(part))
        ask_others(part);
}

/* ---- the queue ---- */

static void unlink_server(struct part *part, struct server *server)
{
    if (server->state == SERVER_IDLE) {
        TAILQ_REMOVE(&part->idle, server, entry);
        part->n_idle--;
        publish_idle(part);
    } else {
        TAILQ_REMOVE(&part->others, server, entry);
        part->n_others--;
    }
}

void part_enlist(struct part *part, struct server *server, enum server_state state)
{
    server->part = part;
    server->state = state;
    TAILQ_INSERT_TAIL(&part->others, server, entry);
    part->n_others++;
}

struct server *part_acquire(struct part *part)
{
    struct server *server = TAILQ_FIRST(&part->idle);
    if (server == NULL || part->n_waiting > 0 || paused(part))
        return NULL;
    unlink_server(part, server);
    part_enlist(part, server, SERVER_LEASED);
    return server;
}

void part_wait(struct part *part, struct waiter *waiter)
{
    assert(waiter->since_us == 0);
    waiter->since_us = clock_now_us();
    TAILQ_INSERT_TAIL(&part->waiters, waiter, entry);
    part->n_waiting++;
    if (part->n_waiting == 1)
        publish_oldest(part);
    hunt(part);
}

void part_leave(struct part *part, struct waiter *waiter)
{
    if (waiter->since_us == 0)
        return;
    bool first = TAILQ_FIRST(&part->waiters) == waiter;
    TAILQ_REMOVE(&part->waiters, waiter, entry);
    part->n_waiting--;
    if (first)
        publish_oldest(part);
    waiter->since_us = 0;
}

static void grant(struct part *part, struct server *server)
{
    struct waiter *waiter = TAILQ_FIRST(&part->waiters);
    int64_t since_us = waiter->since_us;
    part_enlist(part, server, SERVER_LEASED);
    part_leave(part, waiter);
    uint64_t waited_us = (uint64_t)(clock_now_us() - since_us);
    part->stats.wait_us += waited_us;
    histogram_add(&part_latency(part)->wait, waited_us);
    part->worker->events->granted(part->worker, waiter, server);
}

static void make_idle(struct part *part, struct server *server)
{
    server->part = part;
    server->state = SERVER_IDLE;
    server->idle_since_us = clock_now_us();
    if (part->worker->settings->server_round_robin)
        TAILQ_INSERT_TAIL(&part->idle, server, entry);
    else
        TAILQ_INSERT_HEAD(&part->idle, server, entry);
    part->n_idle++;
    publish_idle(part);
}

static void give_idle_away(struct part *part, unsigned to)
{
    struct pool *pool = part->pool;
    struct server *server = TAILQ_LAST(&part->idle, server_list);
    if (server == NULL || part->worker->suspended || atomic_load(&pool->slots[to].oldest_us) == 0)
        return;
    unlink_server(part, server);
    server_hand_over(server, pool->parts[to]);
}

static bool too_old(const struct part *part, const struct server *server, int64_t now_us)
{
    int64_t lifetime_us = conf_server_lifetime_us(part->worker->settings, part->db);
    if (lifetime_us == 0 && server->lease_no == 0)
        return false; /* 0: to be used once */
    return now_us - server->connected_us >= lifetime_us;
}

unsigned part_epoch(const struct part *part)
{
    return atomic_load_explicit(&part->pool->database->epoch, memory_order_relaxed) +
           atomic_load_explicit(&part->pool->pools->epoch, memory_order_relaxed);
}

bool part_is_stale(const struct part *part, const struct server *server)
{
    return server->closing_asked || server->target != part->target ||
           server->epoch != part_epoch(part) || part_is_draining(part);
}

/* Why this part keeps no free servers at all now; NULL: it does. */
static const char *reason_to_close_all(const struct part *part)
{
    if (part->worker->stopping)
        return "server shutting down";
    if (part->db == NULL)
        return "database removed";
    return paused(part) ? "pause mode" : NULL;
}

/* Why a free server is not kept; NULL: keep it. */
static const char *reason_to_close(const struct part *part, const struct server *server)
{
    const struct pool *pool = part->pool;
    int limit = atomic_load(&pool->limit);
    const char *reason = reason_to_close_all(part);
    if (reason != NULL)
        return reason;
    if (server->target != part->target)
        return "connect string changed";
    if (part_is_stale(part, server))
        return "close_needed";
    if (limit > 0 && atomic_load(&pool->size) > limit)
        return "too many servers in the pool";
    if (too_old(part, server, clock_now_us()))
        return "server lifetime over";
    return NULL;
}

/* The free server is in no list.  Ours first, unless somebody elsewhere has waited clearly longer:
 * waking another core costs as much as a transaction. */
static void place_one(struct part *part, struct server *server)
{
    int64_t theirs_us;
    const struct waiter *ours = TAILQ_FIRST(&part->waiters);
    int to = longest_elsewhere(part, &theirs_us);
    if (ours != NULL && (to < 0 || theirs_us + SLACK_US >= ours->since_us)) {
        grant(part, server);
    } else if (to >= 0) {
        server_hand_over(server, part->pool->parts[to]);
    } else {
        make_idle(part, server);
        /* Somebody may have begun to wait before the server could be seen. */
        to = longest_elsewhere(part, &theirs_us);
        if (to >= 0)
            give_idle_away(part, (unsigned)to);
    }
}

/* A waiter that turns out to need no server gives it back at once: a loop, not a recursion. */
static void place(struct part *part, struct server *server)
{
    server->part = part;
    server->state = SERVER_FREE;
    TAILQ_INSERT_TAIL(&part->free, server, entry);
    if (part->placing)
        return;
    part->placing = true;
    while ((server = TAILQ_FIRST(&part->free)) != NULL) {
        TAILQ_REMOVE(&part->free, server, entry);
        place_one(part, server);
    }
    part->placing = false;
}

void part_release(struct server *server)
{
    struct part *part = server->part;
    assert(server_is_clean(server));
    const char *reason = reason_to_close(part, server);
    if (reason != NULL) {
        server_close(server, reason);
        return;
    }
    unlink_server(part, server);
    server->client = NULL;
    place(part, server);
}

void part_adopt(struct part *part, struct server *server)
{
    part_enlist(part, server, SERVER_LEASED);
    part_release(server);
}

void part_disown(struct server *server)
{
    if (server->state == SERVER_FREE)
        TAILQ_REMOVE(&server->part->free, server, entry);
    else
        unlink_server(server->part, server);
}

/* ---- what becomes of attempts to connect ---- */

static void end_attempt(struct part *part)
{
    part->n_connecting--;
    atomic_fetch_sub(&part->pool->n_connecting, 1);
}

void part_server_ready(struct server *server)
{
    struct part *part = server->part;
    struct pool *pool = part->pool;
    end_attempt(part);
    atomic_store(&pool->failures, 0);
    atomic_store(&pool->retry_at_us, 0);
    pthread_mutex_lock(&pool->mutex);
    pool->login_refused = false;
    pthread_mutex_unlock(&pool->mutex);
    part_release(server);
    hunt(part);
    announce_room(part);
}

static int64_t retry_delay_us(const struct part *part, int failures, bool refused_login)
{
    int64_t most_us = part->worker->settings->server_login_retry_us;
    int64_t delay_us = RETRY_FIRST_US;
    if (refused_login)
        return most_us;
    while (--failures > 0 && delay_us < most_us)
        delay_us *= 2;
    return delay_us < most_us ? delay_us : most_us;
}

static void refuse_all(struct part *part, const struct err *err)
{
    struct waiter *waiter;
    while ((waiter = TAILQ_FIRST(&part->waiters)) != NULL) {
        part_leave(part, waiter);
        part->worker->events->refused(part->worker, waiter, err);
    }
}

static void deliver_refusal(struct mail *mail, struct loop *loop)
{
    struct part_mail *refusal = (struct part_mail *)mail;
    struct part *part = part_of_mail(refusal);
    struct err err;
    mem_free(refusal);
    pthread_mutex_lock(&part->pool->mutex);
    bool refused = part->pool->login_refused;
    err = part->pool->failure;
    pthread_mutex_unlock(&part->pool->mutex);
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
    if (atomic_load(&pool->size) > atomic_load(&pool->n_connecting))
        return;
    refuse_all(part, err);
    for (unsigned i = 0; i < pool->pools->n_workers; i++) {
        if (i != part->worker->index && atomic_load(&pool->slots[i].oldest_us) != 0)
            post_to(pool, i, part->worker->index, deliver_refusal);
    }
}

void part_connect_failed(struct part *part, const struct err *err, bool refused_login)
{
    struct pool *pool = part->pool;
    int failures = atomic_fetch_add(&pool->failures, 1) + 1;
    atomic_store(&pool->retry_at_us,
                 clock_now_us() + retry_delay_us(part, failures, refused_login));
    if (refused_login)
        fail_fast(part, err);
}

void part_server_gone(struct part *part, bool was_connecting)
{
    struct pool *pool = part->pool;
    if (was_connecting)
        end_attempt(part);
    atomic_fetch_sub(&pool->size, 1);
    atomic_fetch_sub(&pool->database->n_servers, 1);
    hunt(part);
    announce_room(part);
}

/* ---- parts and their worker ---- */

/* What makes one server as good as another: where it is. */
static uint64_t target_of(const struct part *part)
{
    const struct conf_database *db = part->db;
    const char *host = db->host != NULL ? db->host : part->worker->settings->unix_socket_dir;
    const char *dbname = db->dbname != NULL ? db->dbname : part->pool->database->name;
    uint64_t target = (uint64_t)db->port;
    target = target * 31 + hash_bytes(host, strlen(host));
    return target * 31 + hash_bytes(dbname, strlen(dbname));
}

static void refresh(struct part *part)
{
    const struct settings *settings = part->worker->settings;
    struct pool *pool = part->pool;
    part->db = conf_database_for(settings, pool->database->name);
    part->conf_user = conf_find_user(settings, pool->user);
    if (part->db == NULL)
        return;
    part->target = target_of(part);
    part->mode = conf_pool_mode(settings, part->db, part->conf_user);
    atomic_store(&pool->limit, conf_pool_size(settings, part->db, part->conf_user));
}

struct part *part_get(struct pool_worker *worker, struct pool *pool)
{
    struct part *part = pool->parts[worker->index];
    if (part != NULL)
        return part;
    part = mem_new(sizeof *part);
    part->pool = pool;
    part->worker = worker;
    part->retry.expired = on_retry;
    TAILQ_INIT(&part->idle);
    TAILQ_INIT(&part->others);
    TAILQ_INIT(&part->free);
    TAILQ_INIT(&part->waiters);
    TAILQ_INSERT_TAIL(&worker->parts, part, entry);
    pool->parts[worker->index] = part;
    refresh(part);
    return part;
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

void part_close_all(struct part *part, const char *reason)
{
    close_idle(part, reason);
    while (!TAILQ_EMPTY(&part->others))
        server_close(TAILQ_FIRST(&part->others), reason);
}

/* A peer that broke the connection unnoticed would never be heard of again: see stream_look(). */
static void look_at_silent(struct part *part)
{
    struct server *server, *next;
    for (server = TAILQ_FIRST(&part->others); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        bool heard = server->stream.heard;
        server->stream.heard = false;
        if (heard || server->stream.fd < 0 || server->state == SERVER_CONNECTING)
            continue;
        if (stream_look(&server->stream))
            stream_yield(&server->stream);
        else if (server->state == SERVER_LEASED)
            part->worker->events->silent(server);
        else if (server->state == SERVER_CLEANING && server->hurry)
            server_cancel(server, NULL, NULL); /* the first may have come before the statement */
    }
}

static void upkeep_part(struct part *part, int64_t now_us)
{
    int64_t idle_us = part->worker->settings->server_idle_timeout_us;
    struct server *server, *next;
    look_at_silent(part);
    for (server = TAILQ_FIRST(&part->idle); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        if (part->db != NULL && too_old(part, server, now_us))
            server_close(server, "server lifetime over");
        else if (idle_us > 0 && now_us - server->idle_since_us >= idle_us)
            server_close(server, "server idle timeout");
    }
}

static void on_upkeep(struct deadline *deadline, struct loop *loop)
{
    struct pool_worker *worker = CONTAINER_OF(deadline, struct pool_worker, upkeep);
    int64_t now_us = clock_now_us();
    struct part *part;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        if (!worker->suspended)
            upkeep_part(part, now_us);
    }
    deadline_set(loop, deadline, DEADLINE_SERVER, now_us + UPKEEP_EVERY_US);
}

void pool_worker_init(struct pool_worker *worker, struct pools *pools, unsigned index,
                      struct loop *loop, struct settings *settings,
                      const struct pool_events *events)
{
    *worker = (struct pool_worker){.loop = loop, .pools = pools, .index = index, .events = events};
    worker->settings = settings_ref(settings);
    worker->upkeep.expired = on_upkeep;
    TAILQ_INIT(&worker->parts);
    TAILQ_INIT(&worker->cancels);
    pools->workers[index] = worker;
    deadline_set(loop, &worker->upkeep, DEADLINE_SERVER, clock_now_us() + UPKEEP_EVERY_US);
}

void pool_worker_done(struct pool_worker *worker)
{
    struct part *part;
    worker->stopping = true;
    deadline_clear(worker->loop, &worker->upkeep);
    TAILQ_FOREACH (part, &worker->parts, entry) {
        part_close_all(part, NULL);
        deadline_clear(worker->loop, &part->retry);
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
        mem_free(part);
    }
    settings_unref(worker->settings);
    worker->settings = NULL;
}

static void close_stale(struct part *part)
{
    struct server *server, *next;
    for (server = TAILQ_FIRST(&part->idle); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        if (part_is_stale(part, server))
            server_close(server, "close_needed");
    }
}

void pool_worker_review(struct pool_worker *worker)
{
    struct part *part;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        close_stale(part);
        const char *reason = reason_to_close_all(part);
        if (reason != NULL)
            close_idle(part, reason);
        hunt(part);
    }
}

void pool_worker_reload(struct pool_worker *worker, struct settings *settings)
{
    struct settings *old = worker->settings;
    struct part *part;
    worker->settings = settings;
    TAILQ_FOREACH (part, &worker->parts, entry) {
        uint64_t before = part->target;
        refresh(part);
        if (part->db == NULL || part->target != before) {
            close_idle(part, "connect string changed");
            /* The new target may be a server that works. */
            atomic_store(&part->pool->retry_at_us, 0);
        }
    }
    settings_unref(old);
    pool_worker_review(worker);
}
