#include "session/peers.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "net/stream.h"
#include "proto/build.h"
#include "session/worker.h"

enum {
    LONGEST_US = 10000000, /* where cancel_wait_timeout is off */
    WAITING_MAX = 1000,    /* for one peer: anybody can send requests */
};

/* The addresses of the peer.  Outlives its request if that ends while the resolver has it. */
struct lookup {
    struct resolve_request request; /* first: the resolver finds us by it */
    struct peer_request *owner;     /* borrowed; NULL once that has ended */
    struct err err;                 /* of the last address */
    size_t next;                    /* of the addresses: to be tried */
    int port;
    bool asked; /* the resolver has it */
};

struct peer_request {
    struct stream stream; /* first: the events find us by it */
    TAILQ_ENTRY(peer_request) entry;
    struct peer_pool *pool; /* borrowed */
    enum peer_request_state state;
    uint8_t key[PEER_KEY_LEN]; /* as the peer gets it */
    struct lookup *lookup;     /* owned, while CONNECTING; or by the resolver, if `asked` */
    struct deadline deadline;
    struct loop *back; /* borrowed: who is told of the end, with `then` */
    struct mail *then;
    struct mail mail; /* for the end */
};

const size_t peers_request_size = sizeof(struct peer_request);

static const struct stream_events events;
static void place(struct peer_pool *pool);

static struct loop *loop_of(const struct peer_request *request)
{
    return request->pool->worker->loop;
}

static const struct settings *settings_of(const struct peer_pool *pool)
{
    return pool->worker->pool.settings;
}

/* ---- the end ---- */

static struct peer_request_list *list_of(struct peer_request *request)
{
    return request->state == PEER_WAITING ? &request->pool->waiting : &request->pool->active;
}

static void enter(struct peer_request *request, enum peer_request_state state)
{
    TAILQ_REMOVE(list_of(request), request, entry);
    request->pool->n[request->state]--;
    request->state = state;
    request->pool->n[state]++;
    TAILQ_INSERT_TAIL(list_of(request), request, entry);
}

static void drop_lookup(struct peer_request *request)
{
    struct lookup *lookup = request->lookup;
    request->lookup = NULL;
    if (lookup != NULL && lookup->asked)
        lookup->owner = NULL;
    else
        mem_free(lookup);
}

static void deliver_free(struct mail *mail, struct loop *loop)
{
    mem_free(CONTAINER_OF(mail, struct peer_request, mail));
}

/* why: for the log; NULL: nothing to say. */
static void end(struct peer_request *request, const char *why)
{
    struct peer_pool *pool = request->pool;
    struct loop *loop = loop_of(request);
    if (request->state == PEER_ENDED)
        return;
    if (why != NULL)
        log_warning("could not forward cancel request to peer %d: %s", pool->id, why);
    TAILQ_REMOVE(list_of(request), request, entry);
    pool->n[request->state]--;
    request->state = PEER_ENDED;
    drop_lookup(request);
    deadline_clear(loop, &request->deadline);
    stream_close(&request->stream);
    request->mail.deliver = deliver_free;
    loop_later(loop, &request->mail);
    loop_post(request->back, request->then);
    place(pool);
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    end(CONTAINER_OF(deadline, struct peer_request, deadline), "cancel_wait_timeout");
}

/* ---- connecting ---- */

static void try_next_address(struct peer_request *request)
{
    struct lookup *lookup = request->lookup;
    struct resolve_request *found = &lookup->request;
    bool pending;
    while (lookup->next < found->n_addresses) {
        struct address *address = &found->addresses[lookup->next++];
        address_set_port(address, lookup->port);
        int fd = socket_connect(address, settings_of(request->pool), &pending, &lookup->err);
        if (fd >= 0) {
            /* A socket that is connected already is writable at once: one path for both. */
            stream_open(&request->stream, loop_of(request), fd, true, &events);
            return;
        }
    }
    struct err err = lookup->err; /* the look-up goes first */
    end(request, err.message);
}

