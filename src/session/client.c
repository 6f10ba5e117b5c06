#include "session/client.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "base/container.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/peerlog.h"
#include "pool/params.h"
#include "pool/server.h"
#include "proto/message.h"
#include "proto/response.h"
#include "proto/startup.h"
#include "session/cancel.h"
#include "session/greet.h"
#include "session/moving.h"
#include "session/names.h"
#include "session/routing.h"
#include "session/state.h"
#include "session/subscriber.h"
#include "session/worker.h"

static const struct stream_events events;

static const struct settings *settings_of(const struct client *client)
{
    return client->worker->pool.settings;
}

void client_log(const struct client *client, enum log_level level, const char *format, ...)
{
    struct peer peer = {.kind = 'C',
                        .ptr = client,
                        .database =
                            client->part != NULL ? client->part->pool->database->name : "(nodb)",
                        .user = client->user != NULL ? client->user : "(nouser)",
                        .address = &client->address};
    va_list args;
    va_start(args, format);
    peer_log(&peer, level, format, args);
    va_end(args);
}

/* ---- deadlines ---- */

static int64_t sooner(int64_t a_us, int64_t b_us)
{
    return a_us == 0 || (b_us != 0 && b_us < a_us) ? b_us : a_us;
}

static int64_t after(int64_t since_us, int64_t timeout_us)
{
    return timeout_us > 0 && since_us > 0 ? since_us + timeout_us : 0;
}

static const struct conf_user *user_of(const struct client *client)
{
    return client->user != NULL ? conf_find_user(settings_of(client), client->user) : NULL;
}

/* Our own question behind it counts as a query. */
static int64_t query_end_us(const struct client *client)
{
    int64_t since_us = client->query_us;
    if (since_us == 0 && traces_stall(client->traces))
        since_us = client->traces->asked_us;
    return after(since_us, conf_query_timeout_us(settings_of(client), user_of(client)));
}

static int64_t transaction_end_us(const struct client *client)
{
    return after(client->xact_us,
                 conf_transaction_timeout_us(settings_of(client), user_of(client)));
}

static int64_t idle_end_us(const struct client *client)
{
    if (client->query_us != 0 || client->xact_us == 0)
        return 0;
    return after(clock_now_us(),
                 conf_idle_transaction_timeout_us(settings_of(client), user_of(client)));
}

/* A client that is pinned and does nothing gets a notice at half time. */
static int64_t pin_end_us(const struct client *client)
{
    const struct traces *traces = client->traces;
    int64_t timeout_us = settings_of(client)->pin_idle_timeout_us;
    if (!traces_pin(traces) || traces->probing || client->query_us != 0 || client->xact_us != 0)
        return 0;
    return after(traces->idle_us, traces->warned ? timeout_us : timeout_us / 2);
}

static int64_t wait_end_us(const struct client *client)
{
    const struct settings *settings = settings_of(client);
    return after(client->waiter.since_us,
                 conf_query_wait_timeout_us(settings, client->part->db, user_of(client)));
}

/* query_timeout counts the time in the queue too. */
static int64_t waiting_query_end_us(const struct client *client)
{
    return after(client->waiter.since_us,
                 conf_query_timeout_us(settings_of(client), user_of(client)));
}

static int64_t notify_us(const struct client *client)
{
    return client->notified
               ? 0
               : after(client->waiter.since_us, settings_of(client)->query_wait_notify_us);
}

/* In session mode it waits as others do at their first statement, if there are servers at all. */
static bool waits_in_session_mode(const struct client *client)
{
    return client->waiter.since_us != 0 && client_in_session_mode(client) &&
           pool_has_servers(client->part->pool);
}

static int64_t welcome_end_us(const struct client *client)
{
    return waits_in_session_mode(client)
               ? wait_end_us(client)
               : after(client->connected_us, settings_of(client)->client_login_timeout_us);
}

static void set(struct client *client, enum deadline_class class, int64_t at_us)
{
    if (at_us != 0)
        deadline_set(client->worker->loop, &client->deadline, class, at_us);
    else
        deadline_clear(client->worker->loop, &client->deadline);
}

