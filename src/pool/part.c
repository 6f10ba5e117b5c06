/*
 * Who waits, and who gets a server that is free.
 *
 * No wake-up is lost between workers because each side publishes before it looks: a worker that
 * begins to wait stores its slot's oldest_us and then reads idle and size of the others; one whose
 * server becomes idle, or closes, stores idle or size and then reads waiting_workers.  With
 * sequentially consistent atomics at least one of the two sees the other.
 */
#include "pool/pool.h"

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pool/opening.h"
#include "pool/part.h"
#include "pool/server.h"

enum { SLACK_US = 4000 /* how much longer a waiter of another worker must have waited */ };

static struct pool_slot *slot_of(const struct part *part)
{
    return &part->pool->slots[part->worker->index];
}

/* ---- what the other workers may know ---- */

static void publish_idle(struct part *part)
{
    if (!part_alone(part))
        atomic_store(&slot_of(part)->idle, part->n_idle);
}

static void publish_oldest(struct part *part)
{
    if (part_alone(part))
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
    if (part_alone(part) || part->worker->suspended ||
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

static struct server *first_idle(struct part *part, const struct opening *opening)
{
    struct server *server = TAILQ_FIRST(&part->idle);
    while (server != NULL && !opening_same(server->opening, opening))
        server = TAILQ_NEXT(server, entry);
    return server;
}

static void test(struct part *part, struct server *server)
{
    part->n_testing++;
    part_enlist(part, server, SERVER_CLEANING);
    server_test(server);
}

bool part_test_idle(struct part *part, const struct opening *opening)
{
    struct server *server = first_idle(part, opening);
    if (server == NULL || part_paused(part))
        return false;
    unlink_server(part, server);
    test(part, server);
    return true;
}

/* Among the servers used last, as those have what is in caches. */
static struct server *best_idle(struct part *part, const struct opening *opening,
                                const struct params *params)
{
    enum { LOOK_AT = 8 };
    struct server *first = first_idle(part, opening), *server = first;
    if (part->worker->settings->server_round_robin)
        return first;
    for (int i = 0; i < LOOK_AT && server != NULL; i++) {
        if (server->params == params && !server->unchecked &&
            opening_same(server->opening, opening))
            return server;
        server = TAILQ_NEXT(server, entry);
    }
    return first;
}

struct server *part_acquire(struct part *part, const struct opening *opening,
                            const struct params *params)
{
    struct server *server = best_idle(part, opening, params);
    if (server == NULL || (part->n_waiting > 0 && opening == NULL) || part_paused(part) ||
        server->unchecked) /* then whoever waits has it tested */
        return NULL;
    unlink_server(part, server);
    part_enlist(part, server, SERVER_LEASED);
    return server;
}

void part_wait(struct part *part, struct waiter *waiter)
{
    assert(waiter->since_us == 0);
    waiter->since_us = clock_now_us();
    part_rejoin(part, waiter);
    part_hunt(part);
}

void part_rejoin(struct part *part, struct waiter *waiter)
{
    struct waiter *before = TAILQ_LAST(&part->waiters, waiter_list);
    while (before != NULL && before->since_us > waiter->since_us)
        before = TAILQ_PREV(before, waiter_list, entry);
    if (before != NULL)
        TAILQ_INSERT_AFTER(&part->waiters, before, waiter, entry);
    else
        TAILQ_INSERT_HEAD(&part->waiters, waiter, entry);
    part->n_waiting++;
    if (before == NULL)
        publish_oldest(part);
}

void part_unlist(struct part *part, struct waiter *waiter)
{
    if (waiter->coming != NULL) {
        TAILQ_REMOVE(&part->expecting, waiter, entry);
        part->n_expecting--;
        waiter->coming->waiter = NULL;
        waiter->coming = NULL;
        return;
    }
    bool first = TAILQ_FIRST(&part->waiters) == waiter;
    TAILQ_REMOVE(&part->waiters, waiter, entry);
    part->n_waiting--;
    if (first)
        publish_oldest(part);
    if (part->hungry)
        part_end_hunger(part, waiter->since_us);
}

/* Other workers are asked for what one waiter wants at a time.  Will another kind be next? */
static bool changes_kind(const struct waiter *waiter)
{
    const struct waiter *next = waiter->coming == NULL ? TAILQ_NEXT(waiter, entry) : NULL;
    return next != NULL && !opening_same(next->opening, waiter->opening);
}

static void leave(struct part *part, struct waiter *waiter)
{
    part_unlist(part, waiter);
    waiter->since_us = 0;
}

void part_leave(struct part *part, struct waiter *waiter)
{
    if (waiter->since_us == 0)
        return;
    bool look_again = changes_kind(waiter);
    leave(part, waiter);
    if (look_again)
        part_hunt(part);
}

static void grant(struct part *part, struct waiter *waiter, struct server *server)
{
    if (server->unchecked) {
        test(part, server);
        return;
    }
    bool look_again = changes_kind(waiter);
    uint64_t waited_us = (uint64_t)(clock_now_us() - waiter->since_us);
    part_enlist(part, server, SERVER_LEASED);
    leave(part, waiter);
    part->stats.wait_us += waited_us;
    histogram_add(&part_latency(part)->wait, waited_us);
    part->worker->events->granted(part->worker, waiter, server);
    if (look_again)
        part_hunt(part);
}

bool part_is_untested(const struct part *part, int64_t idle_us)
{
    const struct settings *settings = part->worker->settings;
    return settings->server_check_query[0] != '\0' && idle_us >= settings->server_check_delay_us;
}

static void make_idle(struct part *part, struct server *server)
{
    server->part = part;
    server->state = SERVER_IDLE;
    server->idle_since_us = clock_now_us();
    server->unchecked |= part_is_untested(part, 0);
    if (part->worker->settings->server_round_robin)
        TAILQ_INSERT_TAIL(&part->idle, server, entry);
    else
        TAILQ_INSERT_HEAD(&part->idle, server, entry);
    part->n_idle++;
    publish_idle(part);
}

bool part_give_idle(struct part *part, unsigned to, const struct opening *opening)
{
    struct server *server = TAILQ_LAST(&part->idle, server_list);
    while (server != NULL && !opening_same(server->opening, opening))
        server = TAILQ_PREV(server, server_list, entry);
    if (server == NULL)
        return false;
    unlink_server(part, server);
    server->asked_for = true;
    server_hand_over(server, part->pool->parts[to]);
    return true;
}

bool part_evict(struct part *part, const struct waiter *waiter)
{
    struct server *server = TAILQ_LAST(&part->idle, server_list);
    while (server != NULL && waiter != NULL && opening_same(server->opening, waiter->opening))
        server = TAILQ_PREV(server, server_list, entry);
    if (server == NULL)
        return false;
    server_close(server, "evicted");
    return true;
}

bool part_too_old(const struct part *part, const struct server *server, int64_t now_us)
{
    int64_t lifetime_us = conf_server_lifetime_us(part->worker->settings, part->db);
    if (lifetime_us == 0)
        return server->lease_no > 0; /* to be used once */
    /* Those that were opened together are not closed together. */
    int64_t early_us = lifetime_us / 10 * (int64_t)(server->id * 0x9e3779b9U % 1024) / 1024;
    return now_us - server->connected_us >= lifetime_us - early_us;
}

unsigned part_epoch(const struct part *part)
{
    return atomic_load_explicit(&part->pool->database->epoch, memory_order_relaxed) +
           atomic_load_explicit(&part->pool->pools->epoch, memory_order_relaxed);
}

bool part_is_outdated(const struct part *part, const struct server *server)
{
    return server->closing_asked || server->target != part->target ||
           server->epoch != part_epoch(part) ||
           (server->untracked && part->session_state != STATE_OFF);
}

bool part_is_stale(const struct part *part, const struct server *server)
{
    return part_is_outdated(part, server) || part_is_draining(part);
}

const char *part_reason_to_close_all(const struct part *part)
{
    if (part->worker->stopping)
        return "server shutting down";
    if (part->db == NULL)
        return "database removed";
    if (part->pool->node != NULL && part_is_headless(part))
        return "node is not usable";
    return part_paused(part) ? "pause mode" : NULL;
}

/* What its client has left there is not known. */
static bool is_left_untracked(const struct part *part)
{
    return part->session_state == STATE_OFF &&
           (part->mode != POOL_SESSION || part->worker->settings->server_reset_query[0] == '\0');
}

/* A limit may have been lowered. */
static bool is_over(const atomic_int *count, const atomic_int *limit, int more)
{
    int most = atomic_load(limit);
    return most > 0 && atomic_load(count) > most + more;
}

/* Why a free server is not kept; NULL: keep it. */
static const char *reason_to_close(const struct part *part, const struct server *server)
{
    const struct pool *pool = part->pool;
    const char *reason = part_reason_to_close_all(part);
    if (reason != NULL)
        return reason;
    if (server->stream.peer_closed)
        return "server connection closed";
    if (opening_is_for_one(server->opening))
        return "replication client was closed";
    if (server->target != part->target)
        return "connect string changed";
    if (part_is_outdated(part, server))
        return "close_needed";
    if (is_over(&pool->size, &pool->limit, atomic_load(&pool->reserve)) ||
        is_over(&pool->database->quota.n_servers, &pool->database->quota.limit, 0) ||
        is_over(&pool->role->quota.n_servers, &pool->role->quota.limit, 0))
        return "too many servers in the pool";
    if (part_too_old(part, server, clock_now_us()))
        return "server lifetime over";
    return NULL;
}

static void evict(struct part *part, struct server *server)
{
    part_enlist(part, server, SERVER_LEASED);
    server_close(server, "evicted");
}

/* The oldest waiter wants a server that began otherwise.  It gets the place of this one, if there is
 * no other; else whoever the server suits is next. */
static void place_unsuited(struct part *part, struct server *server)
{
    struct waiter *waiter = TAILQ_FIRST(&part->waiters);
    if (part_is_full(part)) {
        evict(part, server);
        return;
    }
    while (waiter != NULL && !opening_same(server->opening, waiter->opening))
        waiter = TAILQ_NEXT(waiter, entry);
    if (waiter != NULL) {
        grant(part, waiter, server);
        return;
    }
    make_idle(part, server);
    part_announce(part);
}

/* The free server is in no list.  Ours first, unless somebody elsewhere has waited clearly longer:
 * waking another core costs as much as a transaction. */
static void place_one(struct part *part, struct server *server)
{
    int64_t theirs_us, hungry_us = part_hungry_since_us(part);
    struct waiter *ours = TAILQ_FIRST(&part->waiters);
    int to = longest_elsewhere(part, &theirs_us);
    bool asked_for = server->asked_for;
    server->asked_for = false;
    if (hungry_us != 0 && (ours == NULL || hungry_us + PART_HUNGRY_SLACK_US < ours->since_us) &&
        (to < 0 || hungry_us + PART_HUNGRY_SLACK_US < theirs_us)) {
        evict(part, server);
    } else if (ours != NULL && (asked_for || to < 0 || theirs_us + SLACK_US >= ours->since_us)) {
        if (opening_same(server->opening, ours->opening))
            grant(part, ours, server);
        else
            place_unsuited(part, server);
    } else if (to >= 0) {
        server_hand_over(server, part->pool->parts[to]);
    } else if (part->worker->parting) {
        part_enlist(part, server, SERVER_LEASED);
        server_close(server, "handed over");
    } else {
        make_idle(part, server);
        part_announce(part); /* who began to wait before it could be seen */
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
    server->untracked |= is_left_untracked(part);
    const char *reason = reason_to_close(part, server);
    if (reason != NULL) {
        server_close(server, reason);
        return;
    }
    unlink_server(part, server);
    server->client = NULL;
    place(part, server);
}

void part_test_passed(struct server *server)
{
    struct part *part = server->part;
    part->n_testing--;
    part_release(server);
    part_hunt(part); /* it may have gone to another than the waiter that relied on it */
}

void part_give(struct part *part, struct waiter *waiter, struct server *server)
{
    const char *reason = part_reason_to_close_all(part);
    if (reason == NULL && part_is_stale(part, server))
        reason = "close_needed"; /* another one is opened for the waiter */
    if (reason != NULL) {
        server_close(server, reason);
        return;
    }
    unlink_server(part, server);
    grant(part, waiter, server);
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
