#include "session/subscriber.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/undo.h"
#include "proto/build.h"
#include "proto/message.h"
#include "session/client.h"
#include "session/pins.h"
#include "session/state.h"
#include "session/worker.h"

enum {
    SWITCH_TIMEOUT_US = 5000000,
    ASK_AGAIN_US = 60000000, /* after it could not be taken over */
    LOOK_AGAIN_US = 1000000, /* while the process is suspended */
};

/*
 *   RESTING --the probe has found more channels--> ASKED --fanout has them--> READY
 *   READY --between two transactions--> SWITCHING --both have heard the mark--> RESTING
 *   SWITCHING --no mark--> STUCK --after a while--> ASKED
 */
enum step {
    STEP_RESTING, /* all channels are heard by the fanout */
    STEP_ASKED,
    STEP_READY,
    STEP_SWITCHING, /* the client's messages wait */
    STEP_STUCK,     /* the client keeps its server */
};

/* Are the client's channels listened to on its own server, for an UNLISTEN? */
enum base {
    BASE_NONE,
    BASE_NOTED,   /* if the setting says so */
    BASE_CERTAIN, /* outside a transaction */
};

struct subscriber {
    struct subscription subscription; /* first: the fanout finds us by it */
    struct client *client;            /* borrowed; NULL: it has gone */
    uint8_t step;                     /* enum step */
    uint8_t base;                     /* enum base; of the transaction at work */
    bool noted;                       /* the setting says so */
    bool discarded;                   /* DISCARD ALL has ended all */
    bool server_marked, fanout_marked;
    uint64_t number;   /* counts what was wanted */
    uint64_t base_no;  /* counts transactions that may have noted something */
    struct buf heard;  /* channels that the fanout hears for it, each with its NUL */
    struct buf adding; /* those that are listened to on the client's server */
    struct buf queue;  /* messages that the client is still to be told */
    struct deadline deadline;
    struct fanout_place place; /* from READY on */
};

char subscriber_note;

/* ---- sets of channels ---- */

/* Those of `names` that are in `others`, or are not. */
static struct buf select_names(const struct buf *names, const struct buf *others, bool in)
{
    struct buf selected = BUF_NONE;
    for (const char *each = NULL; (each = buf_next_cstr(names, each)) != NULL;) {
        if (buf_has_cstr(others, each) == in)
            buf_append_cstr(&selected, each);
    }
    return selected;
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static size_t count_names(const struct buf *names)
{
    size_t n = 0;
    for (const char *each = NULL; (each = buf_next_cstr(names, each)) != NULL;)
        n++;
    return n;
}

static void replace(struct buf *names, struct buf with)
{
    buf_done(names);
    *names = with;
}

/* Leaves out what the client does not want any more; gives what is left. */
static size_t filter(const struct subscriber *subscriber, char *messages, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0, total; at < len; at += total) {
        total = 1 + (size_t)load_u32(messages + at + 1);
        const char *payload, *name = fanout_channel(messages + at + MESSAGE_HEADER,
                                                    total - MESSAGE_HEADER, &payload);
        if (name == NULL || !buf_has_cstr(&subscriber->heard, name))
            continue;
        memmove(messages + kept, messages + at, total);
        kept += total;
    }
    return kept;
}

/* ---- deadlines, and what is asked of the fanout ---- */

static void set_deadline(struct subscriber *subscriber, int64_t after_us)
{
    deadline_set(subscriber->client->worker->loop, &subscriber->deadline, DEADLINE_OTHER,
                 clock_now_us() + after_us);
}

static void clear_deadline(struct subscriber *subscriber)
{
    deadline_clear(subscriber->client->worker->loop, &subscriber->deadline);
}