void client_set_deadline(struct client *client)
{
    const struct settings *settings = settings_of(client);
    switch ((enum client_state)client->state) {
    case CLIENT_STARTUP:
    case CLIENT_AUTH:
        set(client, DEADLINE_LOGIN, after(client->connected_us, settings->client_login_timeout_us));
        break;
    case CLIENT_WELCOME:
        set(client, DEADLINE_LOGIN, welcome_end_us(client));
        break;
    case CLIENT_IDLE:
        set(client, DEADLINE_CLIENT_IDLE,
            after(clock_now_us(), conf_client_idle_timeout_us(settings, user_of(client))));
        break;
    case CLIENT_WAITING:
        set(client, DEADLINE_WAIT,
            sooner(sooner(wait_end_us(client), waiting_query_end_us(client)), notify_us(client)));
        break;
    case CLIENT_ACTIVE:
        set(client, DEADLINE_QUERY,
            client->replication != STARTUP_NO_REPLICATION
                ? 0 /* its statements are meant to take long */
                : sooner(sooner(query_end_us(client), transaction_end_us(client)),
                         sooner(idle_end_us(client), pin_end_us(client))));
        break;
    case CLIENT_REFUSING:
    case CLIENT_CANCELING:
    case CLIENT_MOVING:
    case CLIENT_CLOSED:
        set(client, DEADLINE_LOGIN, 0);
        break;
    }
}

/* Of a deadline that is only half over. */
static void notify(struct client *client, const char *text)
{
    struct buf out = BUF_NONE;
    response_notice(&out, "NOTICE", "00000", text, NULL);
    stream_write(&client->stream, out.data, out.len);
    buf_done(&out);
    client_set_deadline(client);
}

/* True: it was only the time for a notice. */
static bool warn_pinned(struct client *client)
{
    if (client->traces->warned)
        return false;
    client->traces->warned = true;
    notify(client, "this session keeps a server connection and does nothing (pin_idle_timeout)");
    return true;
}

/* False: the client stays. */
static bool expire_active(struct client *client, struct err *err)
{
    int64_t now_us = clock_now_us();
    if (pin_end_us(client) != 0)
        return !warn_pinned(client) &&
               !err_set(err, SQLSTATE_IDLE_SESSION_TIMEOUT, "pin_idle_timeout");
    int64_t query_us = query_end_us(client), xact_us = transaction_end_us(client);
    if (query_us != 0 && query_us <= now_us)
        err_set(err, SQLSTATE_QUERY_CANCELED, "query timeout");
    else if (xact_us != 0 && xact_us <= now_us)
        err_set(err, SQLSTATE_IDLE_IN_TRANSACTION, "transaction timeout");
    else
        err_set(err, SQLSTATE_IDLE_IN_TRANSACTION, "idle transaction timeout");
    return true;
}

/* False: it was only the time for a notice. */
static bool expire_waiting(struct client *client, struct err *err)
{
    int64_t now_us = clock_now_us();
    int64_t query_us = waiting_query_end_us(client), wait_us = wait_end_us(client);
    if (query_us != 0 && query_us <= now_us)
        err_set(err, SQLSTATE_QUERY_CANCELED, "query_timeout");
    else if (wait_us != 0 && wait_us <= now_us)
        err_set(err, SQLSTATE_TOO_MANY_CONNECTIONS, "query_wait_timeout");
    else
        return false;
    err_detail(err, "No server of the pool became free in time.");
    return true;
}

static void notify_waiting(struct client *client)
{
    client->notified = true;
    notify(client, "No server connection available in postgres backend, client being queued");
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    enum { AFTER_SUSPEND_US = 1000000 };
    struct client *client = CONTAINER_OF(deadline, struct client, deadline);
    struct err err = ERR_NONE;
    if (client->worker->pool.suspended) { /* what it waits for may be there already, unread */
        deadline_set(loop, deadline, deadline->class, clock_now_us() + AFTER_SUSPEND_US);
        return;
    }
    switch ((enum client_state)client->state) {
    case CLIENT_WELCOME:
        if (!waits_in_session_mode(client) || !expire_waiting(client, &err))
            err_set(&err, SQLSTATE_CANNOT_CONNECT_NOW, "client_login_timeout (server down)");
        break;
    case CLIENT_IDLE:
        err_set(&err, SQLSTATE_IDLE_SESSION_TIMEOUT, "client_idle_timeout");
        break;
    case CLIENT_WAITING:
        if (!expire_waiting(client, &err)) {
            notify_waiting(client);
            return;
        }
        break;
    case CLIENT_ACTIVE:
        if (!expire_active(client, &err))
            return;
        break;
    default:
        err_set(&err, SQLSTATE_CANNOT_CONNECT_NOW, "client_login_timeout");
        break;
    }
    client_fail(client, &err);
}

/* ---- the end ---- */

