/* From the client to its server: message borders, what each message will be answered with, and
 * what must be rewritten.  All else streams. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/server.h"
#include "proto/build.h"
#include "proto/message.h"
#include "session/client.h"
#include "session/names.h"
#include "session/retry.h"
#include "session/routing.h"
#include "session/sql_names.h"
#include "session/state.h"
#include "session/worker.h"
#include "sql/facts.h"

enum step {
    STEP_ON,    /* *used bytes have been dealt with */
    STEP_MORE,  /* more input is needed */
    STEP_STALL, /* replies are needed */
    STEP_END,   /* the client says goodbye */
    STEP_BAD,   /* *err says what is wrong */
};

/* Prepared statements are rewritten where the next transaction may run on another server, or those
 * before did: the mode of a pool can change. */
static bool rewrites(const struct client *client, uint8_t kind)
{
    return (kind == FE_BIND || kind == FE_PARSE || kind == FE_DESCRIBE || kind == FE_CLOSE) &&
           (!client_in_session_mode(client) || client->names.count > 0);
}

static void expect(struct client *client, enum reply_kind kind)
{
    replies_expect(&client->server->replies, &client_replies, client, kind, REPLY_FORWARD, NULL);
}

void forward_query(struct client *client, const char *sql, enum reply_action action, void *note)
{
    struct buf out = BUF_NONE;
    message_query(&out, sql);
    replies_expect(&client->server->replies, &client_replies, client, REPLY_QUERY, action, note);
    batch_copy(&client->worker->to_server, out.data, out.len);
    buf_done(&out);
}

/* The client's message is right behind it.  If the server refuses a setting, such as a role that the client
 * may not take any more, it must not run that as somebody else: an error ends its session. */
static void send_difference(struct client *client, const struct params *from,
                            const struct params *to, void *note)
{
    struct params_table *table = client->worker->proxy->pools->params;
    struct buf sql = BUF_NONE;
    buf_append_str(&sql, "SET LOCAL exit_on_error=on;");
    if (params_difference(table, from, to, &sql)) {
        buf_append_u8(&sql, '\0');
        forward_query(client, sql.data, REPLY_INJECT, note);
    }
    buf_done(&sql);
}

/* Gives the session the client's parameters, in front of its first message. */
static void send_parameters(struct client *client)
{
    const struct server *server = client->server;
    struct params_table *table = client->worker->proxy->pools->params;
    struct params *from = params_ref(table, server->params);
    if (params_need_encoding_first(table, from, client->params)) {
        /* What another client has left is reset while its name can be told. */
        struct params *none = params_empty(table);
        params_take_more(table, &from, none);
        params_unref(table, none);
        params_put(table, &from, "client_encoding",
                   params_find(table, client->params, "client_encoding"));
        send_difference(client, server->params, from, NULL);
    }
    client->server->setting = true;
    send_difference(client, from, client->params, &names_parameters_note);
    params_unref(table, from);
}

static void begin(struct client *client)
{
    client->used = client->first = true;
    if (client->params != client->server->params)
        send_parameters(client);
    state_begin(client);
}

static size_t stream_on(struct client *client, const char *at, size_t left, bool drop)
{
    size_t total = 1 + (size_t)load_u32(at + 1);
    size_t here = left < total ? left : total;
    if (!drop)
        batch_slice(&client->worker->to_server, at, here);
    client->remain = (uint32_t)(total - here);
    client->drop = drop;
    return here;
}

/* From the first message of a batch on, whatever it is, time counts. */
static void start_query(struct client *client)
{
    client->query_us = clock_now_us();
    client->requested_us = client->query_us;
    if (client->xact_us == 0)
        client->xact_us = client->query_us;
    if (client->worker->has_query_timeouts)
        client_set_deadline(client);
}

/* Of a Parse that is not rewritten. */
static void *parse_note(struct client *client, const char *at, size_t left)
{
    bool unnamed =
        rewrites(client, FE_PARSE) && left > MESSAGE_HEADER && at[MESSAGE_HEADER] == '\0';
    return unnamed ? names_note_of_unnamed(client, false) : NULL;
}