/* What it had heard of other channels must not be taken for what it hears when it listens to them again. */
static void want(struct subscriber *subscriber, bool adding)
{
    struct buf all = BUF_NONE;
    subscriber->queue.len = filter(subscriber, subscriber->queue.data, subscriber->queue.len);
    buf_append(&all, subscriber->heard.data, subscriber->heard.len);
    if (adding)
        buf_append(&all, subscriber->adding.data, subscriber->adding.len);
    fanout_want(&subscriber->subscription, ++subscriber->number, &all);
    buf_done(&all);
}

static bool has_encoding(const struct client *client, const char *encoding)
{
    const char *own =
        params_find(client->worker->proxy->pools->params, client->params, "client_encoding");
    return encoding[0] == '\0' || own == NULL || strcmp(encoding, own) == 0;
}

/* Nobody converts the names of its channels, and what is sent there. */
static void ask(struct subscriber *subscriber)
{
    if (!has_encoding(subscriber->client, fanout_encoding(subscriber->client->server))) {
        subscriber->step = STEP_STUCK;
        if (subscriber->number > 0)
            want(subscriber, false);
        set_deadline(subscriber, ASK_AGAIN_US);
        return;
    }
    subscriber->step = STEP_ASKED;
    clear_deadline(subscriber);
    want(subscriber, true);
}

static void end_switch(struct subscriber *subscriber, enum step step)
{
    struct traces *traces = subscriber->client->traces;
    subscriber->step = step;
    clear_deadline(subscriber);
    if (traces != NULL)
        traces->switching = false;
}

/* The client's server, which it keeps, shall not hear the marks of others. */
static void tell_server(struct subscriber *subscriber, const char *channel)
{
    struct client *client = subscriber->client;
    struct buf sql = BUF_NONE;
    buf_printf(&sql, "UNLISTEN %s", channel);
    buf_append_u8(&sql, '\0');
    server_send_query(client->server, sql.data, REPLY_SWALLOW, &client_replies, client, NULL);
    buf_done(&sql);
}

/* The client's server goes on notifying it. */
static void give_up(struct subscriber *subscriber)
{
    if (subscriber->step == STEP_SWITCHING)
        tell_server(subscriber, subscriber->place.marker);
    end_switch(subscriber, STEP_STUCK);
    want(subscriber, false);
    set_deadline(subscriber, ASK_AGAIN_US);
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct subscriber *subscriber = CONTAINER_OF(deadline, struct subscriber, deadline);
    switch ((enum step)subscriber->step) {
    case STEP_STUCK:
        ask(subscriber);
        break;
    case STEP_SWITCHING:
        if (subscriber->server_marked) { /* it has been sent: it will be heard */
            set_deadline(subscriber, SWITCH_TIMEOUT_US);
            break;
        }
        give_up(subscriber);
        relay_go_on(subscriber->client);
        break;
    case STEP_READY:
        set_deadline(subscriber, LOOK_AGAIN_US);
        relay_go_on(subscriber->client);
        break;
    case STEP_RESTING:
    case STEP_ASKED:
        break;
    }
}

static struct subscriber *make(struct client *client)
{
    struct subscriber *subscriber = mem_new(sizeof *subscriber);
    subscriber->client = client;
    subscriber->subscription.pool = client->part->pool;
    subscriber->subscription.worker = client->worker->pool.index;
    subscriber->subscription.id = atomic_fetch_add(&client->worker->proxy->pools->last_id, 1) + 1;
    subscriber->deadline.expired = on_deadline;
    client->subscriber = subscriber;
    return subscriber;
}

static void free_subscriber(struct subscriber *subscriber)
{
    buf_done(&subscriber->heard);
    buf_done(&subscriber->adding);
    buf_done(&subscriber->queue);
    mem_free(subscriber);
}

void subscriber_leave(struct client *client)
{
    struct subscriber *subscriber = client->subscriber;
    if (subscriber == NULL)
        return;
    clear_deadline(subscriber);
    client->subscriber = NULL;
    subscriber->client = NULL;
    if (subscriber->number > 0)
        fanout_leave(&subscriber->subscription);
    else
        free_subscriber(subscriber);
}