static void deliver_free(struct mail *mail, struct loop *loop)
{
    struct client *client = CONTAINER_OF(mail, struct client, mail);
    mem_free(client->user);
    mem_free(client);
}

static void uncount(struct client *client)
{
    if (!client->counted)
        return;
    client->counted = false;
    atomic_fetch_sub(&client->worker->proxy->n_clients, 1);
    if (client->role != NULL)
        atomic_fetch_sub(&client->role->n_clients, 1);
    client->role = NULL;
    if (client->part == NULL)
        return;
    client->part->n_clients--;
    atomic_fetch_sub(&client->part->pool->database->n_clients, 1);
    pool_leave(client->part->pool);
}

static void leave_server(struct client *client)
{
    struct server *server = client->server;
    if (server == NULL)
        return;
    client->server = NULL;
    if (client->routing != NULL)
        routing_released(client, server);
    state_leave(client, server);
    replies_abandon(&server->replies, &client_replies, client);
    if (client->goodbye)
        server_finish(server);
    else
        server_abandon(server, client->remain > 0 && !client->drop);
}

void client_detach(struct client *client)
{
    struct worker *worker = client->worker;
    if (client->place != NULL)
        part_leave(client->place, &client->waiter);
    deadline_clear(worker->loop, &client->deadline);
    if (client->by_key.hash != 0)
        map_remove(&worker->by_key, &client->by_key);
    client->by_key.hash = 0;
    traces_free(client);
    mem_free(client->routing);
    client->routing = NULL;
    subscriber_leave(client);
    uncount(client);
    names_clear(client);
    map_done(&client->names);
    mem_free(client->unnamed);
    client->unnamed = NULL;
    params_unref(worker->proxy->pools->params, client->params);
    params_unref(worker->proxy->pools->params, client->wishes);
    client->params = client->wishes = NULL;
    startup_free(client);
    mem_free(client->refusal);
    client->refusal = NULL;
    buf_done(&client->stash);
    TAILQ_REMOVE(&worker->clients, client, entry);
    atomic_fetch_sub(&worker->n_sockets, 1);
    client->mail.deliver = deliver_free;
    loop_later(worker->loop, &client->mail);
}

void client_close(struct client *client, const char *reason)
{
    if (client->state >= CLIENT_MOVING)
        return;
    if (reason != NULL && settings_of(client)->log_disconnections)
        client_log(client, LOG_INFO, "closing because: %s (age=%llds)", reason,
                   (long long)((clock_now_us() - client->connected_us) / 1000000));
    client->state = CLIENT_CLOSED;
    leave_server(client);
    stream_close(&client->stream);
    client_detach(client);
}

void client_forget(struct client *client)
{
    client->state = CLIENT_CLOSED;
    stream_close(&client->stream);
    client_detach(client);
}

void client_fail(struct client *client, const struct err *err)
{
    struct buf out = BUF_NONE;
    if (client->state >= CLIENT_MOVING)
        return;
    response_error(&out, "FATAL", err);
    /* In the middle of a message of the server's there is no place for one of ours. */
    bool mid_message =
        client->server != NULL && client->server->remain > 0 && client->server->forward;
    if (!mid_message)
        stream_write(&client->stream, out.data, out.len);
    buf_done(&out);
    if (settings_of(client)->log_pooler_errors)
        client_log(client, LOG_WARNING, "pooler error: %s", err->message);
    startup_log_failure(client);
    client_close(client, err->message);
}

void client_fail_with_server(struct client *client, const struct err *err)
{
    if (client->server != NULL)
        client->server->stream.broken = true; /* whoever abandons it closes it */
    client_fail(client, err);
}

bool client_end_after_goodbye(struct client *client)
{
    const struct replies *replies = &client->server->replies;
    /* Of a batch without Sync there are no answers, nor of a COPY without its end: nothing makes the
     * server send them. */
    bool answers_to_come = !replies_settled(replies) && !replies->open && !replies->skipping &&
                           !replies->copy_both && !replies_want_copy_data(replies);
    if (!client->goodbye || answers_to_come || stream_pending(&client->stream) > 0)
        return false;
    client_close(client, "client close request");
    return true;
}

