#include "pool/clean.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/reader.h"
#include "conf/settings.h"
#include "net/stream.h"
#include "pool/opening.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "pool/serverlog.h"
#include "pool/undo.h"
#include "proto/message.h"
#include "proto/response.h"

enum { CLEAN_TIMEOUT_US = 30000000 };

static void ignore_fake(void *context, const struct reply *reply)
{
}

static void ignore_settled(void *context, const struct reply *reply, enum reply_outcome outcome)
{
}

/* Whoever had noted something with a request has gone: replies_abandon() has told it. */
static const struct replies_events nobody = {.fake = ignore_fake, .settled = ignore_settled};

bool server_is_clean(const struct server *server)
{
    return server->txn == TXN_IDLE && replies_settled(&server->replies) && !server->replies.open &&
           !server->replies.uncertain && !server->replies.copy_in && !server->replies.copy_both &&
           server->undo == 0 && server->remain == 0 && server->stash.len == 0 &&
           server->cancels == 0 && stream_pending(&server->stream) == 0 && !server->stream.broken &&
           !server->stream.readable;
}

static void finish(struct server *server)
{
    server->resetting = false;
    deadline_clear(server->part->worker->loop, &server->deadline);
    if (server->starting) {
        server->starting = false;
        part_server_ready(server);
        return;
    }
    if (server->testing) {
        server->testing = server->unchecked = false;
        part_test_passed(server);
        return;
    }
    part_release(server);
}

/* Ends a batch that the client has not ended.  A Sync alone would commit what it did; PostgreSQL
 * rolls that back when a client goes.  So first comes a Bind that fails. */
static void fail_batch(struct server *server)
{
    static const char bind_and_sync[] = "B\0\0\0\x17\0" STATEMENT_PREFIX "none\0\0\0\0\0\0\0"
                                        "S\0\0\0\4";
    replies_expect(&server->replies, &nobody, NULL, REPLY_BIND, REPLY_SWALLOW, NULL);
    replies_expect(&server->replies, &nobody, NULL, REPLY_SYNC, REPLY_SWALLOW, NULL);
    stream_write(&server->stream, bind_and_sync, sizeof bind_and_sync - 1);
}

static void take_back(struct server *server)
{
    struct buf sql = BUF_NONE;
    undo_write(&sql, server->undo);
    buf_append_u8(&sql, '\0');
    server->undo = 0;
    server->resetting = true;
    server_send_query(server, sql.data, REPLY_SWALLOW, &nobody, NULL, NULL);
    buf_done(&sql);
}

/* One step nearer to being free.  False: it is free, and not ours to look at any more, or closed. */
static bool step(struct server *server)
{
    if (server->replies.skipping)
        fail_batch(server); /* an error has come, and its client is gone without a Sync */
    if (!replies_settled(&server->replies) || server->remain > 0 || server->stash.len > 0 ||
        stream_pending(&server->stream) > 0)
        return true;
    if (server->stream.readable) {
        stream_yield(&server->stream); /* nothing was asked: what is it that it says? */
        return true;
    }
    server->hurry = false;
    if (server->replies.uncertain || server->replies.copy_in || server->stream.broken) {
        server_close(server, "client disconnect while server was not ready");
        return false;
    } else if (server->cancels > 0) {
        server->state = SERVER_CANCELED; /* the signal must not hit what we send now */
    } else if (server->txn != TXN_IDLE) {
        server_send_query(server, "ROLLBACK", REPLY_SWALLOW, &nobody, NULL, NULL);
    } else if ((server->undo & UNDO_NOTHING_HELPS) != 0) {
        server_close(server, "session state that nothing undoes");
        return false;
    } else if (server->undo != 0) {
        take_back(server);
    } else if (server->wanted_reset) {
        server->wanted_reset = false;
        server->resetting = true;
        server_send_query(server, server->part->worker->settings->server_reset_query, REPLY_SWALLOW,
                          &nobody, NULL, NULL);
    } else {
        finish(server);
        return false;
    }
    return true;
}