/* Of an Execute of the unnamed portal, if what it runs changes the client's names. */
static void *execute_note(struct client *client, const char *at, size_t left)
{
    bool runs = client->bound_script != NULL && left > MESSAGE_HEADER && at[MESSAGE_HEADER] == '\0';
    return runs ? sql_names_execute(client) : NULL;
}

/* Does the query begin as one that ends prepared statements? */
static bool may_discard(const char *at, size_t left)
{
    static const char discard[] = "discard", deallocate[] = "deallocate";
    const char *text = at + MESSAGE_HEADER, *end = at + left;
    while (text < end && (*text == ' ' || *text == '\n' || *text == '\t' || *text == '\r'))
        text++;
    if (text == end || (*text != 'd' && *text != 'D'))
        return false;
    size_t len = (size_t)(end - text);
    return (len >= sizeof discard && strncasecmp(text, discard, sizeof discard - 1) == 0) ||
           (len >= sizeof deallocate && strncasecmp(text, deallocate, sizeof deallocate - 1) == 0);
}

/* What a simple query does to its client's session.  PASS: it is to be sent as it is. */
static enum names_step look_at_query(struct client *client, const char *at, size_t left)
{
    size_t total = 1 + (size_t)load_u32(at + 1);
    size_t here = left < total ? left : total;
    struct sql_facts *facts = NULL;
    struct err err;
    if (!state_is_tracked(client))
        return NAMES_PASS;
    const char *text = at + MESSAGE_HEADER;
    if (!state_query(client, text, here - MESSAGE_HEADER, here == total, &facts, &err)) {
        names_refuse_query(client, &err);
        return NAMES_DROP;
    }
    if (facts == NULL)
        return NAMES_PASS;
    enum names_step step = sql_names_query(client, text, here - MESSAGE_HEADER, facts);
    sql_facts_free(facts);
    return step;
}

/* A simple query that is not sent as it is: NAMES_PASS if it is. */
static enum names_step rewrite_query(struct client *client, const char *at, size_t left,
                                     size_t *used)
{
    enum names_step step = look_at_query(client, at, left);
    if (step == NAMES_STALL)
        return step;
    client->part->stats.queries++;
    names_drop_unnamed(client);
    client->discards |= may_discard(at, left);
    if (step != NAMES_PASS)
        *used = stream_on(client, at, left, true);
    return step;
}

static void after_batch(struct client *client)
{
    if (client->routing != NULL)
        routing_batch_sent(client);
    if (client->traces != NULL && client->remain == 0)
        state_sent(client);
}

/* A message that is not rewritten. */
static enum step pass(struct client *client, const char *at, size_t left, size_t *used)
{
    enum names_step step;
    switch ((uint8_t)at[0]) {
    case FE_QUERY:
        step = rewrite_query(client, at, left, used);
        if (step == NAMES_STALL)
            return STEP_STALL;
        if (step == NAMES_REWRITTEN)
            after_batch(client);
        if (step != NAMES_PASS)
            return STEP_ON;
        expect(client, REPLY_QUERY);
        break;
    case FE_SYNC:
        client->part->stats.queries++;
        client->batch++;
        expect(client, REPLY_SYNC);
        break;
    case FE_FUNCTION_CALL:
        client->part->stats.queries++;
        if (state_is_tracked(client))
            state_call_function(client,
                                left >= MESSAGE_HEADER + 4 ? load_u32(at + MESSAGE_HEADER) : 0);
        expect(client, REPLY_FUNCTION);
        break;
    case FE_PARSE:
        replies_expect(&client->server->replies, &client_replies, client, REPLY_PARSE,
                       REPLY_FORWARD, parse_note(client, at, left));
        client->part->stats.client_parses++;
        client->part->stats.server_parses++;
        break;
    case FE_BIND:
        expect(client, REPLY_BIND);
        break;
    case FE_DESCRIBE:
        expect(client, REPLY_DESCRIBE);
        break;
    case FE_EXECUTE:
        replies_expect(&client->server->replies, &client_replies, client, REPLY_EXECUTE,
                       REPLY_FORWARD, execute_note(client, at, left));
        break;
    case FE_CLOSE:
        expect(client, REPLY_CLOSE);
        break;
    case FE_COPY_DONE:
    case FE_COPY_FAIL:
        expect(client, REPLY_COPY_END);
        break;
    default: /* CopyData and Flush are not answered */
        break;
    }
    *used = stream_on(client, at, left, false);
    if (at[0] == FE_QUERY || at[0] == FE_SYNC)
        after_batch(client);
    return STEP_ON;
}