void client_server_lost(struct client *client, const char *reason)
{
    struct server *server = client->server;
    struct err err;
    if (client->routing != NULL && routing_take_loss(client)) {
        server->stream.broken = true;
        leave_server(client);
        client_turn_idle(client);
        return;
    }
    /* It has said why, or the stream cannot be mended: a second error would only confuse. */
    bool silent = server->forward && (server->last_kind == BE_ERROR_RESPONSE || server->remain > 0);
    server->stream.broken = true;
    if (silent) {
        client_close(client, reason);
        return;
    }
    err_set(&err, SQLSTATE_CONNECTION_FAILURE, "%s", reason);
    err_detail(&err, "The connection to the server was lost while it was in use.");
    client_fail(client, &err);
}

/* ---- getting and giving back a server ---- */

static void take_server(struct client *client, struct server *server)
{
    client->server = server;
    client->used = false;
    client->unnamed_here = false;
    server->client = client;
    server->setting = false;
    server->last_kind = 0;
    client->part->stats.server_assignments++;
    if (client->state == CLIENT_WELCOME) {
        greet_granted(client);
        return;
    }
    client->state = CLIENT_ACTIVE;
    if (client->routing != NULL)
        routing_granted(client);
    if (client->deadline.at_us != 0)
        client_set_deadline(client);
    forward_read(client);
}

/* The peer has closed: how it leaves, or NULL if there is more in the socket than a good-bye. */
static const char *way_of_leaving(struct client *client)
{
    char peek[MESSAGE_HEADER];
    ssize_t got = recv(client->stream.fd, peek, sizeof peek, MSG_PEEK);
    if (got <= 0)
        return "client unexpected eof";
    return peek[0] == FE_TERMINATE ? "client close request" : NULL;
}

bool client_may_wait(const struct client *client, struct err *err)
{
    const struct part *part = client->part;
    if (part->db == NULL)
        return err_set(err, SQLSTATE_ADMIN_SHUTDOWN, "database removed");
    if (part->worker->stopping)
        return err_set(err, SQLSTATE_ADMIN_SHUTDOWN, "server shutting down");
    return true;
}

void client_want_server(struct client *client)
{
    struct part *part = client->part;
    struct err err;
    const char *leaves =
        client->stream.peer_closed && client->stash.len == 0 ? way_of_leaving(client) : NULL;
    if (leaves != NULL) {
        client_close(client, leaves);
        return;
    }
    if (!client_may_wait(client, &err)) {
        client_fail(client, &err);
        return;
    }
    if (client->state == CLIENT_IDLE && routing_applies(client)) {
        part = routing_place(client);
        if (part == NULL)
            return;
    }
    struct server *server = part_acquire(part, client->waiter.opening, client->params);
    if (server != NULL) {
        take_server(client, server);
        return;
    }
    if (client->stream.peer_closed) {
        client_close(client, "client unexpected eof");
        return;
    }
    if (client->state != CLIENT_WELCOME)
        client->state = CLIENT_WAITING;
    client->notified = false;
    client->place = part;
    part_wait(part, &client->waiter);
    if (client->state == CLIENT_WAITING || client->state == CLIENT_WELCOME)
        client_set_deadline(client);
}

void client_turn_idle(struct client *client)
{
    client->state = CLIENT_IDLE;
    client->server = NULL;
    if (client->stream.broken) {
        client_close(client, "client unexpected eof");
        return;
    }
    if (client->subscriber != NULL)
        subscriber_deliver(client);
    if (client->worker->moving && moving_try(client))
        return;
    if (client->stash.len > 0)
        worker_watch(client->worker);
    client_set_deadline(client);
    if (client->stalled || client->stream.readable)
        client_want_server(client);
}

void client_give_back(struct client *client)
{
    struct server *server = client->server;
    if (client->routing != NULL)
        routing_released(client, server);
    client->server = NULL;
    client->state = CLIENT_IDLE; /* before others run: they may look at all clients */
    server_release(server);
    client_turn_idle(client);
}

void client_give_back_unused(struct client *client)
{
    struct server *server = client->server;
    if (client->routing != NULL)
        routing_released(client, server);
    client->server = NULL;
    client->state = CLIENT_IDLE;
    server_release(server);
    if (client->subscriber != NULL)
        subscriber_deliver(client);
    if (client->worker->moving && moving_try(client))
        return;
    if (client->stash.len > 0)
        worker_watch(client->worker);
    client_set_deadline(client);
    /* A reset right behind half a message makes no event of its own. */
    if (client->stream.readable || stream_look(&client->stream))
        stream_yield(&client->stream);
}

static struct client *client_of_waiter(struct waiter *waiter)
{
    return CONTAINER_OF(waiter, struct client, waiter);
}

