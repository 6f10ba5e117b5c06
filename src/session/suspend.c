#include "session/suspend.h"

#include "base/err.h"
#include "base/reader.h"
#include "pool/server.h"
#include "proto/message.h"
#include "session/client.h"
#include "session/fanout.h"
#include "session/listen.h"
#include "session/worker.h"

/* ---- one connection ---- */

/* How many bytes of input it takes to know more of the message at work, or to end it. */
static size_t missing(uint32_t remain, const struct buf *stash)
{
    if (remain > 0 || stash->len == 0)
        return remain;
    if (stash->len < MESSAGE_HEADER)
        return MESSAGE_HEADER - stash->len;
    size_t total = 1 + (size_t)load_u32(stash->data + 1);
    return total > stash->len ? total - stash->len : 0;
}

/* True: it rests. */
static bool settle(struct stream *stream, struct loop *loop, uint32_t remain,
                   const struct buf *stash)
{
    bool between_messages = remain == 0 && stash->len == 0;
    if (between_messages && stream_pending(stream) == 0) {
        stream_hold(stream);
        return true;
    }
    stream_limit(stream, loop, missing(remain, stash));
    return false;
}

/* Of a login the worker keeps what it has read, and goes on later. */
static bool settle_login(struct client *client, enum suspend_phase phase)
{
    static const struct buf nothing = BUF_NONE;
    if (phase != SUSPEND_CLOSE)
        return true;
    return settle(&client->stream, client->worker->loop, 0, &nothing);
}

static bool settle_client(struct client *client, enum suspend_phase phase)
{
    if (client->state < CLIENT_IDLE || client->state > CLIENT_REFUSING)
        return settle_login(client, phase);
    return settle(&client->stream, client->worker->loop, client->remain, &client->stash);
}

/* What is under way between us and a server comes to its end first; so do the replies that a message
 * of its client's waits for. */
static bool must_go_on(const struct server *server)
{
    const struct client *client = server->client;
    switch (server->state) {
    case SERVER_IDLE:
        return false;
    case SERVER_LISTENING:
        return server->replies.count > 0 || fanout_is_busy(server->part);
    case SERVER_LEASED:
        return client == NULL || client->state != CLIENT_ACTIVE || client->stalled;
    default:
        return true;
    }
}

static bool settle_server(struct server *server)
{
    struct loop *loop = server->part->worker->loop;
    if (!must_go_on(server))
        return settle(&server->stream, loop, server->remain, &server->stash);
    if (!server->stream.attached)
        stream_release(&server->stream, loop);
    return false;
}

/* ---- all of them ---- */

static int settle_clients(struct worker *worker, enum suspend_phase phase, const struct err *drop)
{
    struct client *client, *next;
    int left = 0;
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        if (settle_client(client, phase))
            continue;
        if (drop != NULL)
            client_fail_with_server(client, drop);
        else
            left++;
    }
    return left;
}

static void drop_server(struct server *server, const struct err *err)
{
    if (server->client != NULL)
        client_fail_with_server(server->client, err);
    else
        server_close(server, err->message);
}

static int settle_servers(struct server_list *list, const struct err *drop)
{
    struct server *server, *next;
    int left = 0;
    for (server = TAILQ_FIRST(list); server != NULL; server = next) {
        next = TAILQ_NEXT(server, entry);
        if (settle_server(server))
            continue;
        if (drop != NULL)
            drop_server(server, drop);
        else
            left++;
    }
    return left;
}

int suspend_step(struct worker *worker, enum suspend_phase phase)
{
    struct err timeout = ERR_NONE;
    const struct err *reason = phase == SUSPEND_DROP ? &timeout : NULL;
    struct part *part;
    err_set(&timeout, SQLSTATE_ADMIN_SHUTDOWN, "suspend_timeout");
    worker->pool.suspended = true;
    if (phase == SUSPEND_CLOSE)
        listen_hold(worker, true);
    int left = settle_clients(worker, phase, reason);
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        left += settle_servers(&part->idle, reason);
        left += settle_servers(&part->others, reason);
    }
    return left;
}

static void release_servers(struct server_list *list, struct loop *loop)
{
    struct server *server;
    TAILQ_FOREACH (server, list, entry)
        stream_release(&server->stream, loop);
}

void suspend_end(struct worker *worker)
{
    struct client *client;
    struct part *part;
    if (!worker->pool.suspended)
        return;
    worker->pool.suspended = false;
    TAILQ_FOREACH (client, &worker->clients, entry)
        stream_release(&client->stream, worker->loop);
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        release_servers(&part->idle, worker->loop);
        release_servers(&part->others, worker->loop);
    }
    listen_hold(worker, false);
}
