/*
 * test/unit/pool/model.h - the world that the model test plays with: workers, clients, settings
 *
 * All chance comes from the seed of a sequence and the number of a step, so that a step does the same
 * whatever steps before it are left out, and a sequence that fails can be played again and cut short.
 */
#ifndef MODEL_H
#define MODEL_H

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/report.h"
#include "fake_server.h"
#include "pool/part.h"

enum { WORKERS_MAX = 4, CLIENTS = 8, DATABASES = 3, TEXT_MAX = 200 };

enum client_state { CLIENT_GONE, CLIENT_IDLE, CLIENT_WAITING, CLIENT_ACTIVE };

struct client {
    struct waiter waiter; /* first; its opening is ours and counted */
    enum client_state state;
    struct part *part;
    struct server *server;
    int64_t since_us; /* when it last began to wait */
    unsigned depth;   /* of calls that gave it a server */
};

struct worker {
    struct pool_worker pool; /* first */
    struct model *model;
    uint64_t random;
    atomic_int n_orders; /* of the control thread, on their way */
    struct client clients[CLIENTS];
};

/* Where a failure is told, by a process that ends with it. */
struct report {
    uint64_t seed;
    unsigned step;
    const char
        *rule; /* the format of the text, which is the same in all processes; NULL: it crashed */
    char text[TEXT_MAX];
};

struct model {
    struct pools *pools;
    unsigned n_workers;
    struct worker workers[WORKERS_MAX];
    unsigned n_pools;        /* of FAKE_POOLS, those that clients go to */
    bool openings;           /* some clients have one */
    bool calm;               /* nothing unexpected happens any more */
    bool threaded;           /* what others do may be seen late */
    bool steady;             /* the settings stay as they are */
    bool trace;              /* each event is printed */
    bool removed[DATABASES]; /* not in the settings */
    uint64_t checks;         /* how many there were */
    struct report *report;
};

static const char *const database_names[DATABASES] = {"a", "b", "c"};

/* Those of database c have a user of their own in its connection string. */
static const struct {
    unsigned database;
    const char *user;
    bool forced;
} pool_names[FAKE_POOLS] = {
    {0, "u", false}, {1, "u", false}, {0, "v", false}, {1, "v", false}, {2, "u", true}};

/* ---- telling ---- */

/* Database, user and worker. */
#define PART_FORMAT     "%s/%s@%u"
#define PART_ARGS(part) (part)->pool->database->name, (part)->pool->user, (part)->worker->index

