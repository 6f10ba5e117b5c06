/* From the server to its client: every message is held against the queue of expected replies. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/undo.h"
#include "pool/welcome.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/client.h"
#include "session/greet.h"
#include "session/names.h"
#include "session/retry.h"
#include "session/routing.h"
#include "session/sql_names.h"
#include "session/state.h"
#include "session/subscriber.h"
#include "session/worker.h"

/* ---- what the reply queue tells ---- */

static void on_fake(void *context, const struct reply *reply)
{
    struct client *client = context;
    const char *message = reply->kind == REPLY_PARSE ? "1\0\0\0\4" : "3\0\0\0\4";
    batch_copy(&client->worker->to_client, message, MESSAGE_HEADER);
}

static bool same_value(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The session has the client's parameters now; what the server made of them is what they are.
 * A parameter that it does not report is taken for set. */
static void parameters_set(struct client *client)
{
    struct params_table *table = client->worker->proxy->pools->params;
    struct server *server = client->server;
    server->setting = false;
    for (size_t i = 0; i < params_count(table); i++) {
        const char *theirs = params_get(server->params, i);
        const char *ours = params_get(client->params, i);
        if (!same_value(theirs, ours) &&
            welcome_value(server->welcome, params_name(table, i)) == NULL)
            params_set(table, &server->params, i, ours);
    }
    params_take_more(table, &server->params, client->params);
    params_unref(table, client->params);
    client->params = params_ref(table, server->params);
}

static void on_settled(void *context, const struct reply *reply, enum reply_outcome outcome)
{
    struct client *client = context;
    if (reply->note == &names_unnamed_note || reply->note == &names_again_note)
        names_unnamed_settled(client, reply->note, outcome);
    else if (reply->note == &state_probe_note)
        state_probed(client, outcome);
    else if (reply->note == &subscriber_note)
        subscriber_settled(client, outcome);
    else if (reply->note != &names_parameters_note)
        names_settled(client, reply, outcome);
    else if (outcome == REPLY_DONE && client->state != CLIENT_CLOSED)
        parameters_set(client);
}

const struct replies_events client_replies = {.fake = on_fake, .settled = on_settled};

/* ---- messages ---- */

enum step {
    STEP_FORWARD,
    STEP_SWALLOW,
    STEP_BROKEN,      /* the server has broken the protocol */
    STEP_BAD_SETTING, /* the session could not be given the client's parameters */
    STEP_NO_BLOCKS,   /* a transaction block in statement mode */
    STEP_NO_LOGIN,    /* the server refuses what the client asks for at login */
};

static enum step step_of(enum reply_verdict verdict)
{
    switch (verdict) {
    case VERDICT_FORWARD:
        return STEP_FORWARD;
    case VERDICT_SWALLOW:
        return STEP_SWALLOW;
    case VERDICT_BROKEN:
        break;
    }
    return STEP_BROKEN;
}

static bool setting_parameters(const struct server *server)
{
    const struct reply *head = replies_head(&server->replies);
    return head != NULL && head->note == &names_parameters_note;
}

/* Notices belong to no request, but those that our own requests cause are not for the client. */
static enum step take_notice(const struct server *server)
{
    const struct reply *head = replies_head(&server->replies);
    bool ours = head != NULL && (head->action == REPLY_SWALLOW || head->action == REPLY_INJECT);
    return ours ? STEP_SWALLOW : STEP_FORWARD;
}

static enum step take_notification(struct client *client, const char *body, size_t len)
{
    if (client->state == CLIENT_WELCOME)
        return STEP_SWALLOW;
    bool theirs = client->subscriber == NULL || subscriber_takes_notification(client, body, len);
    return theirs ? STEP_FORWARD : STEP_SWALLOW;
}

/* While we set the client's parameters it is told only what differs from what it knows; before its
 * welcome nothing, as that has the values. */
static enum step take_parameter(struct server *server, struct client *client, const char *body,
                                size_t len)
{
    struct params_table *table = client->worker->proxy->pools->params;
    int index = server_take_parameter(server, body, len);
    bool known = true;
    if (index >= 0) {
        const char *value = params_get(server->params, (size_t)index);
        const char *told = params_get(client->params, (size_t)index);
        known = told != NULL && strcmp(told, value) == 0;
        if (!known)
            params_set(table, &client->params, (size_t)index, value);
        if (!known && client->state != CLIENT_WELCOME && state_is_tracked(client))
            state_take_reported(client, (size_t)index);
        /* What was parsed since may have been read under either value. */
        if (!known && server->parses && params_in_environment(table, (size_t)index))
            server->undo |= UNDO_STATEMENTS;
    }
    if (client->state == CLIENT_WELCOME)
        return STEP_SWALLOW;
    return known && setting_parameters(server) ? STEP_SWALLOW : STEP_FORWARD;
}

/* What is already under way behind this answer begins now. */
static void count_time(struct client *client, char txn, bool more)
{
    int64_t now_us = clock_now_us();
    struct part_stats *stats = &client->part->stats;
    struct latency *latency = part_latency(client->part);
    if (client->routing != NULL)
        routing_answered(client, now_us);
    if (client->query_us != 0) {
        uint64_t query_us = (uint64_t)(now_us - client->query_us);
        stats->query_us += query_us;
        histogram_add(&latency->query, query_us);
    }
    client->query_us = more ? now_us : 0;
    if (txn == TXN_IDLE && client->xact_us != 0) {
        uint64_t xact_us = (uint64_t)(now_us - client->xact_us);
        stats->xacts++;
        stats->xact_us += xact_us;
        histogram_add(&latency->xact, xact_us);
        client->xact_us = more ? now_us : 0;
    }
}

static enum step take_ready(struct server *server, struct client *client, char txn)
{
    server->txn = txn;
    enum step step =
        step_of(replies_take(&server->replies, &client_replies, client, BE_READY_FOR_QUERY));
    if (step != STEP_FORWARD)
        return step;
    if (client->retries) {
        retry_begin(client);
        return STEP_SWALLOW;
    }
    bool more = replies_any_for_client(&server->replies);
    server->parses = server->parses && server->replies.count > 0;
    count_time(client, txn, more);
    if (txn != TXN_IDLE && client->part->mode == POOL_STATEMENT && !client->keeps_server)
        return STEP_NO_BLOCKS;
    if (client->worker->has_query_timeouts)
        client_set_deadline(client);
    return step;
}

/* Whatever PostgreSQL would fail a login with, fails it here. */
static enum step refuse_login(struct client *client, const char *body, size_t len)
{
    const char *severity;
    client->refusal = mem_new(sizeof *client->refusal);
    response_parse(body, len, client->refusal, &severity);
    return STEP_NO_LOGIN;
}

/* A session keeps its server, unless the database is being drained and another one would do. */
static bool lease_ends_with_transaction(const struct client *client)
{
    if (traces_pin(client->traces))
        return false;
    return !client_in_session_mode(client) ||
           (part_is_draining(client->part) && !client->keeps_server);
}

/* Is the client's transaction over, and everything answered? */
static bool is_between_transactions(const struct server *server, const struct client *client)
{
    return server->txn == TXN_IDLE && replies_settled(&server->replies) && !server->replies.open &&
           client->remain == 0 && server->remain == 0;
}

static bool lease_is_over(const struct server *server, const struct client *client)
{
    return lease_ends_with_transaction(client) && is_between_transactions(server, client);
}

/* Does the server not have what we believe it has?  A client's mistake with names of its own is found
 * here, before it gets there. */
static bool is_about_names(const char *body, size_t len)
{
    struct err err;
    const char *severity;
    response_parse(body, len, &err, &severity);
    return strcmp(err.sqlstate, SQLSTATE_INVALID_STATEMENT_NAME) == 0 ||
           strcmp(err.sqlstate, SQLSTATE_DUPLICATE_STATEMENT) == 0;
}

static bool is_probe(const struct reply *reply)
{
    return reply != NULL && reply->note == &state_probe_note;
}

/* An error that speaks of names or places that are not the client's. */
static bool say_in_its_terms(struct client *client, const struct reply *head, const char *body,
                             size_t len)
{
    struct buf out = BUF_NONE;
    bool differs = sql_names_noted(head) && sql_names_write_error(head, body, len, &out);
    if (differs)
        batch_copy(&client->worker->to_client, out.data, out.len);
    buf_done(&out);
    return differs;
}

static enum step take_error(struct server *server, struct client *client, const char *body,
                            size_t len)
{
    if (client->state == CLIENT_WELCOME)
        return refuse_login(client, body, len);
    if (lease_is_over(server, client)) {
        /* A server that dies right behind its last answer: that is nothing to the client. */
        server->stream.broken = true;
        return STEP_SWALLOW;
    }
    const struct reply *head = replies_head(&server->replies);
    bool setting = setting_parameters(server);
    if (is_probe(head))
        state_take_error(client);
    bool other = head != NULL && head->action == REPLY_REPLACE &&
                 names_error_is_other(head->note, body, len);
    client->unnamed_here = false; /* its Parse may have been skipped */
    if (retry_take_error(client, body, len) ||
        (client->routing != NULL && routing_take_error(client, body, len))) {
        replies_take(&server->replies, &client_replies, client, BE_ERROR_RESPONSE);
        return STEP_SWALLOW;
    }
    if (head != NULL && head->action != REPLY_REPLACE && !sql_names_explain(head) &&
        is_about_names(body, len))
        server->undo |= UNDO_STATEMENTS;
    bool said = say_in_its_terms(client, head, body, len);
    enum step step =
        step_of(replies_take(&server->replies, &client_replies, client, BE_ERROR_RESPONSE));
    if (said)
        return STEP_SWALLOW;
    if (setting)
        return STEP_BAD_SETTING;
    return other ? STEP_FORWARD : step;
}

static bool is_discard_all(const char *tag, size_t len)
{
    static const char discard_all[] = "DISCARD ALL";
    return len == sizeof discard_all && memcmp(tag, discard_all, len) == 0;
}

static void take_command(struct server *server, struct client *client, const char *tag, size_t len)
{
    const struct reply *head = replies_head(&server->replies);
    if (server_take_command(server, tag, len))
        names_clear(client);
    else if (head != NULL && head->note != NULL)
        sql_names_command_complete(client, head);
    if (client->subscriber != NULL && is_discard_all(tag, len))
        subscriber_take_discard(client);
}

static enum step take(struct server *server, struct client *client, uint8_t kind, const char *body,
                      size_t len)
{
    switch (kind) {
    case BE_NOTICE_RESPONSE:
        return take_notice(server);
    case BE_NOTIFICATION_RESPONSE:
        return take_notification(client, body, len);
    case BE_PARAMETER_STATUS:
        return take_parameter(server, client, body, len);
    case BE_READY_FOR_QUERY:
        return len == 1 ? take_ready(server, client, body[0]) : STEP_BROKEN;
    case BE_ERROR_RESPONSE:
        return take_error(server, client, body, len);
    case BE_COMMAND_COMPLETE:
        take_command(server, client, body, len);
        break;
    case BE_DATA_ROW:
        if (traces_stall(client->traces) && is_probe(replies_head(&server->replies)))
            state_take_row(client, body, len);
        break;
    default:
        break;
    }
    return step_of(replies_take(&server->replies, &client_replies, client, kind));
}

static bool needed_whole(const struct server *server, const struct client *client, uint8_t kind,
                         uint32_t length)
{
    const struct reply *head;
    switch (kind) {
    case BE_READY_FOR_QUERY:
    case BE_PARAMETER_STATUS:
    case BE_COMMAND_COMPLETE:
        return true;
    case BE_NOTIFICATION_RESPONSE:
        return client->subscriber != NULL;
    case BE_DATA_ROW:
        return traces_stall(client->traces) && is_probe(replies_head(&server->replies));
    case BE_ERROR_RESPONSE:
        head = replies_head(&server->replies);
        return client->state == CLIENT_WELCOME || (head != NULL && head->action == REPLY_REPLACE) ||
               (sql_names_noted(head) && length <= LIMIT_SERVER_SMALL);
    default:
        return false;
    }
}

static void give(struct server *server, struct client *client, const char *bytes, size_t len)
{
    if (!server->forward)
        return;
    batch_slice(&client->worker->to_client, bytes, len);
    client->part->stats.sent += len;
}

/* Works off what was read; *used bytes of it need not be kept. */
static enum step relay(struct server *server, struct client *client, const char *data, size_t len,
                       size_t *used)
{
    enum step step = STEP_FORWARD;
    size_t at = 0;
    while (at < len && step <= STEP_SWALLOW) {
        size_t left = len - at;
        if (server->remain > 0) {
            size_t here = left < server->remain ? left : server->remain;
            give(server, client, data + at, here);
            server->remain -= (uint32_t)here;
            at += here;
            if (server->remain == 0)
                replies_advance(&server->replies, &client_replies, client);
            continue;
        }
        if (left < MESSAGE_HEADER)
            break;
        uint8_t kind = (uint8_t)data[at];
        uint32_t length = load_u32(data + at + 1);
        size_t total = 1 + (size_t)length, here = left < total ? left : total;
        bool whole = needed_whole(server, client, kind, length);
        if (length < 4 || (whole && length > LIMIT_SERVER_SMALL)) {
            step = STEP_BROKEN;
            break;
        }
        if (whole && here < total)
            break;
        step = take(server, client, kind, data + at + MESSAGE_HEADER, here - MESSAGE_HEADER);
        server->forward = step == STEP_FORWARD || step == STEP_BAD_SETTING;
        server->last_kind = kind;
        server->remain = (uint32_t)(total - here);
        server->replies.busy = server->remain > 0;
        give(server, client, data + at, here);
        at += here;
        if (kind == BE_READY_FOR_QUERY && server->txn == TXN_IDLE && server->forward &&
            client->subscriber != NULL)
            subscriber_deliver_behind(client);
        if (server->remain == 0)
            replies_advance(&server->replies, &client_replies, client);
    }
    *used = at;
    return step;
}

static void end_badly(struct server *server, struct client *client, enum step step)
{
    struct err err;
    switch (step) {
    case STEP_NO_BLOCKS:
        err_set(&err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                "transaction blocks not allowed in statement pooling mode");
        client_fail(client, &err);
        break;
    case STEP_BAD_SETTING:
        server->stream.broken = true; /* nothing more may reach it: the session is not right */
        client_close(client, "invalid server parameter");
        break;
    case STEP_NO_LOGIN:
        client->goodbye = true; /* our statement has failed: it ends by itself, and did nothing */
        err = *client->refusal;
        client_fail(client, &err);
        break;
    default:
        client_server_lost(client, "server has broken the protocol");
        break;
    }
}

/* The transaction is over, but the server is asked what the client has done to its session; or the client's
 * first message has waited for the answers to what we have sent in front of it. */
static bool must_go_on(const struct server *server, struct client *client)
{
    return (is_between_transactions(server, client) && !state_is_known(client)) ||
           (client->stalled && client->first && !traces_pin(client->traces));
}

/* The lease goes on.  False: the client has been closed. */
static bool go_on_with(const struct server *server, struct client *client)
{
    if (client->worker->pool.settings->server_fast_close && client_end_if_outdated(client))
        return false;
    if (!is_between_transactions(server, client))
        return true;
    if (traces_pin(client->traces))
        state_rest(client);
    if (client->subscriber != NULL)
        subscriber_deliver(client);
    return true;
}

/* One read, and what it brought.  False: there is no pair any more. */
static bool turn(struct server *server, struct client *client)
{
    struct worker *worker = client->worker;
    char *data;
    size_t len, used;
    ssize_t got = stream_fill(&server->stream, worker->loop, &server->stash, &data, &len);
    batch_begin(&worker->to_client, &client->stream);
    enum step step = relay(server, client, data, len, &used);
    if (client->routing != NULL && client->routing->reading)
        routing_say(client, &worker->to_client);
    batch_flush(&worker->to_client);
    stream_keep(&server->stash, data, len, used);
    if (step > STEP_SWALLOW) {
        end_badly(server, client, step);
    } else if (got < 0) {
        client_server_lost(client, "server conn crashed?");
    } else if (client->stream.broken) {
        client_close(client, "client unexpected eof");
    } else if (client->state == CLIENT_WELCOME) {
        if (replies_settled(&server->replies)) {
            greet_parameters_set(client);
            return false;
        }
        return true;
    } else if (client->goodbye) {
        return !client_end_after_goodbye(client);
    } else if (must_go_on(server, client)) {
        return true;
    } else if (lease_is_over(server, client)) {
        client_give_back(client);
    } else {
        return go_on_with(server, client);
    }
    return false;
}

void relay_review(struct client *client)
{
    const struct server *server = client->server;
    if (client->state == CLIENT_ACTIVE && part_is_draining(client->part) &&
        server->stash.len == 0 && stream_pending(&server->stream) == 0 &&
        lease_is_over(server, client))
        client_give_back(client);
}

bool relay_is_between(const struct client *client)
{
    return is_between_transactions(client->server, client);
}

void relay_go_on(struct client *client)
{
    if (client->state != CLIENT_ACTIVE || client->goodbye)
        return;
    if (relay_is_between(client)) {
        if (!state_is_known(client))
            return;
        if (lease_is_over(client->server, client)) {
            client_give_back(client);
            return;
        }
        if (client->subscriber != NULL)
            subscriber_deliver(client);
    }
    if (client->stream.readable || client->stalled)
        forward_read(client);
}

void relay_read(struct server *server)
{
    enum { TURNS = 16 };
    struct client *client = server->client;
    for (int i = 0; i < TURNS && server->stream.readable; i++) {
        if (stream_pending(&client->stream) > 0)
            return; /* goes on when the client has read */
        if (!turn(server, client))
            return;
    }
    if (server->stream.readable)
        stream_yield(&server->stream);
    if (client->state != CLIENT_ACTIVE)
        return;
    /* Any reply may be the one that a stalled message depends on; it looks again. */
    if (client->stream.readable || client->stalled)
        forward_read(client);
}
