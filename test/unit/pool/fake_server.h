/*
 * test/unit/pool/fake_server.h - pool/server.h without a socket, and a clock that the test sets
 *
 * Defines what src/pool/{part,mail,hunt,quota,worker,upkeep,pools}.c call and what would need a network: the linker then
 * takes none of the real ones from the library.  A server does what fake_advance() and its like tell it;
 * what its part hears of that is what the real one would tell.
 *
 * Threading:  a server is its worker's, as the real one; the clock and the tallies are atomic
 */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "net/stream.h"
#include "pool/cancel.h"
#include "pool/opening.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "proto/message.h"

enum { FAKE_POOLS = 5 };

/* The real number of servers of a pool, counted where they begin and end. */
struct fake_tally {
    struct pool *pool;
    atomic_int size, connecting, moving;
    atomic_int listening; /* outside of size, and of connecting */
};

static struct {
    _Atomic int64_t now_us;
    atomic_int in_memory; /* servers that have not been freed */
    struct fake_tally tallies[FAKE_POOLS];
    void (*opened)(const struct server *server);
    void (*closing)(const struct server *server, const char *reason);
} fake;

struct fake_server {
    struct server server;     /* first */
    struct waiter *meant_for; /* for whom it was opened, until it is lent */
    bool asked_for;           /* it has come because a worker has asked for it */
    uint64_t seen;            /* by which check it was met */
};

static inline struct fake_server *fake_of(struct server *server)
{
    return (struct fake_server *)server;
}

/* ---- what is not there ---- */

int64_t clock_now_us(void)
{
    return atomic_load(&fake.now_us);
}

int64_t clock_wall_us(void)
{
    return atomic_load(&fake.now_us);
}

struct resolver *resolver_new(void)
{
    return NULL;
}

void resolver_free(struct resolver *resolver)
{
}

bool address_parse(const char *host, int port, struct address *address)
{
    return true; /* no names here */
}

void resolver_ask(struct resolver *resolver, struct resolve_request *request)
{
}

bool stream_look(struct stream *stream)
{
    return false;
}

void stream_yield(struct stream *stream)
{
}

void cancel_end_all(struct pool_worker *worker)
{
}

void server_cancel(struct server *server, struct loop *back, struct mail *then)
{
}

/* ---- from connect to close ---- */

static struct fake_tally *fake_tally_of(const struct pool *pool)
{
    struct fake_tally *tally = fake.tallies;
    while (tally->pool != pool)
        tally++;
    return tally;
}

static bool fake_is_connecting(const struct server *server)
{
    return server->state == SERVER_CONNECTING || server->state == SERVER_LOGIN || server->starting;
}

/* Those that are opened for clients. */
static void fake_count_size(const struct server *server, int n, bool connecting)
{
    struct fake_tally *tally = fake_tally_of(server->part->pool);
    if (server->listens) {
        atomic_fetch_add(&tally->listening, n);
        return;
    }
    atomic_fetch_add(&tally->size, n);
    atomic_fetch_add(&tally->connecting, connecting ? n : 0);
}

static struct server *fake_make(struct part *part)
{
    struct fake_server *one = mem_new(sizeof *one);
    struct server *server = &one->server;
    server->id = atomic_fetch_add(&part->pool->pools->last_id, 1) + 1;
    server->target = part->target;
    server->epoch = part_epoch(part);
    server->connected_us = clock_now_us();
    server->stream.fd = -1;
    server->txn = TXN_IDLE;
    return server;
}

static void fake_begin(struct part *part, struct server *server)
{
    part_enlist(part, server, SERVER_CONNECTING);
    atomic_fetch_add(&fake.in_memory, 1);
    fake_count_size(server, 1, true);
    fake.opened(server);
}

void server_connect(struct part *part, struct waiter *waiter)
{
    struct server *server = fake_make(part);
    if (waiter != NULL) {
        server->opening = opening_ref(waiter->opening);
        server->waiter = waiter;
        waiter->coming = server;
    }
    fake_begin(part, server);
}

void server_connect_listener(struct part *part)
{
    struct server *server = fake_make(part);
    server->listens = true;
    part->listener = server;
    fake_begin(part, server);
}

static void fake_free(struct mail *mail, struct loop *loop)
{
    atomic_fetch_sub(&fake.in_memory, 1);
    mem_free(CONTAINER_OF(mail, struct server, mail));
}