static void deliver_addresses(struct mail *mail, struct loop *loop)
{
    struct lookup *lookup = (struct lookup *)mail;
    lookup->asked = false;
    if (lookup->request.n_addresses == 0)
        err_set(&lookup->err, SQLSTATE_CANNOT_CONNECT, "DNS lookup failed: %s",
                lookup->request.error);
    if (lookup->owner != NULL)
        try_next_address(lookup->owner);
    else
        mem_free(lookup);
}

static void look_up(struct lookup *lookup, struct worker *worker)
{
    struct resolver *resolver = worker->proxy->pools->resolver;
    if (resolver == NULL) { /* the workers have ended */
        err_set(&lookup->err, SQLSTATE_ADMIN_SHUTDOWN, "pooler is shutting down");
        try_next_address(lookup->owner);
        return;
    }
    lookup->asked = true;
    lookup->request.mail.deliver = deliver_addresses;
    lookup->request.loop = worker->loop;
    resolver_ask(resolver, &lookup->request);
}

static void start(struct peer_request *request, const struct conf_peer *peer)
{
    struct lookup *lookup = request->lookup = mem_new(sizeof *lookup);
    enter(request, PEER_CONNECTING);
    lookup->owner = request;
    lookup->port = peer->port;
    strncpy(lookup->request.host, peer->host, sizeof lookup->request.host - 1);
    if (!address_parse(peer->host, peer->port, &lookup->request.addresses[0])) {
        look_up(lookup, request->pool->worker);
        return;
    }
    lookup->request.n_addresses = 1;
    try_next_address(request);
}

/* A peer closes the connection and says nothing; what else comes is not from a peer. */
static void read_end(struct peer_request *request)
{
    char byte;
    ssize_t got = stream_read(&request->stream, &byte, sizeof byte);
    if (got < 0)
        log_debug("successfully sent cancel request to peer %d", request->pool->id);
    if (got != 0)
        end(request, got > 0 ? "unexpected answer" : NULL);
}

static void connected(struct peer_request *request)
{
    struct buf out = BUF_NONE;
    int code = socket_error(request->stream.fd);
    if (code != 0) {
        err_set(&request->lookup->err, SQLSTATE_CANNOT_CONNECT, "connect failed: %s",
                strerror(code));
        stream_close(&request->stream);
        try_next_address(request);
        return;
    }
    request->stream.connecting = false;
    drop_lookup(request);
    enter(request, PEER_SENT);
    message_cancel(&out, request->key);
    stream_write(&request->stream, out.data, out.len);
    buf_done(&out);
    if (request->stream.readable) /* it came with the event that is at work: there is no other */
        read_end(request);
}

/* ---- what the socket has to say ---- */

static void on_drained(struct stream *stream)
{
    if (stream->connecting)
        connected((struct peer_request *)stream);
}

static void on_readable(struct stream *stream)
{
    struct peer_request *request = (struct peer_request *)stream;
    if (stream->connecting)
        connected(request);
    else if (request->state == PEER_SENT)
        read_end(request);
}

static const struct stream_events events = {.readable = on_readable, .drained = on_drained};

/* ---- the pool of a peer ---- */

static struct peer_pool *find_pool(struct worker *worker, int id)
{
    struct peer_pool *pool;
    TAILQ_FOREACH (pool, &worker->peer_pools, entry) {
        if (pool->id == id)
            return pool;
    }
    return NULL;
}

static struct peer_pool *make_pool(struct worker *worker, int id)
{
    struct peer_pool *pool = mem_new(sizeof *pool);
    pool->worker = worker;
    pool->id = id;
    TAILQ_INIT(&pool->waiting);
    TAILQ_INIT(&pool->active);
    TAILQ_INSERT_TAIL(&worker->peer_pools, pool, entry);
    return pool;
}