/* ---- in front of UNLISTEN ---- */

static void write_listens(struct buf *sql, const struct buf *names)
{
    for (const char *each = NULL; (each = buf_next_cstr(names, each)) != NULL;) {
        buf_append_str(sql, "LISTEN ");
        params_quote_name(sql, each);
        buf_append_u8(sql, ';');
    }
}

/* Listens if that was not done yet in this transaction, as far as it has not been rolled back. */
static void write_noted(const struct subscriber *subscriber, struct buf *sql)
{
    char note[FANOUT_MARK_MAX];
    struct buf body = BUF_NONE;
    fanout_mark_text(note, subscriber->subscription.id, subscriber->base_no);
    buf_printf(&body,
               "BEGIN IF pg_catalog.current_setting('" SUBSCRIBER_SETTING
               "',true) IS DISTINCT FROM "
               "'%s' THEN PERFORM pg_catalog.set_config('" SUBSCRIBER_SETTING "','%s',false);",
               note, note);
    write_listens(&body, &subscriber->heard);
    buf_append_cstr(&body, "END IF;END");
    buf_append_str(sql, "DO LANGUAGE plpgsql ");
    params_quote(sql, body.data);
    buf_append_u8(sql, '\0');
    buf_done(&body);
}

static void inject(struct client *client, struct buf *out, size_t mark, enum reply_kind kind)
{
    message_end(out, mark);
    replies_expect(&client->server->replies, &client_replies, client, kind, REPLY_INJECT, NULL);
}

/* Within a batch of the extended protocol a Query would end its transaction.  The names are not those of
 * anything that the client has. */
static void send_batch(struct client *client, const char *sql)
{
    struct subscriber *subscriber = client->subscriber;
    struct buf out = BUF_NONE;
    char name[64];
    snprintf(name, sizeof name, STATEMENT_PREFIX "listens_%llu_%u",
             (unsigned long long)subscriber->base_no, client->batch);
    size_t mark = message_begin(&out, FE_PARSE);
    buf_append_cstr(&out, name);
    buf_append_cstr(&out, sql);
    buf_append_u16(&out, 0);
    inject(client, &out, mark, REPLY_PARSE);
    mark = message_begin(&out, FE_BIND);
    buf_append_cstr(&out, name); /* the portal */
    buf_append_cstr(&out, name);
    buf_append(&out, "\0\0\0\0\0", 6); /* no formats, no parameters, all results as text */
    inject(client, &out, mark, REPLY_BIND);
    mark = message_begin(&out, FE_EXECUTE);
    buf_append_cstr(&out, name);
    buf_append_u32(&out, 0);
    inject(client, &out, mark, REPLY_EXECUTE);
    mark = message_begin(&out, FE_CLOSE);
    buf_append_u8(&out, 'P');
    buf_append_cstr(&out, name);
    inject(client, &out, mark, REPLY_CLOSE);
    mark = message_begin(&out, FE_CLOSE);
    buf_append_u8(&out, 'S');
    buf_append_cstr(&out, name);
    inject(client, &out, mark, REPLY_CLOSE);
    batch_copy(&client->worker->to_server, out.data, out.len);
    buf_done(&out);
}

static bool refuse_reset(struct err *err)
{
    err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
            "cannot reset all settings in a transaction block with UNLISTEN");
    err_hint(err, "Use RESET ALL in a transaction of its own.");
    return false;
}

bool subscriber_may_reset(const struct client *client, struct err *err)
{
    return client->subscriber->base != BASE_NOTED || refuse_reset(err);
}