static enum step rewrite(struct client *client, const char *at, size_t left, size_t *used)
{
    enum names_step step;
    if (client->discards && replies_query_to_come(&client->server->replies))
        return STEP_STALL; /* which names there are depends on its reply */
    client->discards = false;
    switch ((uint8_t)at[0]) {
    case FE_PARSE:
        step = names_parse(client, at, left, used);
        break;
    case FE_BIND:
        step = names_bind(client, at, left, used);
        break;
    case FE_DESCRIBE:
        step = names_describe(client, at, left, used);
        break;
    default:
        step = names_close(client, at, left, used);
        break;
    }
    switch (step) {
    case NAMES_MORE:
        return STEP_MORE;
    case NAMES_STALL:
        return STEP_STALL;
    case NAMES_PASS:
        return pass(client, at, left, used);
    case NAMES_REWRITTEN:
    case NAMES_DROP:
        break;
    }
    client->remain = (uint32_t)(1 + (size_t)load_u32(at + 1) - *used);
    client->drop = step == NAMES_DROP;
    return STEP_ON;
}

/* Messages of an ordinary size, and those that must be known whole, are sent whole: a client that stops
 * in the middle of one does not hold a server for it, and one that vanishes leaves no half message. */
static bool comes_whole(const struct client *client, const char *at, size_t left)
{
    enum { ORDINARY = 16384 };
    uint8_t kind = (uint8_t)at[0];
    size_t total = 1 + (size_t)load_u32(at + 1);
    if (left >= total || kind == FE_COPY_DATA)
        return false;
    if (total <= ORDINARY)
        return true;
    if (kind == FE_QUERY)
        return state_is_tracked(client) &&
               (total <= (size_t)client->worker->pool.settings->max_parse_length ||
                (client->uses_sql_names && total <= LIMIT_KEPT_STATEMENT));
    bool unnamed_parse = kind == FE_PARSE && left > MESSAGE_HEADER && at[MESSAGE_HEADER] == '\0';
    return rewrites(client, kind) && kind != FE_BIND &&
           (!unnamed_parse || total <= LIMIT_KEPT_STATEMENT);
}

/* Has the server anything to do with this message?  While it skips to the next Sync it has not;
 * nor with what a client still sends of a COPY that has failed; and without a request under way
 * there is nothing to flush. */
static bool is_pointless(const struct client *client, uint8_t kind)
{
    const struct replies *replies = &client->server->replies;
    if (replies->skipping)
        return kind != FE_SYNC;
    return (kind == FE_COPY_DATA || kind == FE_COPY_DONE || kind == FE_COPY_FAIL ||
            kind == FE_FLUSH) &&
           replies->count == 0 && !replies->copy_both;
}

static enum step take(struct client *client, const char *at, size_t left, size_t *used)
{
    uint8_t kind = (uint8_t)at[0];
    if (kind == FE_TERMINATE)
        return STEP_END;
    if (is_pointless(client, kind)) {
        *used = stream_on(client, at, left, true);
        return STEP_ON;
    }
    if (traces_stall(client->traces))
        return STEP_STALL;
    if (client->routing != NULL) {
        enum routing_step step = routing_pass(client, at, left);
        if (step != ROUTING_PASS)
            return step == ROUTING_MORE ? STEP_MORE : STEP_STALL;
    }
    if (comes_whole(client, at, left))
        return STEP_MORE;
    if (!client->used)
        begin(client);
    client->worker->describes |= kind == FE_DESCRIBE;
    if (client->query_us == 0)
        start_query(client);
    enum step step =
        rewrites(client, kind) ? rewrite(client, at, left, used) : pass(client, at, left, used);
    if (step == STEP_ON)
        client->first = false;
    return step;
}