__attribute__((format(printf, 2, 3))) static void say(const struct model *model, const char *format,
                                                      ...)
{
    va_list args;
    bool fails = model->threaded && model->report->rule != NULL; /* it cannot be played again */
    if (!model->trace && !fails)
        return;
    va_start(args, format);
    printf("#   %4u ", model->report->step);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

static const char *name_of(const struct opening *opening)
{
    return opening == NULL ? "any" : opening_is_for_one(opening) ? "own" : opening->params[0].value;
}

static void say_servers(const struct model *model, const struct server_list *list)
{
    const struct server *server;
    TAILQ_FOREACH (server, list, entry)
        say(model, "    server %llu, state %d, begun as %s%s", (unsigned long long)server->id,
            server->state, name_of(server->opening), server->unchecked ? ", to be tested" : "");
}

static void say_waiters(const struct model *model, const struct waiter_list *list, const char *what)
{
    const struct waiter *waiter;
    TAILQ_FOREACH (waiter, list, entry)
        say(model, "    client %p %s for %lld us, wants %s", (const void *)waiter, what,
            (long long)(clock_now_us() - waiter->since_us), name_of(waiter->opening));
}

static void say_quota(const struct model *model, const char *name, const struct quota *quota)
{
    int64_t since_us = atomic_load(&quota->hungry_since_us);
    say(model, "    %d servers of %d of %s; hunger for %lld us, said %lld us ago",
        atomic_load(&quota->n_servers), atomic_load(&quota->limit), name,
        since_us != 0 ? (long long)(clock_now_us() - since_us) : 0,
        (long long)(clock_now_us() - atomic_load(&quota->hungry_said_us)));
}

static void say_part(const struct model *model, const struct part *part)
{
    const struct pool *pool = part->pool;
    int64_t retry_us = atomic_load(&pool->retry_at_us), again_us = part->again.at_us;
    say(model, "  " PART_FORMAT ": %d servers of %d + %d, %d connecting, %d failures",
        PART_ARGS(part), atomic_load(&pool->size), atomic_load(&pool->limit),
        atomic_load(&pool->reserve), atomic_load(&pool->n_connecting),
        atomic_load(&pool->failures));
    say(model, "    to be tried in %lld us, looked at in %lld us",
        retry_us != 0 ? (long long)(retry_us - clock_now_us()) : 0,
        again_us != 0 ? (long long)(again_us - clock_now_us()) : 0);
    say_quota(model, pool->database->name, &pool->database->quota);
    say_quota(model, pool->user, &pool->role->quota);
    say_servers(model, &part->idle);
    say_servers(model, &part->others);
    say_waiters(model, &part->waiters, "waits");
    say_waiters(model, &part->expecting, "expects");
}

/* How things stand, for who wonders why a rule is broken. */
static void say_all(const struct model *model)
{
    const struct part *part;
    for (unsigned i = 0; i < model->n_workers; i++) {
        TAILQ_FOREACH (part, &model->workers[i].pool.parts, entry)
            say_part(model, part);
    }
}

__attribute__((format(printf, 2, 3), noreturn)) static void model_fail(const struct model *model,
                                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    model->report->rule = format;
    vsnprintf(model->report->text, TEXT_MAX, format, args);
    va_end(args);
    say(model, "FAILS: %s", model->report->text);
    say_all(model);
    fflush(stdout);
    _exit(1);
}

#define MUST(model, condition, ...)                                                                \
    do {                                                                                           \
        if (!(condition))                                                                          \
            model_fail(model, __VA_ARGS__);                                                        \
    } while (0)

/* ---- chance ---- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Below n. */
static unsigned chance(struct worker *worker, unsigned n)
{
    worker->random = mix(worker->random);
    return (unsigned)((worker->random >> 32) * n >> 32);
}

#define PICK(worker, array) ((array)[chance(worker, sizeof(array) / sizeof *(array))])

static void begin_step(struct model *model, uint64_t seed, unsigned step)
{
    for (unsigned i = 0; i < model->n_workers; i++)
        model->workers[i].random = mix(seed * 1000003 + step) + i;
    model->report->seed = seed;
    model->report->step = step;
}

/* ---- settings ---- */

static struct settings *random_settings(struct model *model, struct worker *worker)
{
    static const int sizes[] = {1, 1, 2, 3, 5}, few[] = {0, 0, 0, 1, 2},
                     limits[] = {0, 0, 0, 2, 3, 4};
    static const char *const checks[] = {"", "<empty>", "select 1"},
                             *const delays[] = {"30", "1", "0"},
                             *const lifetimes[] = {"3600", "3600", "3600", "3", "0"},
                             *const idles[] = {"600", "0", "1"}, *const waits[] = {"5", "1", "0"},
                             *const retries[] = {"15", "1"}, *const resets[] = {"DISCARD ALL", ""};
    char text[2000];
    struct conf_report report;
    int n = snprintf(
        text, sizeof text,
        "[pgbouncer]\npool_mode = transaction\ndefault_pool_size = %d\nreserve_pool_size = %d\n"
        "reserve_pool_timeout = %s\nmin_pool_size = %d\nmax_db_connections = %d\n"
        "max_user_connections = %d\nserver_lifetime = %s\nserver_idle_timeout = %s\n"
        "server_check_query = %s\nserver_check_delay = %s\nserver_round_robin = %u\n"
        "server_login_retry = %s\nserver_fast_close = %u\nserver_reset_query = %s\n[databases]\n",
        PICK(worker, sizes), PICK(worker, few), PICK(worker, waits), PICK(worker, few),
        PICK(worker, limits), PICK(worker, limits), PICK(worker, lifetimes), PICK(worker, idles),
        PICK(worker, checks), PICK(worker, delays), chance(worker, 2), PICK(worker, retries),
        chance(worker, 2), PICK(worker, resets));
    for (unsigned i = 0; i < DATABASES; i++) {
        if (!model->removed[i])
            n += snprintf(text + n, sizeof text - (size_t)n, "%s = host=127.0.0.1 port=%u%s%s\n",
                          database_names[i], chance(worker, 8) == 0 ? 5433 : 5432,
                          i == 2 ? " user=u" : "", i == 1 ? " pool_mode=session" : "");
    }
    conf_report_init(&report);
    struct settings *settings = settings_load_text("model.ini", text, strlen(text), &report);
    MUST(model, settings != NULL, "%s", report.n_notes > 0 ? report.notes[0].text : "no settings");
    conf_report_done(&report);
    return settings;
}

/* ---- clients ---- */

static bool must_not_lend(const struct part *part)
{
    return part_paused(part) || part->db == NULL || part->worker->stopping;
}

static void client_leave(struct client *client)
{
    struct worker *worker = (struct worker *)client->part->worker;
    struct server *server = client->server;
    say(worker->model, "client %p of " PART_FORMAT " leaves", (void *)client,
        PART_ARGS(client->part));
    client->state = CLIENT_GONE;
    client->server = NULL;
    if (server != NULL && chance(worker, 4) == 0) {
        server->client = NULL;
        server_close(server, "client disconnect before everything was sent to the server");
    } else if (server != NULL) {
        fake_abandon(server, chance(worker, 2) == 0);
    }
    part_leave(client->part, &client->waiter);
    client->part->n_clients--;
    opening_unref(client->waiter.opening);
    client->waiter.opening = NULL;
}

static void client_want(struct client *client);

static void client_release(struct client *client)
{
    struct server *server = client->server;
    say(((struct worker *)client->part->worker)->model, "server %llu is given back by client %p",
        (unsigned long long)server->id, (void *)client);
    client->server = NULL;
    client->state = CLIENT_IDLE;
    server_release(server);
}

static void client_lose_server(struct client *client)
{
    struct server *server = client->server;
    client->server = NULL;
    server->client = NULL;
    server_close(server, "server conn crashed?");
    client_leave(client);
}

/* What a client may do with its server before it lets go of the thread. */
static void client_react(struct client *client)
{
    struct worker *worker = (struct worker *)client->part->worker;
    if (worker->model->calm || client->depth > 2)
        return;
    client->depth++;
    switch (chance(worker, 12)) {
    case 0:
        client_lose_server(client);
        break;
    case 1:
        client_leave(client);
        break;
    case 2:
        client_release(client);
        break;
    case 3:
        client_release(client);
        if (client->state == CLIENT_IDLE)
            client_want(client);
        break;
    default:
        break;
    }
    client->depth--;
}

static void client_take(struct client *client, struct server *server)
{
    struct worker *worker = (struct worker *)client->part->worker;
    struct model *model = worker->model;
    say(model, "server %llu is lent to client %p", (unsigned long long)server->id, (void *)client);
    MUST(model, server->state == SERVER_LEASED && server->part == client->part,
         "a server in state %d was lent", server->state);
    MUST(model, server->client == NULL && client->server == NULL, "a server was lent twice");
    MUST(model,
         opening_same(server->opening, client->waiter.opening) ||
             fake_of(server)->meant_for == &client->waiter,
         "the lent server has not begun as its client");
    MUST(model, !server->unchecked && !server->testing, "a server that is to be tested was lent");
    MUST(model, model->threaded || !must_not_lend(client->part),
         "a server of a database that is paused, removed or closing was lent");
    /* A worker lends its idle servers until it has heard of a RECONNECT. */
    MUST(model, model->threaded || worker->n_orders > 0 || !part_is_stale(client->part, server),
         "a stale server was lent");
    fake_of(server)->meant_for = NULL;
    fake_of(server)->asked_for = false;
    client->server = server;
    client->state = CLIENT_ACTIVE;
    server->client = client;
    client_react(client);
}

static void client_want(struct client *client)
{
    struct part *part = client->part;
    struct worker *worker = (struct worker *)part->worker;
    if (part->db == NULL || worker->pool.stopping) {
        client_leave(client);
        return;
    }
    struct server *server = part_acquire(part, client->waiter.opening, NULL);
    if (server != NULL) {
        client_take(client, server);
        return;
    }
    say(worker->model, "client %p of " PART_FORMAT " waits", (void *)client, PART_ARGS(part));
    client->state = CLIENT_WAITING;
    client->since_us = clock_now_us();
    part_wait(part, &client->waiter);
}

static struct opening *random_opening(struct worker *worker)
{
    struct startup_param param = {"DateStyle", "ISO"};
    static const char *const values[] = {"ISO", "German", "SQL"};
    unsigned kind = worker->model->openings ? chance(worker, 10) : 0;
    param.value = values[kind % 3];
    if (kind == 9)
        return opening_new(&param, 1, STARTUP_LOGICAL_REPLICATION);
    return kind > 5 ? opening_new(&param, 1, STARTUP_NO_REPLICATION) : NULL;
}

static void client_come(struct worker *worker, struct client *client)
{
    const struct model *model = worker->model;
    struct pool *pool = fake.tallies[chance(worker, model->n_pools)].pool;
    client->part = part_get(&worker->pool, pool);
    client->part->n_clients++;
    client->state = CLIENT_IDLE;
    client->waiter.opening = random_opening(worker);
    client_want(client);
}

/* ---- what the pools tell ---- */

/* The oldest of another worker's queue for the same pool; 0: none waits. */
static int64_t oldest_elsewhere(const struct part *part)
{
    int64_t oldest_us = 0;
    for (unsigned i = 0; i < part->pool->pools->n_workers; i++) {
        const struct part *other = part->pool->parts[i];
        const struct waiter *first =
            other != NULL && other != part ? TAILQ_FIRST(&other->waiters) : NULL;
        if (first != NULL && (oldest_us == 0 || first->since_us < oldest_us))
            oldest_us = first->since_us;
    }
    return oldest_us;
}

/* The client has just left the queue.  Who was before it there wants another kind of server. */
static void check_order(const struct model *model, const struct client *client,
                        struct server *server)
{
    const struct part *part = client->part;
    const struct waiter *waiter, *first = TAILQ_FIRST(&part->waiters);
    int64_t since_us = client->since_us, theirs_us = oldest_elsewhere(part);
    int64_t oldest_us = first != NULL && first->since_us < since_us ? first->since_us : since_us;
    TAILQ_FOREACH (waiter, &part->waiters, entry)
        MUST(model,
             waiter->since_us >= since_us || !opening_same(waiter->opening, client->waiter.opening),
             "an older client of its worker was passed over");
    bool ours_only = fake_of(server)->asked_for || part->worker->suspended;
    MUST(model, ours_only || theirs_us == 0 || theirs_us + 4000 >= oldest_us,
         "an older client of another worker was passed over");
}

static void on_granted(struct pool_worker *pool_worker, struct waiter *waiter,
                       struct server *server)
{
    struct model *model = ((struct worker *)pool_worker)->model;
    struct client *client = (struct client *)waiter;
    MUST(model, client->state == CLIENT_WAITING && waiter->since_us == 0 && waiter->coming == NULL,
         "a client in state %d was granted a server", client->state);
    if (!model->threaded && fake_of(server)->meant_for == NULL)
        check_order(model, client, server);
    client_take(client, server);
}

static void on_refused(struct pool_worker *pool_worker, struct waiter *waiter,
                       const struct err *err)
{
    struct client *client = (struct client *)waiter;
    MUST(((struct worker *)pool_worker)->model,
         client->state == CLIENT_WAITING && waiter->since_us == 0 && waiter->coming == NULL,
         "a client in state %d was refused", client->state);
    client_leave(client);
}

static void on_outdated(struct server *server)
{
    struct worker *worker = (struct worker *)server->part->worker;
    if (server->client != NULL && chance(worker, 2) == 0)
        client_leave(server->client);
}

static void on_closing(const struct server *server, const char *reason)
{
    say(((struct worker *)server->part->worker)->model, "server %llu is closed: %s",
        (unsigned long long)server->id, reason != NULL ? reason : "the end");
}

static void on_heard(struct server *server)
{
    MUST(((struct worker *)server->part->worker)->model,
         server->state == SERVER_LISTENING && server->part->listener == server,
         "a server in state %d is heard", server->state);
}

static void on_deaf(struct part *part)
{
    MUST(((struct worker *)part->worker)->model, part->listener == NULL,
         "a listening server that is gone is kept");
}

static void on_nothing(struct server *server)
{
}

static const struct pool_events model_events = {.granted = on_granted,
                                                .refused = on_refused,
                                                .readable = on_nothing,
                                                .drained = on_nothing,
                                                .silent = on_nothing,
                                                .outdated = on_outdated,
                                                .heard = on_heard,
                                                .deaf = on_deaf};

#endif