bool subscriber_prepare(struct client *client, bool resets_all, struct err *err)
{
    struct subscriber *subscriber = client->subscriber;
    struct server *server = client->server;
    struct buf sql = BUF_NONE;
    if (subscriber->heard.len == 0 || subscriber->base == BASE_CERTAIN ||
        server->replies.skipping || server->txn == TXN_FAILED)
        return true;
    server->undo |= UNDO_LISTEN;
    if (server->txn == TXN_IDLE && !server->replies.open &&
        !replies_any_for_client(&server->replies)) {
        write_listens(&sql, &subscriber->heard);
        buf_append_u8(&sql, '\0');
        subscriber->base = BASE_CERTAIN;
        forward_query(client, sql.data, REPLY_INJECT, NULL);
    } else if (resets_all) {
        return refuse_reset(err);
    } else {
        write_noted(subscriber, &sql);
        subscriber->base = BASE_NOTED;
        if (server->replies.open)
            send_batch(client, sql.data);
        else
            forward_query(client, sql.data, REPLY_INJECT, NULL);
    }
    buf_done(&sql);
    return true;
}

/* ---- what the probe has found ---- */

bool subscriber_has_noted(const struct client *client)
{
    return client->subscriber->base == BASE_NOTED;
}

void subscriber_take_setting(struct client *client, const char *value, size_t len)
{
    struct subscriber *subscriber = client->subscriber;
    char note[FANOUT_MARK_MAX];
    fanout_mark_text(note, subscriber->subscription.id, subscriber->base_no);
    subscriber->noted = len == strlen(note) && memcmp(value, note, len) == 0;
}

void subscriber_take_discard(struct client *client)
{
    client->subscriber->discarded = true;
}

/* Are the channels of the client's server all that it wants? */
static bool take_base(struct subscriber *subscriber)
{
    bool all = subscriber->base == BASE_CERTAIN || subscriber->noted || subscriber->discarded;
    subscriber->base = BASE_NONE;
    subscriber->noted = subscriber->discarded = false;
    subscriber->base_no++;
    return all;
}

static void take_change(struct subscriber *subscriber)
{
    size_t n = count_names(&subscriber->heard) + count_names(&subscriber->adding);
    if (subscriber->adding.len > 0 && n <= SUBSCRIBER_CHANNELS_MAX) {
        ask(subscriber);
        return;
    }
    clear_deadline(subscriber);
    subscriber->step = subscriber->adding.len > 0 ? STEP_STUCK : STEP_RESTING;
    if (subscriber->number > 0)
        want(subscriber, false);
}

bool subscriber_take_found(struct client *client, const struct buf *channels)
{
    struct subscriber *subscriber = client->subscriber;
    if (subscriber == NULL && channels->len == 0)
        return false;
    if (subscriber == NULL)
        subscriber = make(client);
    bool all = take_base(subscriber), fewer = false;
    if (all) {
        struct buf left = select_names(&subscriber->heard, channels, true);
        fewer = !same_bytes(&left, &subscriber->heard);
        replace(&subscriber->heard, left);
    }
    struct buf adding = select_names(channels, &subscriber->heard, false);
    bool more = !same_bytes(&adding, &subscriber->adding);
    replace(&subscriber->adding, adding);
    if (subscriber->heard.len + subscriber->adding.len == 0) {
        subscriber_leave(client);
        return false;
    }
    if (fewer || more)
        take_change(subscriber);
    return subscriber->adding.len > 0;
}

/* ---- taking over ---- */

static bool is_there(const struct subscriber *subscriber, const struct server *server)
{
    const struct address *here = &server->address, *there = &subscriber->place.address;
    return here->len == there->len && memcmp(&here->socket, &there->socket, here->len) == 0;
}

bool subscriber_begin(struct client *client)
{
    struct subscriber *subscriber = client->subscriber;
    struct buf sql = BUF_NONE;
    if (subscriber->step != STEP_READY || client->worker->pool.suspended)
        return false;
    if (!is_there(subscriber, client->server)) { /* of several hosts */
        give_up(subscriber);
        return false;
    }
    subscriber->step = STEP_SWITCHING;
    subscriber->server_marked = subscriber->fanout_marked = false;
    client->traces->switching = true;
    set_deadline(subscriber, SWITCH_TIMEOUT_US);
    buf_append_str(&sql, "LISTEN ");
    params_quote_name(&sql, subscriber->place.marker);
    buf_append_u8(&sql, '\0');
    server_send_query(client->server, sql.data, REPLY_SWALLOW, &client_replies, client,
                      &subscriber_note);
    buf_done(&sql);
    return true;
}