void server_close(struct server *server, const char *reason)
{
    struct part *part = server->part;
    bool was_connecting = fake_is_connecting(server);
    if (server->state == SERVER_CLOSED)
        return;
    assert(server->state != SERVER_MOVING && server->client == NULL);
    fake.closing(server, reason);
    part_expect_no_more(server);
    part_disown(server);
    if (server->testing)
        part->n_testing--;
    server->testing = server->starting = false;
    server->state = SERVER_CLOSED;
    opening_unref(server->opening);
    server->opening = NULL;
    fake_count_size(server, -1, was_connecting);
    part_server_gone(server, was_connecting);
    if (server->listens)
        part_listener_gone(server);
    server->mail.deliver = fake_free;
    loop_later(part->worker->loop, &server->mail);
}

static void fake_arrive(struct mail *mail, struct loop *loop)
{
    struct server *server = CONTAINER_OF(mail, struct server, mail);
    assert(server->part->worker->loop == loop);
    atomic_fetch_sub(&fake_tally_of(server->part->pool)->moving, 1);
    part_adopt(server->part, server);
}

void server_hand_over(struct server *server, struct part *to)
{
    server->state = SERVER_MOVING;
    server->part = to;
    fake_of(server)->asked_for = server->asked_for;
    server->mail.deliver = fake_arrive;
    atomic_fetch_add(&fake_tally_of(to->pool)->moving, 1);
    loop_post(to->worker->loop, &server->mail);
}

/* ---- when its client is done ---- */

bool server_is_clean(const struct server *server)
{
    return server->client == NULL && server->cancels == 0 && !server->testing && !server->starting;
}

void server_test(struct server *server)
{
    server->testing = true;
}

static inline void fake_finish(struct server *server)
{
    if (server->testing) {
        server->testing = server->unchecked = false;
        part_test_passed(server);
    } else {
        part_release(server);
    }
}

static inline bool fake_needs_reset(const struct server *server)
{
    const struct settings *settings = server->part->worker->settings;
    return settings->server_reset_query[0] != '\0' &&
           (server->part->mode == POOL_SESSION || server->opening != NULL);
}

void server_release(struct server *server)
{
    server->client = NULL;
    server->lease_no++;
    if (opening_is_for_one(server->opening))
        server_close(server, "replication client was closed");
    else if (fake_needs_reset(server))
        server->state = SERVER_CLEANING;
    else
        part_release(server);
}

/* Its client has gone in the middle of something; cancels: of its statements, under way. */
static inline void fake_abandon(struct server *server, int cancels)
{
    server->client = NULL;
    server->lease_no++;
    server->state = SERVER_CLEANING;
    server->cancels = cancels;
    if (opening_is_for_one(server->opening))
        server_close(server, "replication client was closed");
}

/* ---- what PostgreSQL does ---- */

static inline void fake_become_ready(struct server *server)
{
    fake_of(server)->meant_for = server->waiter;
    if (!server->listens)
        atomic_fetch_sub(&fake_tally_of(server->part->pool)->connecting, 1);
    server->starting = false;
    part_server_ready(server);
}

/* The attempt to connect fails.  refused: by the server's own words. */
static inline void fake_fail(struct server *server, const char *sqlstate, bool refused)
{
    struct err err;
    err_set(&err, sqlstate, "the fake server says no");
    part_connect_failed(server, &err, refused);
    server_close(server, refused ? "login failed" : "connect failed");
}

/* One step further on the way to being free; connect_query: it has one. */
static inline void fake_advance(struct server *server, bool connect_query)
{
    if (server->part->db == NULL && fake_is_connecting(server) && !server->starting) {
        server_close(server, "database removed");
        return;
    }
    switch (server->state) {
    case SERVER_CONNECTING:
        server->state = SERVER_LOGIN;
        break;
    case SERVER_LOGIN:
        server->starting = connect_query;
        server->state = server->starting ? SERVER_CLEANING : SERVER_LEASED;
        if (!server->starting)
            fake_become_ready(server);
        break;
    case SERVER_CLEANING:
        if (server->starting)
            fake_become_ready(server);
        else if (server->cancels > 0)
            server->state = SERVER_CANCELED;
        else
            fake_finish(server);
        break;
    case SERVER_CANCELED:
        server->cancels = 0;
        server->state = SERVER_CLEANING;
        fake_finish(server);
        break;
    default:
        break;
    }
}

#endif
