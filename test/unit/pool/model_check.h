/*
 * test/unit/pool/model_check.h - what must be true of the pools
 *
 *   check_all()     after each step: lists, counts and what the parts publish agree with what there is
 *   check_quiet()   when no mail is under way: nobody waits for what is there, nothing is kept that
 *                   should not be
 *
 * Threading:  all workers stand still
 */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

#include "model.h"

struct counts {
    int idle, others, connecting, testing, listening;
};

/* ---- after each step ---- */

static void check_server(struct model *model, const struct part *part, struct server *server,
                         bool idle)
{
    const struct client *client = server->client;
    struct fake_server *one = fake_of(server);
    MUST(model, one->seen != model->checks, "a server is in two lists");
    one->seen = model->checks;
    MUST(model, server->part == part, "a server is in a list of another part");
    MUST(model, idle == (server->state == SERVER_IDLE), "a server in state %d is in the wrong list",
         server->state);
    MUST(model, server->state < SERVER_FREE, "a server in state %d is in a list", server->state);
    MUST(model, (client != NULL) == (server->state == SERVER_LEASED),
         "a server in state %d %s a client", server->state, client != NULL ? "has" : "is without");
    MUST(model, client == NULL || (client->state == CLIENT_ACTIVE && client->server == server),
         "server and client do not know each other");
    MUST(model,
         server->waiter == NULL || (server->waiter->coming == server && fake_is_connecting(server)),
         "a server is opened for a client that does not expect it");
    MUST(model,
         server->listens == (part->listener == server) &&
             (server->listens || server->state != SERVER_LISTENING),
         "a listening server is not that of its part, or one that is no such listens");
}

static struct counts count_servers(struct model *model, struct part *part)
{
    struct counts counts = {0};
    struct server *server;
    TAILQ_FOREACH (server, &part->idle, entry) {
        check_server(model, part, server, true);
        counts.idle++;
    }
    TAILQ_FOREACH (server, &part->others, entry) {
        check_server(model, part, server, false);
        counts.others++;
        counts.connecting += fake_is_connecting(server) && !server->listens;
        counts.listening += server->listens;
        counts.testing += server->testing;
    }
    return counts;
}

static void check_waiters(struct model *model, const struct part *part)
{
    const struct waiter *waiter;
    int64_t before_us = 0;
    int n_waiting = 0, n_expecting = 0;
    TAILQ_FOREACH (waiter, &part->waiters, entry) {
        const struct client *client = (const struct client *)waiter;
        MUST(model,
             client->state == CLIENT_WAITING && client->part == part && waiter->coming == NULL,
             "a client in state %d is in the queue", client->state);
        MUST(model, model->threaded || waiter->since_us == client->since_us,
             "a client has lost its place in the queue");
        MUST(model, waiter->since_us >= before_us, "the queue is out of order");
        before_us = waiter->since_us;
        n_waiting++;
    }
    TAILQ_FOREACH (waiter, &part->expecting, entry) {
        const struct client *client = (const struct client *)waiter;
        MUST(model, client->state == CLIENT_WAITING && client->part == part,
             "a client in state %d expects a server", client->state);
        MUST(model, waiter->coming != NULL && waiter->coming->waiter == waiter,
             "a client expects a server that is not for it");
        n_expecting++;
    }
    MUST(model, n_waiting == part->n_waiting && n_expecting == part->n_expecting,
         PART_FORMAT ": %d wait and %d expect, not %d and %d", PART_ARGS(part), n_waiting,
         n_expecting, part->n_waiting, part->n_expecting);
}

static void check_slot(struct model *model, const struct part *part)
{
    struct pool_slot *slot = &part->pool->slots[part->worker->index];
    const struct waiter *first = TAILQ_FIRST(&part->waiters);
    if (model->n_workers == 1)
        return;
    MUST(model, atomic_load(&slot->idle) == part->n_idle, PART_FORMAT " publishes %d idle, not %d",
         PART_ARGS(part), atomic_load(&slot->idle), part->n_idle);
    MUST(model, atomic_load(&slot->oldest_us) == (first != NULL ? first->since_us : 0),
         PART_FORMAT " publishes another oldest waiter", PART_ARGS(part));
    MUST(model, part->published == (first != NULL), PART_FORMAT " counts wrongly as waiting",
         PART_ARGS(part));
}