void subscriber_settled(struct client *client, enum reply_outcome outcome)
{
    struct subscriber *subscriber = client->subscriber;
    if (subscriber == NULL || subscriber->step != STEP_SWITCHING)
        return;
    if (outcome == REPLY_DONE)
        fanout_mark(&subscriber->subscription, subscriber->number);
    else if (outcome == REPLY_FAILED)
        give_up(subscriber);
}

/* From here on the fanout has them all, and the server is not needed for that. */
static void finish(struct subscriber *subscriber)
{
    struct client *client = subscriber->client;
    buf_append(&subscriber->heard, subscriber->adding.data, subscriber->adding.len);
    buf_done(&subscriber->adding);
    end_switch(subscriber, STEP_RESTING);
    pins_set(client, client->traces->pins & ~(uint32_t)PIN_LISTEN);
    if (client->traces->pins != 0 || client_in_session_mode(client))
        tell_server(subscriber, "*");
    if (client->traces->pins == 0)
        traces_free(client);
}

static void take_server_mark(struct subscriber *subscriber, const char *payload)
{
    char mark[FANOUT_MARK_MAX];
    fanout_mark_text(mark, subscriber->subscription.id, subscriber->number);
    if (subscriber->step != STEP_SWITCHING || strcmp(payload, mark) != 0)
        return;
    subscriber->server_marked = true;
    if (subscriber->fanout_marked)
        finish(subscriber);
}

bool subscriber_takes_notification(struct client *client, const char *body, size_t len)
{
    struct subscriber *subscriber = client->subscriber;
    const char *payload, *name = fanout_channel(body, len, &payload);
    if (name == NULL)
        return true;
    if (strcmp(name, subscriber->place.marker) == 0) {
        take_server_mark(subscriber, payload);
        return false;
    }
    bool marked = subscriber->step == STEP_SWITCHING && subscriber->server_marked;
    return !marked && !buf_has_cstr(&subscriber->heard, name);
}

/* ---- delivery ---- */

static bool may_be_told(const struct client *client)
{
    const struct traces *traces = client->traces;
    if (traces != NULL && (traces->touched != 0 || traces_stall(traces)))
        return false;
    return client->state == CLIENT_IDLE || client->state == CLIENT_WAITING ||
           (client->state == CLIENT_ACTIVE && relay_is_between(client));
}

void subscriber_deliver(struct client *client)
{
    struct subscriber *subscriber = client->subscriber;
    if (subscriber->queue.len == 0 || !may_be_told(client))
        return;
    size_t len = filter(subscriber, subscriber->queue.data, subscriber->queue.len);
    stream_write(&client->stream, subscriber->queue.data, len);
    client->part->stats.sent += len;
    buf_done(&subscriber->queue);
}

void subscriber_deliver_behind(struct client *client)
{
    struct subscriber *subscriber = client->subscriber;
    const struct traces *traces = client->traces;
    if (subscriber->queue.len == 0 ||
        (traces != NULL && (traces->touched != 0 || traces_stall(traces))))
        return;
    size_t len = filter(subscriber, subscriber->queue.data, subscriber->queue.len);
    batch_copy(&client->worker->to_client, subscriber->queue.data, len);
    client->part->stats.sent += len;
    buf_done(&subscriber->queue);
}

/* ---- what the fanout tells ---- */

static struct subscriber *of(struct subscription *subscription)
{
    return CONTAINER_OF(subscription, struct subscriber, subscription);
}

