/* How many servers there may be: of a pool, and of several that share a quota.  Who waits for a place, and
 * who gives one up. */
#include "base/clock.h"
#include "base/log.h"
#include "pool/part.h"
#include "pool/pool.h"

enum {
    CONNECT_AT_ONCE = 8,      /* attempts to connect under way in one pool */
    HUNGER_HOLDS_US = 200000, /* what was said about it; it is said again before */
};

/* Is there room for one more server, or which limit is reached? */
enum room { ROOM, ROOM_ATTEMPTS, ROOM_POOL, ROOM_DATABASE, ROOM_ROLE };

static bool has_room(const atomic_int *count, const atomic_int *limit)
{
    int most = atomic_load(limit);
    return most <= 0 || atomic_load(count) < most;
}

static bool quota_has_room(const struct quota *quota)
{
    return has_room(&quota->n_servers, &quota->limit);
}

bool part_is_full(const struct part *part)
{
    const struct pool *pool = part->pool;
    return !has_room(&pool->size, &pool->limit) || !quota_has_room(&pool->database->quota) ||
           !quota_has_room(&pool->role->quota);
}

/* ---- hunger ---- */

static bool shares_quota(const struct part *a, const struct part *b)
{
    return a->pool->database == b->pool->database || a->pool->role == b->pool->role;
}

static void take_food(struct part *part, unsigned from)
{
    struct part *other;
    TAILQ_FOREACH (other, &part->worker->parts, entry) {
        if (shares_quota(part, other))
            part_hunt(other);
    }
}

static void post_to_all(struct part *part, part_call *call)
{
    for (unsigned i = 0; i < part->pool->pools->n_workers; i++)
        part_post(part, i, call);
}

/* Says that a quota keeps this waiter from a server.  Others with clients that came clearly later leave
 * the next place to it; that is said again as often as it hunts in vain, and soon forgotten. */
static void begin_to_hunger(struct part *part, struct quota *quota, int64_t since_us)
{
    int64_t said_us = atomic_load(&quota->hungry_since_us);
    part->hungry = true;
    while (said_us == 0 || since_us <= said_us) {
        atomic_store(&quota->hungry_said_us, clock_now_us());
        if (atomic_compare_exchange_weak(&quota->hungry_since_us, &said_us, since_us))
            return;
    }
}

/* Who comes next may say so. */
void part_end_hunger(struct part *part, int64_t since_us)
{
    struct quota *quotas[] = {&part->pool->database->quota, &part->pool->role->quota};
    bool said = false;
    part->hungry = part->n_waiting > 0;
    for (size_t i = 0; i < 2; i++) {
        int64_t expected_us = since_us;
        said |= atomic_compare_exchange_strong(&quotas[i]->hungry_since_us, &expected_us, 0);
    }
    if (said)
        post_to_all(part, take_food);
}

static bool anybody_hungers(const struct part *part)
{
    return atomic_load(&part->pool->database->quota.hungry_since_us) != 0 ||
           atomic_load(&part->pool->role->quota.hungry_since_us) != 0;
}

void part_tell_change(struct part *part)
{
    if (anybody_hungers(part) || atomic_load(&part->pool->waiting_workers) > 0)
        post_to_all(part, take_food);
}

static int64_t hungry_since_us(struct part *part, struct quota *quota)
{
    int64_t since_us = atomic_load(&quota->hungry_since_us);
    if (since_us == 0 || clock_now_us() - atomic_load(&quota->hungry_said_us) < HUNGER_HOLDS_US)
        return since_us;
    part_end_hunger(part, since_us); /* it was said too long ago */
    return 0;
}

int64_t part_hungry_since_us(struct part *part)
{
    int64_t a_us = hungry_since_us(part, &part->pool->database->quota);
    int64_t b_us = hungry_since_us(part, &part->pool->role->quota);
    return a_us == 0 || (b_us != 0 && b_us < a_us) ? b_us : a_us;
}

/* ---- places ---- */

static enum room look_for_quotas(const struct pool *pool)
{
    if (!quota_has_room(&pool->database->quota))
        return ROOM_DATABASE;
    return quota_has_room(&pool->role->quota) ? ROOM : ROOM_ROLE;
}

static enum room look_for_room(const struct pool *pool, int limit)
{
    /* After a failure one attempt at a time shows whether the server is back. */
    int at_once = atomic_load(&pool->failures) > 0 ? 1 : CONNECT_AT_ONCE;
    if (atomic_load(&pool->n_connecting) >= at_once)
        return ROOM_ATTEMPTS;
    if (limit > 0 && atomic_load(&pool->size) >= limit)
        return ROOM_POOL;
    return look_for_quotas(pool);
}

static void count_in_quotas(struct pool *pool, int n)
{
    atomic_fetch_add(&pool->database->quota.n_servers, n);
    atomic_fetch_add(&pool->role->quota.n_servers, n);
}

/* Counts one more server, if no limit is in the way.  All counts go up at once or none does: one that was taken
 * back again could have kept somebody from a place meanwhile, who would have to be told, and tell us in turn. */
static enum room take_room(struct part *part, int limit)
{
    struct pool *pool = part->pool;
    enum room room = look_for_room(pool, limit);
    if (room != ROOM)
        return room;
    pthread_mutex_lock(&pool->pools->room);
    room = look_for_room(pool, limit);
    if (room == ROOM) {
        atomic_fetch_add(&pool->n_connecting, 1);
        atomic_fetch_add(&pool->size, 1);
        count_in_quotas(pool, 1);
    }
    pthread_mutex_unlock(&pool->pools->room);
    return room;
}

bool part_take_room(struct part *part, int limit)
{
    return take_room(part, limit) == ROOM;
}