static bool needs_reset(const struct server *server)
{
    const struct settings *settings = server->part->worker->settings;
    return settings->server_reset_query[0] != '\0' &&
           (server->part->mode == POOL_SESSION || server->opening != NULL ||
            settings->server_reset_query_always);
}

static void begin(struct server *server)
{
    server->client = NULL;
    server->lease_no++;
    server->forward = false;
    server->hurry = false;
    server->wanted_reset = needs_reset(server);
    server->replies.busy = false; /* nothing is passed on any more */
    server->state = SERVER_CLEANING;
    /* What its client has not taken any more is there already: no event will tell. */
    server->stream.readable |= server->stash.len > 0;
    if (server->stream.readable)
        stream_yield(&server->stream);
}

/* Nobody else can use it, so there is nothing to clean. */
static bool close_if_for_one(struct server *server)
{
    if (!opening_is_for_one(server->opening))
        return false;
    server_close(server, "replication client was closed");
    return true;
}

void server_release(struct server *server)
{
    if (close_if_for_one(server))
        return;
    if (server->cancels == 0 && !needs_reset(server) && server_is_clean(server)) {
        server->client = NULL;
        server->lease_no++;
        part_release(server);
        return;
    }
    begin(server);
    deadline_set(server->part->worker->loop, &server->deadline, DEADLINE_QUERY,
                 clock_now_us() + CLEAN_TIMEOUT_US);
    step(server);
}

void server_test(struct server *server)
{
    const struct settings *settings = server->part->worker->settings;
    const char *sql = settings->server_check_query;
    int64_t limit_us = settings->server_connect_timeout_us;
    server->testing = true;
    deadline_set(server->part->worker->loop, &server->deadline, DEADLINE_CONNECT,
                 clock_now_us() + (limit_us > 0 ? limit_us : CLEAN_TIMEOUT_US));
    server_send_query(server, strcmp(sql, "<empty>") == 0 ? "" : sql, REPLY_SWALLOW, &nobody, NULL,
                      NULL);
}

void server_begin_connect_query(struct server *server, const char *sql)
{
    server->state = SERVER_CLEANING;
    server->starting = true;
    server_send_query(server, sql, REPLY_SWALLOW, &nobody, NULL, NULL);
}

void server_abandon(struct server *server, bool streaming)
{
    if (close_if_for_one(server))
        return;
    begin(server);
    if (streaming || server->stream.broken || stream_pending(&server->stream) > 0 ||
        server->replies.copy_in || server->replies.copy_both) {
        server_close(server, "client disconnect before everything was sent to the server");
        return;
    }
    deadline_set(server->part->worker->loop, &server->deadline, DEADLINE_QUERY,
                 clock_now_us() + CLEAN_TIMEOUT_US);
    server->hurry = server->replies.count > 0;
    if (server->hurry)
        server_cancel(server, NULL, NULL);
    if (server->replies.open)
        fail_batch(server);
    step(server);
}

void server_finish(struct server *server)
{
    if (close_if_for_one(server))
        return;
    begin(server);
    if (server->stream.broken || server->replies.copy_in || server->replies.copy_both) {
        server_close(server, "client disconnect while server was not ready");
        return;
    }
    if (server->replies.open)
        fail_batch(server);
    step(server);
}

void server_cancel_ended(struct server *server)
{
    if (server->state == SERVER_CANCELED && server->cancels == 0) {
        server->state = SERVER_CLEANING;
        step(server);
    }
}

/* ---- input ---- */

static const char *take_idle(struct server *server, uint8_t kind, const char *body, size_t len)
{
    switch (kind) {
    case BE_PARAMETER_STATUS:
        server_take_parameter(server, body, len);
        return NULL;
    case BE_NOTIFICATION_RESPONSE: /* of a LISTEN that some client has left behind */
        return NULL;
    case BE_ERROR_RESPONSE: /* it is going away */
    case BE_NOTICE_RESPONSE:
        return "server connection closed";
    default:
        return "idle server got dirty";
    }
}