void subscriber_take_ready(struct subscription *subscription, uint64_t number,
                           const struct fanout_place *place)
{
    struct subscriber *subscriber = of(subscription);
    if (subscriber->client == NULL || subscriber->number != number ||
        subscriber->step != STEP_ASKED)
        return;
    subscriber->step = STEP_READY;
    subscriber->place = *place;
    set_deadline(subscriber, LOOK_AGAIN_US);
    relay_go_on(subscriber->client);
}

void subscriber_take_mark(struct subscription *subscription, uint64_t number)
{
    struct subscriber *subscriber = of(subscription);
    if (subscriber->client == NULL || subscriber->number != number ||
        subscriber->step != STEP_SWITCHING)
        return;
    subscriber->fanout_marked = true;
    if (!subscriber->server_marked)
        return;
    finish(subscriber);
    relay_go_on(subscriber->client);
}

static bool is_ascii(const char *bytes, size_t len)
{
    size_t i = 0;
    while (i < len && (bytes[i] & 0x80) == 0)
        i++;
    return i == len;
}

/* Lengths and process ids are not looked at: each name and payload is. */
static bool can_be_read(const struct subscriber *subscriber, const char *messages, size_t len)
{
    if (has_encoding(subscriber->client, subscriber->place.encoding))
        return true;
    for (size_t at = 0, total; at < len; at += total) {
        const size_t texts = MESSAGE_HEADER + 4;
        total = 1 + (size_t)load_u32(messages + at + 1);
        if (!is_ascii(messages + at + texts, total - texts))
            return false;
    }
    return true;
}

/* What was on its way when a channel was left is dropped here: if the client listens to it again by now, it would
 * else be taken for what is heard behind the mark. */
void subscriber_take_news(struct subscription *subscription, const char *messages, size_t len)
{
    struct subscriber *subscriber = of(subscription);
    struct client *client = subscriber->client;
    struct err err;
    if (client == NULL)
        return;
    size_t kept = subscriber->queue.len;
    buf_append(&subscriber->queue, messages, len);
    if (subscriber->step != STEP_SWITCHING || !subscriber->fanout_marked)
        len = filter(subscriber, subscriber->queue.data + kept, len);
    subscriber->queue.len = kept + len;
    if (!can_be_read(subscriber, subscriber->queue.data + kept, len)) {
        err_set(&err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                "cannot convert a notification to the client's encoding");
        err_hint(&err, "Set client_encoding before LISTEN, and leave it then.");
        client_fail(client, &err);
        return;
    }
    subscriber_deliver(client);
    size_t waiting = subscriber->queue.len;
    if (client->state == CLIENT_IDLE)
        waiting += stream_pending(&client->stream);
    if (waiting <= LIMIT_NOTIFICATIONS)
        return;
    err_set(&err, SQLSTATE_PROGRAM_LIMIT_EXCEEDED, "too many notifications wait for this client");
    err_detail(&err,
               "It has not read them, or was in a transaction, while more than %d bytes came.",
               LIMIT_NOTIFICATIONS);
    client_fail(client, &err);
}

void subscriber_take_loss(struct subscription *subscription)
{
    struct subscriber *subscriber = of(subscription);
    struct client *client = subscriber->client;
    struct err err;
    if (client == NULL)
        return;
    bool switching = subscriber->step == STEP_SWITCHING;
    if (subscriber->heard.len > 0 || (switching && subscriber->server_marked)) {
        err_set(&err, SQLSTATE_CONNECTION_FAILURE,
                "the server connection that listens for this client was lost");
        err_detail(&err, "Notifications may have been missed.");
        client_fail(client, &err);
        return;
    }
    buf_done(&subscriber->queue);
    if (subscriber->step == STEP_READY || switching)
        end_switch(subscriber, STEP_ASKED);
    if (switching)
        relay_go_on(client);
}

void subscriber_take_end(struct subscription *subscription)
{
    free_subscriber(of(subscription));
}