static void on_granted(struct pool_worker *worker, struct waiter *waiter, struct server *server)
{
    take_server(client_of_waiter(waiter), server);
}

/* A node that cannot be had is not the only one. */
static void on_refused(struct pool_worker *worker, struct waiter *waiter, const struct err *err)
{
    struct client *client = client_of_waiter(waiter);
    if (client->place->pool->home == NULL) {
        client_fail(client, err);
        return;
    }
    routing_refused(client);
    client->state = CLIENT_IDLE;
    client_want_server(client);
}

static void on_server_drained(struct server *server)
{
    struct client *client = server->client;
    if (client->state == CLIENT_ACTIVE && (client->stream.readable || client->stalled))
        forward_read(client);
}

/* While a client waits for its answer it sends nothing: is it still there? */
static void on_server_silent(struct server *server)
{
    struct client *client = server->client;
    if (client != NULL && stream_look(&client->stream))
        stream_yield(&client->stream);
}

bool client_end_if_outdated(struct client *client)
{
    const struct server *server = client->server;
    struct err err;
    bool keeps = client_in_session_mode(client) || traces_pin(client->traces);
    if (!keeps || server->txn != TXN_IDLE || server->replies.open ||
        !replies_settled(&server->replies) || client->remain > 0 || server->remain > 0 ||
        !part_is_outdated(server->part, server)) /* DRAIN ends no session */
        return false;
    err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "database configuration changed");
    client_fail(client, &err);
    return true;
}

static void on_server_outdated(struct server *server)
{
    struct client *client = server->client;
    if (client != NULL && client->state == CLIENT_ACTIVE)
        client_end_if_outdated(client);
}

static void on_server_deposed(struct server *server, const char *cluster)
{
    struct client *client = server->client;
    struct err err;
    if (client == NULL)
        return;
    err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "cluster \"%s\" has another primary now, or none",
            cluster);
    err_detail(&err, "The server in use was on a node that is the primary no more.");
    err_hint(&err,
             "Connect again. What was not committed is lost; look whether a commit that was not "
             "answered took effect.");
    client_fail_with_server(client, &err);
}

const struct pool_events client_pool_events = {.granted = on_granted,
                                               .refused = on_refused,
                                               .readable = relay_read,
                                               .drained = on_server_drained,
                                               .silent = on_server_silent,
                                               .outdated = on_server_outdated,
                                               .deposed = on_server_deposed,
                                               .heard = fanout_heard,
                                               .deaf = fanout_deaf};

/* ---- what the socket has to say ---- */

static void on_readable(struct stream *stream)
{
    struct client *client = (struct client *)stream;
    switch ((enum client_state)client->state) {
    case CLIENT_STARTUP:
    case CLIENT_AUTH:
        startup_read(client);
        break;
    case CLIENT_IDLE:
        client_want_server(client);
        break;
    case CLIENT_ACTIVE:
        forward_read(client);
        break;
    case CLIENT_REFUSING:
        refuse_read(client);
        break;
    case CLIENT_WELCOME:
    case CLIENT_WAITING:
        /* Not read before there is a server; but who has gone need not wait any more. */
        if (stream->peer_closed || stream_look(stream))
            client_close(client, "client unexpected eof");
        break;
    case CLIENT_CANCELING:
        if (stream->peer_closed)
            client_close(client, NULL);
        break;
    case CLIENT_MOVING:
    case CLIENT_CLOSED:
        break;
    }
}

static void on_drained(struct stream *stream)
{
    struct client *client = (struct client *)stream;
    if (client->server == NULL || (client->goodbye && client_end_after_goodbye(client)))
        return;
    if (client->server->stream.readable)
        relay_read(client->server);
}

static const struct stream_events events = {.readable = on_readable, .drained = on_drained};

struct client *client_resume(struct worker *worker, int fd, const struct address *address,
                             int64_t connected_us)
{
    struct client *client = mem_new(sizeof *client);
    client->worker = worker;
    client->address = *address;
    client->id = atomic_fetch_add(&worker->proxy->pools->last_id, 1) + 1;
    client->connected_us = client->requested_us = connected_us;
    client->deadline.expired = on_deadline;
    TAILQ_INSERT_TAIL(&worker->clients, client, entry);
    atomic_fetch_add(&worker->n_sockets, 1);
    stream_open(&client->stream, worker->loop, fd, false, &events);
    return client;
}

void client_open(struct worker *worker, int fd, const struct address *address)
{
    startup_begin(client_resume(worker, fd, address, clock_now_us()));
}