/* Why the peer gets no requests; NULL: it does. */
static const char *objection(const struct settings *settings, const struct conf_peer *peer)
{
    if (peer == NULL)
        return "could not find peer to forward request to";
    return conf_peer_pool_size(settings, peer) == 0 ? "pool_size of the peer is 0" : NULL;
}

/* Starts what the limit lets start, or ends what will never start; a pool without requests goes. */
static void place(struct peer_pool *pool)
{
    const struct settings *settings = settings_of(pool);
    const struct conf_peer *peer = conf_find_peer(settings, pool->id);
    const char *why_not = objection(settings, peer);
    struct peer_request *request;
    if (pool->placing) /* an end within the loop below, whose next round sees to it */
        return;
    pool->placing = true;
    while ((request = TAILQ_FIRST(&pool->waiting)) != NULL) {
        if (why_not != NULL)
            end(request, why_not);
        else if (pool->n[PEER_CONNECTING] + pool->n[PEER_SENT] <
                 conf_peer_pool_size(settings, peer))
            start(request, peer);
        else
            break;
    }
    pool->placing = false;
    if (!TAILQ_EMPTY(&pool->waiting) || !TAILQ_EMPTY(&pool->active))
        return;
    TAILQ_REMOVE(&pool->worker->peer_pools, pool, entry);
    mem_free(pool);
}

static void add(struct peer_pool *pool, const uint8_t *key, struct loop *back, struct mail *then)
{
    int64_t timeout_us = settings_of(pool)->cancel_wait_timeout_us;
    struct peer_request *request = mem_new(sizeof *request);
    request->pool = pool;
    request->stream.fd = -1;
    memcpy(request->key, key, PEER_KEY_LEN);
    request->back = back;
    request->then = then;
    request->deadline.expired = on_deadline;
    request->state = PEER_WAITING;
    pool->n[PEER_WAITING]++;
    TAILQ_INSERT_TAIL(&pool->waiting, request, entry);
    deadline_set(loop_of(request), &request->deadline, DEADLINE_CANCEL,
                 clock_now_us() + (timeout_us > 0 ? timeout_us : LONGEST_US));
}

const char *peers_forward(struct worker *worker, const uint8_t key[PEER_KEY_LEN], struct loop *back,
                          struct mail *then)
{
    const struct settings *settings = worker->pool.settings;
    int id = peer_key_id(key);
    uint8_t shorter[PEER_KEY_LEN];
    memcpy(shorter, key, PEER_KEY_LEN);
    if (!peer_key_hop(shorter))
        return "failed to forward cancel request because its TTL was exhausted";
    const char *why_not = objection(settings, conf_find_peer(settings, id));
    if (why_not != NULL)
        return why_not;
    struct peer_pool *pool = find_pool(worker, id);
    if (pool == NULL)
        pool = make_pool(worker, id);
    if (pool->n[PEER_WAITING] >= WAITING_MAX)
        return "too many cancel requests wait for the peer";
    add(pool, shorter, back, then);
    place(pool);
    return NULL;
}

void peers_reload(struct worker *worker)
{
    struct peer_pool *pool, *next;
    for (pool = TAILQ_FIRST(&worker->peer_pools); pool != NULL; pool = next) {
        next = TAILQ_NEXT(pool, entry);
        place(pool);
    }
}

static void end_pool(struct peer_pool *pool)
{
    struct peer_request *request;
    pool->placing = true; /* so that nothing starts in place of what ends */
    while ((request = TAILQ_FIRST(&pool->waiting)) != NULL)
        end(request, NULL);
    while ((request = TAILQ_FIRST(&pool->active)) != NULL)
        end(request, NULL);
    pool->placing = false;
    place(pool);
}

void peers_end_all(struct worker *worker)
{
    while (!TAILQ_EMPTY(&worker->peer_pools))
        end_pool(TAILQ_FIRST(&worker->peer_pools));
}