static bool check_header(struct client *client, const char *at, struct err *err)
{
    uint8_t kind = (uint8_t)at[0];
    uint32_t length = load_u32(at + 1);
    if (!fe_kind_known(kind))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid frontend message type %d", kind);
    if (!fe_length_ok(kind, length))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid message length");
    if (kind == FE_QUERY && client->worker->pool.settings->disable_pqexec)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED, "PQexec disallowed");
    if (length > client->worker->pool.settings->max_packet_size)
        return err_set(err, SQLSTATE_PROGRAM_LIMIT_EXCEEDED,
                       "message of %u bytes exceeds max_packet_size", length);
    return true;
}

/* Works off the input; *used bytes of it need not be kept. */
static enum step forward(struct client *client, const char *data, size_t len, size_t *used,
                         struct err *err)
{
    enum step step = STEP_ON;
    size_t at = 0;
    while (at < len && step == STEP_ON) {
        size_t left = len - at, taken = 0;
        if (client->remain > 0) {
            taken = left < client->remain ? left : client->remain;
            if (!client->drop)
                batch_slice(&client->worker->to_server, data + at, taken);
            client->remain -= (uint32_t)taken;
        } else if (left < MESSAGE_HEADER) {
            step = STEP_MORE;
        } else if (!check_header(client, data + at, err)) {
            step = STEP_BAD;
        } else {
            step = take(client, data + at, left, &taken);
        }
        if (step == STEP_ON)
            at += taken;
    }
    *used = at;
    return step;
}

static bool may_read(const struct client *client)
{
    const struct server *server = client->server;
    return client->state == CLIENT_ACTIVE && !client->goodbye &&
           stream_pending(&server->stream) == 0 &&
           server->replies.count < LIMIT_OUTSTANDING_REPLIES;
}

/* One read, and what it brought.  False: the client is gone. */
static bool turn(struct client *client, bool from_stash)
{
    struct worker *worker = client->worker;
    struct server *server = client->server;
    struct err err;
    char *data = client->stash.data;
    size_t len = client->stash.len, used;
    ssize_t got = 1;
    if (!from_stash)
        got = stream_fill(&client->stream, worker->loop, &client->stash, &data, &len);
    batch_begin(&worker->to_server, &server->stream);
    batch_begin(&worker->to_client, &client->stream);
    uint32_t batch = client->batch;
    bool keep = retry_is_possible(client);
    worker->describes = false;
    enum step step = forward(client, data, len, &used, &err);
    keep = keep && worker->describes && client->batch == batch + 1 && !server->replies.open;
    if (client->routing != NULL && client->routing->reading)
        routing_sent(client, data, used);
    else if (keep || server->again.len > 0)
        retry_keep(client, keep ? data : NULL, used);
    client->part->stats.received += used;
    batch_flush(&worker->to_server);
    batch_flush(&worker->to_client);
    stream_keep(&client->stash, data, len, used);
    client->stalled = step == STEP_STALL;
    if (step == STEP_BAD) {
        client_fail(client, &err);
    } else if (step == STEP_END) {
        client->goodbye = true;
        return !client_end_after_goodbye(client);
    } else if (got < 0) {
        client_close(client, "client unexpected eof");
    } else if (server->stream.broken) {
        client_server_lost(client, "server conn crashed?");
    } else {
        return true;
    }
    return false;
}

void forward_read(struct client *client)
{
    enum { TURNS = 16 };
    bool again = client->stalled; /* a stalled message looks again, once */
    for (int i = 0; i < TURNS && may_read(client); i++) {
        if (!again && (client->stalled || !client->stream.readable))
            break;
        if (!turn(client, again))
            return;
        again = false;
    }
    if (client->state != CLIENT_ACTIVE)
        return;
    if (!client->used && !client->stalled && client->remain == 0 &&
        !client_in_session_mode(client)) {
        /* Nothing was asked: perhaps only a part of a message has come, perhaps nothing ever will. */
        client_give_back_unused(client);
    } else if (client->stream.readable && !client->stalled && may_read(client)) {
        stream_yield(&client->stream);
    }
}