void part_give_room_back(struct part *part)
{
    atomic_fetch_sub(&part->pool->size, 1);
    part_give_listener_room_back(part);
}

/* The listening server of a pool is outside of its size, and of its attempts to connect. */
static enum room take_listener_room(struct part *part)
{
    struct pool *pool = part->pool;
    pthread_mutex_lock(&pool->pools->room);
    enum room room = look_for_quotas(pool);
    if (room == ROOM)
        count_in_quotas(pool, 1);
    pthread_mutex_unlock(&pool->pools->room);
    return room;
}

void part_give_listener_room_back(struct part *part)
{
    count_in_quotas(part->pool, -1);
    if (anybody_hungers(part))
        post_to_all(part, take_food);
}

/* How many servers the pool may have for the sake of this waiter. */
static int limit_for(struct part *part, const struct waiter *waiter)
{
    int limit = atomic_load(&part->pool->limit), reserve = atomic_load(&part->pool->reserve);
    if (limit <= 0 || reserve <= 0)
        return limit;
    int64_t since_us = waiter->since_us + part->worker->settings->reserve_pool_timeout_us;
    if (since_us <= clock_now_us())
        return limit + reserve;
    part_hunt_again_at(part, since_us);
    return limit;
}

/* ---- room for one more ---- */

static struct quota *quota_of(const struct part *part, enum room room)
{
    return room == ROOM_DATABASE ? &part->pool->database->quota
           : room == ROOM_ROLE   ? &part->pool->role->quota
                                 : NULL;
}

/* An idle server that counts for this quota, of any pool, gives way, or a listening one that nobody hears. */
static bool evict_sharer(struct part *part, const struct quota *quota, const struct waiter *waiter)
{
    struct part *other;
    TAILQ_FOREACH (other, &part->worker->parts, entry) {
        if ((quota == &other->pool->database->quota || quota == &other->pool->role->quota) &&
            (part_evict(other, other == part ? waiter : NULL) || part_evict_listener(other)))
            return true;
    }
    return false;
}

static void take_room_request(struct part *part, unsigned from);

static void ask_for_room(struct part *part, unsigned to)
{
    if (part_may_ask(&part->asked_room, to))
        part_post(part, to, take_room_request);
}

/* If one was closed there, all who hunger hear of that by itself; and what becomes idle there later gives way to
 * them.  To hunt now would be to ask all again, for ever. */
static void take_room_answer(struct part *part, unsigned from)
{
    if (part_is_answered(&part->asked_room, from) && part_first_blocked(part) != NULL)
        ask_for_room(part, from);
}

static void take_room_request(struct part *part, unsigned from)
{
    for (enum room room = ROOM_DATABASE; room <= ROOM_ROLE && !part->worker->suspended; room++) {
        const struct quota *quota = quota_of(part, room);
        if (!quota_has_room(quota))
            evict_sharer(part, quota, NULL);
    }
    part_post(part, from, take_room_answer);
}

static void ask_all_for_room(struct part *part)
{
    for (unsigned i = 0; i < part->pool->pools->n_workers; i++) {
        if (i != part->worker->index)
            ask_for_room(part, i);
    }
}

/* An idle server gives way that counts for the limit which is reached. */
static bool evict_for(struct part *part, enum room room, const struct waiter *waiter)
{
    const struct quota *quota = quota_of(part, room);
    return room == ROOM_POOL ? part_evict(part, waiter)
                             : quota != NULL && evict_sharer(part, quota, waiter);
}

/* True: look once more, as one may have been closed before our hunger could be seen. */
static bool tell_hunger(struct part *part, enum room room, const struct waiter *waiter,
                        bool told[ROOM_ROLE + 1])
{
    struct quota *quota = quota_of(part, room);
    if (quota == NULL || told[room])
        return false;
    told[room] = true;
    begin_to_hunger(part, quota, waiter->since_us);
    part_hunt_again_at(part, clock_now_us() + HUNGER_HOLDS_US / 2);
    return true;
}

/* Is there one elsewhere that has waited clearly longer for a place that both want? */
static bool gives_way(struct part *part, const struct waiter *waiter)
{
    int64_t hungry_us = part_hungry_since_us(part);
    if (hungry_us == 0 || hungry_us + PART_HUNGRY_SLACK_US >= waiter->since_us)
        return false;
    part_hunt_again_at(part, clock_now_us() + HUNGER_HOLDS_US);
    return true;
}

bool part_make_room(struct part *part, const struct waiter *waiter)
{
    struct pool *pool = part->pool;
    bool told[ROOM_ROLE + 1] = {false};
    int limit = limit_for(part, waiter);
    /* The common case: the pool is full, and nothing of ours could give way. */
    if (limit > 0 && atomic_load(&pool->size) >= limit && TAILQ_EMPTY(&part->idle))
        return false;
    if (gives_way(part, waiter))
        return false;
    enum room room = take_room(part, limit);
    while (evict_for(part, room, waiter) || tell_hunger(part, room, waiter, told))
        room = take_room(part, limit);
    if (quota_of(part, room) != NULL)
        ask_all_for_room(part);
    if (room != ROOM)
        return false;
    if (limit > atomic_load(&pool->limit) && atomic_load(&pool->size) > atomic_load(&pool->limit))
        log_info("taking connection from reserve_pool: db=%s user=%s", pool->database->name,
                 pool->user);
    if (part->hungry)
        part_end_hunger(part, waiter->since_us);
    return true;
}

bool part_make_listener_room(struct part *part)
{
    enum room room = take_listener_room(part);
    while (evict_for(part, room, NULL))
        room = take_listener_room(part);
    return room == ROOM;
}