/* Only logged: as in PgBouncer, the server is used all the same. */
static void log_error_of(const struct server *server, const char *body, size_t len)
{
    struct err err;
    const char *severity;
    response_parse(body, len, &err, &severity);
    server_log(server, LOG_WARNING, "connect_query failed: %s %s", severity, err.message);
}

/* A whole message in CLEANING; NULL, or why the server must be closed. */
static const char *take(struct server *server, uint8_t kind, const char *body, size_t len)
{
    switch (kind) {
    case BE_NOTICE_RESPONSE:
    case BE_NOTIFICATION_RESPONSE:
        return NULL;
    case BE_PARAMETER_STATUS:
        server_take_parameter(server, body, len);
        return NULL;
    case BE_ERROR_RESPONSE:
        if (server->resetting)
            return "reset query failed";
        if (server->testing)
            return "test query failed";
        if (server->starting)
            log_error_of(server, body, len);
        break;
    case BE_COMMAND_COMPLETE:
        server_take_command(server, body, len);
        break;
    case BE_COPY_IN_RESPONSE:
        return "client disconnect while server was not ready";
    case BE_READY_FOR_QUERY:
        server->txn = len == 1 ? body[0] : TXN_FAILED;
        break;
    default:
        break;
    }
    if (replies_take(&server->replies, &nobody, NULL, kind) == VERDICT_BROKEN)
        return "server has broken the protocol";
    replies_advance(&server->replies, &nobody, NULL);
    return NULL;
}

static bool needed_whole(uint8_t kind)
{
    return kind == BE_READY_FOR_QUERY || kind == BE_PARAMETER_STATUS || kind == BE_COMMAND_COMPLETE;
}

/* Works off what was read; gives the bytes used, and why the server must be closed, or NULL. */
static size_t work_off(struct server *server, const char *data, size_t len, const char **reason)
{
    size_t at = 0;
    *reason = NULL;
    while (at < len && *reason == NULL) {
        size_t left = len - at;
        if (server->remain > 0) {
            size_t skipped = left < server->remain ? left : server->remain;
            server->remain -= (uint32_t)skipped;
            at += skipped;
            continue;
        }
        if (left < MESSAGE_HEADER)
            break;
        uint8_t kind = (uint8_t)data[at];
        uint32_t length = load_u32(data + at + 1);
        bool whole = needed_whole(kind);
        if (length < 4 || (whole && length > LIMIT_SERVER_SMALL)) {
            *reason = "invalid message length from server";
            break;
        }
        if (whole && left < 1 + (size_t)length)
            break;
        size_t here = left < 1 + (size_t)length ? left : 1 + (size_t)length;
        server->remain = (uint32_t)(1 + (size_t)length - here);
        *reason = server->state == SERVER_IDLE
                      ? take_idle(server, kind, data + at + MESSAGE_HEADER, here - MESSAGE_HEADER)
                      : take(server, kind, data + at + MESSAGE_HEADER, here - MESSAGE_HEADER);
        at += here;
    }
    return at;
}

/* It ends in its connect_query, as it may do the next time too. */
static void fail_start(struct server *server, const char *reason)
{
    struct err err;
    err_set(&err, SQLSTATE_CONNECTION_FAILURE, "%s", reason);
    part_connect_failed(server, &err, false);
}

void server_clean_read(struct server *server)
{
    enum { TURNS = 16 };
    struct loop *loop = server->part->worker->loop;
    for (int i = 0; i < TURNS && server->stream.readable; i++) {
        const char *reason;
        char *data;
        size_t len;
        ssize_t got = stream_fill(&server->stream, loop, &server->stash, &data, &len);
        size_t used = work_off(server, data, len, &reason);
        stream_keep(&server->stash, data, len, used);
        if (reason == NULL && got < 0)
            reason = "server connection closed";
        if (reason != NULL) {
            if (server->starting)
                fail_start(server, reason);
            server_close(server, reason);
            return;
        }
        if (server->state == SERVER_CLEANING && !step(server))
            return;
    }
    if (server->stream.readable)
        stream_yield(&server->stream);
}