static struct counts check_part(struct model *model, struct part *part)
{
    struct counts counts = count_servers(model, part);
    MUST(model, TAILQ_EMPTY(&part->free) && !part->placing && !part->hunting,
         PART_FORMAT " has not come to an end", PART_ARGS(part));
    MUST(model,
         counts.idle == part->n_idle && counts.others == part->n_others &&
             counts.connecting == part->n_connecting && counts.testing == part->n_testing,
         PART_FORMAT " has %d idle, %d others, %d connecting, %d testing, not %d, %d, %d, %d",
         PART_ARGS(part), counts.idle, counts.others, counts.connecting, counts.testing,
         part->n_idle, part->n_others, part->n_connecting, part->n_testing);
    check_waiters(model, part);
    check_slot(model, part);
    return counts;
}

static void check_pool(struct model *model, struct fake_tally *tally)
{
    struct pool *pool = tally->pool;
    int size = atomic_load(&tally->moving), connecting = 0, waiting = 0, listening = 0;
    for (unsigned i = 0; i < model->n_workers; i++) {
        struct part *part = pool->parts[i];
        if (part == NULL)
            continue;
        struct counts counts = check_part(model, part);
        size += counts.idle + counts.others - counts.listening;
        listening += counts.listening;
        connecting += counts.connecting;
        waiting += part->published;
    }
    MUST(model, size == atomic_load(&tally->size) && size == atomic_load(&pool->size),
         "%s/%s: %d servers are in lists, %d in being, %d counted", pool->database->name,
         pool->user, size, atomic_load(&tally->size), atomic_load(&pool->size));
    MUST(model, listening == atomic_load(&tally->listening), "%s/%s: %d servers listen, not %d",
         pool->database->name, pool->user, listening, atomic_load(&tally->listening));
    MUST(model,
         connecting == atomic_load(&tally->connecting) &&
             connecting == atomic_load(&pool->n_connecting),
         "%s/%s: %d servers are connecting, %d counted", pool->database->name, pool->user,
         connecting, atomic_load(&pool->n_connecting));
    MUST(model, waiting == atomic_load(&pool->waiting_workers),
         "%s/%s: %d workers have waiting clients, %d counted", pool->database->name, pool->user,
         waiting, atomic_load(&pool->waiting_workers));
}

static int size_of_all(const struct database *database, const struct role *role)
{
    int size = 0;
    for (struct fake_tally *tally = fake.tallies; tally < fake.tallies + FAKE_POOLS; tally++) {
        if (tally->pool->database == database || tally->pool->role == role)
            size += atomic_load(&tally->size) + atomic_load(&tally->listening);
    }
    return size;
}

static void check_clients(struct model *model, struct worker *worker)
{
    for (struct client *client = worker->clients; client < worker->clients + CLIENTS; client++) {
        MUST(model, (client->server != NULL) == (client->state == CLIENT_ACTIVE),
             "a client in state %d has the wrong server", client->state);
        MUST(model, client->server == NULL || client->server->client == client,
             "a client has a server that is another's");
        MUST(model, (client->waiter.since_us != 0) == (client->state == CLIENT_WAITING),
             "a client in state %d is in a queue or is not", client->state);
    }
}

static void check_all(struct model *model)
{
    model->checks++;
    for (unsigned i = 0; i < FAKE_POOLS; i++) {
        struct pool *pool = fake.tallies[i].pool;
        check_pool(model, &fake.tallies[i]);
        MUST(model,
             atomic_load(&pool->database->quota.n_servers) == size_of_all(pool->database, NULL),
             "database %s: %d servers counted", pool->database->name,
             atomic_load(&pool->database->quota.n_servers));
        MUST(model, atomic_load(&pool->role->quota.n_servers) == size_of_all(NULL, pool->role),
             "user %s: %d servers counted", pool->user, atomic_load(&pool->role->quota.n_servers));
    }
    for (unsigned i = 0; i < model->n_workers; i++)
        check_clients(model, &model->workers[i]);
}

/* ---- when a server has been begun ---- */

static bool within(const atomic_int *count, const atomic_int *limit, int more)
{
    int most = atomic_load(limit);
    return most <= 0 || atomic_load(count) <= most + more;
}

static bool has_waited_long(const struct part *part)
{
    const struct waiter *list[] = {TAILQ_FIRST(&part->waiters),
                                   TAILQ_LAST(&part->expecting, waiter_list)};
    int64_t since_us = clock_now_us() - part->worker->settings->reserve_pool_timeout_us;
    for (size_t i = 0; i < 2; i++) {
        if (list[i] != NULL && list[i]->since_us <= since_us)
            return true;
    }
    return false;
}

static void check_limits(const struct server *server)
{
    const struct part *part = server->part;
    const struct model *model = ((struct worker *)part->worker)->model;
    const struct pool *pool = part->pool;
    int64_t retry_us = atomic_load(&pool->retry_at_us);
    int reserve = has_waited_long(part) ? atomic_load(&pool->reserve) : 0;
    say(model, "server %llu is opened in " PART_FORMAT ", %d of %d", (unsigned long long)server->id,
        PART_ARGS(part), atomic_load(&pool->size), atomic_load(&pool->limit));
    if (model->threaded && !model->steady)
        return;
    MUST(model,
         server->listens || within(&pool->size, &pool->limit,
                                   model->threaded ? atomic_load(&pool->reserve) : reserve),
         "opened beyond pool_size: %d of %d + %d", atomic_load(&pool->size),
         atomic_load(&pool->limit), reserve);
    MUST(model, within(&pool->database->quota.n_servers, &pool->database->quota.limit, 0),
         "opened beyond max_db_connections");
    MUST(model, within(&pool->role->quota.n_servers, &pool->role->quota.limit, 0),
         "opened beyond max_user_connections");
    if (model->threaded)
        return;
    MUST(model, !must_not_lend(part) && !part->worker->suspended,
         "opened where nothing is to be lent");
    if (server->listens)
        return;
    MUST(model, atomic_load(&pool->n_connecting) <= (atomic_load(&pool->failures) > 0 ? 1 : 8),
         "too many attempts at once");
    MUST(model, retry_us == 0 || retry_us <= clock_now_us(), "tried again too early");
}

/* ---- when no mail is under way ---- */

static const struct server *idle_for(const struct part *part, const struct waiter *waiter)
{
    const struct server *server;
    TAILQ_FOREACH (server, &part->idle, entry) {
        if (waiter == NULL || opening_same(server->opening, waiter->opening))
            return server;
    }
    return NULL;
}

/* Servers that will be free for anybody who wants one that has begun so. */
static int count_coming(const struct part *part, const struct opening *opening)
{
    const struct server *server;
    int n = opening == NULL ? part->n_connecting - part->n_expecting : 0;
    TAILQ_FOREACH (server, &part->others, entry)
        n += server->testing && opening_same(server->opening, opening);
    return n;
}

/* Is nothing under way for it? */
static bool is_blocked(const struct part *part, const struct waiter *waiter)
{
    const struct waiter *other = TAILQ_FIRST(&part->waiters);
    int n = count_coming(part, waiter->opening);
    for (; other != waiter; other = TAILQ_NEXT(other, entry))
        n -= opening_same(other->opening, waiter->opening);
    return n <= 0;
}

static bool is_reached(const struct quota *quota)
{
    return !within(&quota->n_servers, &quota->limit, -1);
}

/* Is there an idle server that counts for this limit?  One of them may be NULL. */
static const struct part *idle_of_limit(const struct model *model, const struct database *database,
                                        const struct role *role)
{
    for (unsigned i = 0; i < FAKE_POOLS * model->n_workers; i++) {
        const struct pool *pool = fake.tallies[i % FAKE_POOLS].pool;
        const struct part *part = pool->parts[i / FAKE_POOLS];
        if (part != NULL && part->n_idle > 0 && (pool->database == database || pool->role == role))
            return part;
    }
    return NULL;
}

static void check_idle_elsewhere(struct model *model, const struct part *part,
                                 const struct waiter *blocked)
{
    for (unsigned i = 0; i < model->n_workers; i++) {
        const struct part *other = part->pool->parts[i];
        if (other == NULL)
            continue;
        MUST(model, idle_for(other, blocked) == NULL,
             "a client of " PART_FORMAT " waits, and worker %u has what it wants", PART_ARGS(part),
             i);
    }
}

/* Who is older by more than a second, and wants the same place, may have it first. */
static bool gives_way_to_hungry(const struct part *part, const struct waiter *waiter)
{
    struct quota *quotas[] = {&part->pool->database->quota, &part->pool->role->quota};
    for (size_t i = 0; i < 2; i++) {
        int64_t since_us = atomic_load(&quotas[i]->hungry_since_us);
        if (since_us != 0 && since_us + PART_HUNGRY_SLACK_US < waiter->since_us)
            return true;
    }
    return false;
}

/* An idle server of the pool; NULL: there is none. */
static const struct part *idle_of_pool(const struct model *model, const struct pool *pool)
{
    for (unsigned i = 0; i < model->n_workers; i++) {
        if (pool->parts[i] != NULL && pool->parts[i]->n_idle > 0)
            return pool->parts[i];
    }
    return NULL;
}

/* Has somebody who has waited as long said so?  That holds for 200 ms, and each one looks every 100 ms. */
static bool is_known_to_hunger(const struct quota *quota, int64_t since_us)
{
    enum { SAID_US = 300000 };
    int64_t hungry_us = atomic_load(&quota->hungry_since_us);
    return is_reached(quota) && hungry_us != 0 && hungry_us <= since_us &&
           clock_now_us() - atomic_load(&quota->hungry_said_us) < SAID_US;
}

/* Each limit that is reached must be so without idle servers; one such limit is enough to wait for. */
static void check_limits_of(struct model *model, const struct part *part,
                            const struct waiter *blocked, int reserve)
{
    const struct pool *pool = part->pool;
    const struct part *idle[] = {idle_of_pool(model, pool),
                                 idle_of_limit(model, pool->database, NULL),
                                 idle_of_limit(model, NULL, pool->role)};
    bool reached[] = {!within(&pool->size, &pool->limit, reserve - 1),
                      is_reached(&pool->database->quota), is_reached(&pool->role->quota)};
    const struct part *found = NULL;
    MUST(model,
         reached[0] || (!reached[1] && !reached[2]) ||
             is_known_to_hunger(&pool->database->quota, blocked->since_us) ||
             is_known_to_hunger(&pool->role->quota, blocked->since_us),
         "a client of " PART_FORMAT " waits for other pools that do not know", PART_ARGS(part));
    for (size_t i = 0; i < 3; i++) {
        if (reached[i] && idle[i] == NULL)
            return;
        if (reached[i])
            found = idle[i];
    }
    MUST(model, found != NULL, "a client of " PART_FORMAT " waits, and there is room",
         PART_ARGS(part));
    model_fail(model,
               "a client of " PART_FORMAT " waits for the place of an idle server of " PART_FORMAT,
               PART_ARGS(part), PART_ARGS(found));
}

static void check_blocked(struct model *model, struct part *part, const struct waiter *blocked)
{
    const struct pool *pool = part->pool;
    int64_t now_us = clock_now_us();
    bool late = blocked->since_us + part->worker->settings->reserve_pool_timeout_us <= now_us;
    check_idle_elsewhere(model, part, blocked);
    if (atomic_load(&pool->retry_at_us) <= now_us && !gives_way_to_hungry(part, blocked) &&
        atomic_load(&pool->n_connecting) < (atomic_load(&pool->failures) > 0 ? 1 : 8))
        check_limits_of(model, part, blocked, late ? atomic_load(&pool->reserve) : 0);
}

/* The first for whom nothing is under way keeps those behind it from new servers, not from idle ones. */
static void check_queue(struct model *model, struct part *part)
{
    const struct waiter *waiter, *first = NULL;
    TAILQ_FOREACH (waiter, &part->waiters, entry) {
        bool blocked = is_blocked(part, waiter);
        MUST(model, !blocked || idle_for(part, waiter) == NULL,
             "a client of " PART_FORMAT " waits for what is idle there", PART_ARGS(part));
        if (blocked && first == NULL)
            first = waiter;
    }
    if (first != NULL)
        check_blocked(model, part, first);
}

static void check_quiet_part(struct model *model, struct part *part)
{
    const struct server *server;
    MUST(model, part->asked.open == 0 && part->asked_room.open == 0,
         PART_FORMAT " waits for an answer", PART_ARGS(part));
    MUST(model, part->listener == NULL || part->db != NULL,
         PART_FORMAT " listens to a database that is removed", PART_ARGS(part));
    MUST(model, part->listener == NULL || !part_is_outdated(part, part->listener),
         PART_FORMAT " keeps a listening server that is stale", PART_ARGS(part));
    if (must_not_lend(part)) {
        MUST(model, part->listener == NULL || part->n_hearing > 0,
             PART_FORMAT " keeps a listening server that nobody hears", PART_ARGS(part));
        MUST(model, part->n_idle == 0, PART_FORMAT " keeps idle servers", PART_ARGS(part));
        return;
    }
    TAILQ_FOREACH (server, &part->idle, entry)
        MUST(model, !part_is_stale(part, server), PART_FORMAT " keeps stale servers",
             PART_ARGS(part));
    if (!part->worker->suspended)
        check_queue(model, part);
}

static void check_quiet(struct model *model)
{
    check_all(model);
    for (unsigned i = 0; i < model->n_workers; i++) {
        struct part *part;
        TAILQ_FOREACH (part, &model->workers[i].pool.parts, entry)
            check_quiet_part(model, part);
    }
}

#endif
