#include "session/fanout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "pool/serverlog.h"
#include "pool/welcome.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/subscriber.h"

struct channel {
    struct map_entry entry; /* first: the map finds us by it */
    TAILQ_ENTRY(channel) change;
    struct hearer_list hearers;
    bool changes; /* it is in fanout->changes: to be listened to, or not any more */
    bool on;      /* the listening server listens to it, or was told to */
    char name[];
};

/* One subscription to one channel. */
struct hearer {
    struct channel *channel;
    struct subscription *subscription;
    TAILQ_ENTRY(hearer) by_channel, by_subscription;
    bool live; /* what is heard is the subscriber's */
};

TAILQ_HEAD(subscription_list, subscription);

struct fanout {
    struct part *part;     /* borrowed */
    struct server *server; /* borrowed; NULL: there is none that has logged in */
    struct map channels;
    TAILQ_HEAD(channel_list, channel) changes;
    struct subscription_list subscriptions;
    struct subscription_list
        pending;                   /* to be told when they are listened for, and then taken over */
    struct subscription_list news; /* with something to be posted */
    int n_marks;                   /* on their way */
    bool marked;                   /* the server listens to the marker, or was told to */
    bool telling;                  /* it has been told something, and has not answered */
    char marker[FANOUT_MARKER_MAX];
    struct deadline again; /* to connect again; or, if nobody listens, to close */
};

static char sync_note, mark_note;

static struct loop *loop_of(const struct fanout *fanout)
{
    return fanout->part->worker->loop;
}

static const struct settings *settings_of(const struct fanout *fanout)
{
    return fanout->part->worker->settings;
}

/* ---- mail ---- */

enum letter_kind {
    LETTER_WANT, /* to the listening server's worker */
    LETTER_MARK,
    LETTER_LEAVE,
    LETTER_READY, /* to the subscriber's */
    LETTER_MARKED,
    LETTER_NEWS,
    LETTER_DEAF,
    LETTER_END,
};

struct letter {
    struct mail mail;
    struct subscription *subscription;
    enum letter_kind kind;
    uint64_t number;
    struct buf bytes;          /* owned: channels, or messages */
    struct fanout_place place; /* READY */
};

static struct letter *write_letter(struct subscription *subscription, enum letter_kind kind,
                                   uint64_t number)
{
    struct letter *letter = mem_new(sizeof *letter);
    letter->subscription = subscription;
    letter->kind = kind;
    letter->number = number;
    return letter;
}

static void deliver_out(struct mail *mail, struct loop *loop)
{
    struct letter *letter = (struct letter *)mail;
    struct subscription *subscription = letter->subscription;
    switch (letter->kind) {
    case LETTER_READY:
        subscriber_take_ready(subscription, letter->number, &letter->place);
        break;
    case LETTER_MARKED:
        subscriber_take_mark(subscription, letter->number);
        break;
    case LETTER_NEWS:
        subscriber_take_news(subscription, letter->bytes.data, letter->bytes.len);
        break;
    case LETTER_DEAF:
        subscriber_take_loss(subscription);
        break;
    default:
        subscriber_take_end(subscription);
        break;
    }
    buf_done(&letter->bytes);
    mem_free(letter);
}

static void post_out(struct letter *letter)
{
    const struct subscription *subscription = letter->subscription;
    letter->mail.deliver = deliver_out;
    loop_post(subscription->pool->pools->workers[subscription->worker]->loop, &letter->mail);
}

static void post_news(struct subscription *subscription)
{
    if (subscription->out.len == 0)
        return;
    TAILQ_REMOVE(&subscription->fanout->news, subscription, by_news);
    struct letter *letter = write_letter(subscription, LETTER_NEWS, 0);
    letter->bytes = subscription->out;
    subscription->out = (struct buf)BUF_NONE;
    post_out(letter);
}

static void add_news(struct subscription *subscription, const char *message, size_t len)
{
    if (subscription->out.len == 0)
        TAILQ_INSERT_TAIL(&subscription->fanout->news, subscription, by_news);
    buf_append(&subscription->out, message, len);
}

static void post_all_news(struct fanout *fanout)
{
    while (!TAILQ_EMPTY(&fanout->news))
        post_news(TAILQ_FIRST(&fanout->news));
}

/* ---- channels ---- */

static bool same_channel(const struct map_entry *entry, const void *key)
{
    return strcmp(((const struct channel *)entry)->name, key) == 0;
}

static struct channel *find_channel(const struct fanout *fanout, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name));
    return (struct channel *)map_find(&fanout->channels, hash, same_channel, name);
}

static struct channel *get_channel(struct fanout *fanout, const char *name)
{
    struct channel *channel = find_channel(fanout, name);
    if (channel != NULL)
        return channel;
    size_t len = strlen(name);
    channel = mem_new(sizeof *channel + len + 1);
    memcpy(channel->name, name, len);
    channel->entry.hash = hash_bytes(name, len);
    TAILQ_INIT(&channel->hearers);
    map_add(&fanout->channels, &channel->entry);
    return channel;
}

static void note_change(struct fanout *fanout, struct channel *channel)
{
    if (channel->changes)
        return;
    channel->changes = true;
    TAILQ_INSERT_TAIL(&fanout->changes, channel, change);
}

static void drop_hearer(struct hearer *hearer)
{
    struct channel *channel = hearer->channel;
    TAILQ_REMOVE(&channel->hearers, hearer, by_channel);
    TAILQ_REMOVE(&hearer->subscription->hears, hearer, by_subscription);
    if (TAILQ_EMPTY(&channel->hearers))
        note_change(hearer->subscription->fanout, channel);
    mem_free(hearer);
}

static struct hearer *find_hearer(const struct subscription *subscription, const char *name)
{
    struct hearer *hearer;
    TAILQ_FOREACH (hearer, &subscription->hears, by_subscription) {
        if (strcmp(hearer->channel->name, name) == 0)
            break;
    }
    return hearer;
}

static void add_hearer(struct subscription *subscription, const char *name)
{
    struct hearer *hearer = mem_new(sizeof *hearer);
    hearer->channel = get_channel(subscription->fanout, name);
    hearer->subscription = subscription;
    TAILQ_INSERT_TAIL(&hearer->channel->hearers, hearer, by_channel);
    TAILQ_INSERT_TAIL(&subscription->hears, hearer, by_subscription);
    if (!hearer->channel->on)
        note_change(subscription->fanout, hearer->channel);
}

/* ---- what the listening server is told ---- */

static void write_command(struct buf *sql, const char *verb, const char *name)
{
    buf_append_str(sql, verb);
    params_quote_name(sql, name);
    buf_append_u8(sql, ';');
}

static void write_change(struct fanout *fanout, struct channel *channel, struct buf *sql)
{
    bool wanted = !TAILQ_EMPTY(&channel->hearers);
    if (wanted != channel->on)
        write_command(sql, wanted ? "LISTEN " : "UNLISTEN ", channel->name);
    channel->on = wanted;
    channel->changes = false;
    TAILQ_REMOVE(&fanout->changes, channel, change);
    if (wanted)
        return;
    map_remove(&fanout->channels, &channel->entry);
    mem_free(channel);
}

static void ignore_fake(void *context, const struct reply *reply)
{
}

static void on_settled(void *context, const struct reply *reply, enum reply_outcome outcome)
{
    struct fanout *fanout = context;
    if (reply->note == &sync_note)
        fanout->telling = false;
}

static const struct replies_events replies_events = {.fake = ignore_fake, .settled = on_settled};

const char *fanout_encoding(const struct server *server)
{
    const char *stored = welcome_value(server->welcome, "server_encoding");
    const char *told = welcome_value(server->welcome, "client_encoding");
    return told == NULL || (stored != NULL && strcmp(stored, "SQL_ASCII") == 0) ? "" : told;
}

static void tell_ready(struct fanout *fanout)
{
    struct subscription *subscription;
    TAILQ_FOREACH (subscription, &fanout->pending, by_pending) {
        if (subscription->told)
            continue;
        subscription->told = true;
        struct letter *letter = write_letter(subscription, LETTER_READY, subscription->want);
        memcpy(letter->place.marker, fanout->marker, sizeof fanout->marker);
        letter->place.address = fanout->server->address;
        snprintf(letter->place.encoding, sizeof letter->place.encoding, "%s",
                 fanout_encoding(fanout->server));
        post_out(letter);
    }
}

static void open_server(struct fanout *fanout);

/* Listens to what is wanted, in one transaction; then those who wait for that are told. */
static void sync(struct fanout *fanout)
{
    struct buf sql = BUF_NONE;
    if (fanout->server == NULL)
        open_server(fanout);
    if (fanout->server == NULL || fanout->telling)
        return;
    if (!fanout->marked)
        write_command(&sql, "LISTEN ", fanout->marker);
    fanout->marked = true;
    while (!TAILQ_EMPTY(&fanout->changes))
        write_change(fanout, TAILQ_FIRST(&fanout->changes), &sql);
    if (sql.len > 0) {
        buf_append_u8(&sql, '\0');
        fanout->telling = true;
        server_send_query(fanout->server, sql.data, REPLY_SWALLOW, &replies_events, fanout,
                          &sync_note);
    } else {
        tell_ready(fanout);
    }
    buf_done(&sql);
}

/* ---- the connection ---- */

static void set_again(struct fanout *fanout, int64_t after_us)
{
    if (fanout->part->worker->stopping)
        return;
    deadline_set(loop_of(fanout), &fanout->again, DEADLINE_OTHER, clock_now_us() + after_us);
}

static void open_server(struct fanout *fanout)
{
    struct part *part = fanout->part;
    if (part->listener != NULL || fanout->again.at_us != 0 || TAILQ_EMPTY(&fanout->subscriptions) ||
        part_open_listener(part))
        return;
    atomic_store(&part->pool->is_deaf, true);
    set_again(fanout, settings_of(fanout)->server_login_retry_us);
}

static void free_fanout(struct fanout *fanout)
{
    while (!TAILQ_EMPTY(&fanout->changes)) {
        struct buf none = BUF_NONE;
        write_change(fanout, TAILQ_FIRST(&fanout->changes), &none);
        buf_done(&none);
    }
    deadline_clear(loop_of(fanout), &fanout->again);
    map_done(&fanout->channels);
    fanout->part->fanout = NULL;
    mem_free(fanout);
}

static void on_again(struct deadline *deadline, struct loop *loop)
{
    struct fanout *fanout = CONTAINER_OF(deadline, struct fanout, again);
    struct server *server = fanout->part->listener;
    if (!TAILQ_EMPTY(&fanout->subscriptions))
        sync(fanout);
    else if (server != NULL)
        server_close(server, "server idle timeout"); /* frees the fanout */
}

static struct fanout *get_fanout(struct part *part)
{
    struct fanout *fanout = part->fanout;
    uint64_t bits[2];
    if (fanout != NULL)
        return fanout;
    fanout = mem_new(sizeof *fanout);
    fanout->part = part;
    TAILQ_INIT(&fanout->changes);
    TAILQ_INIT(&fanout->subscriptions);
    TAILQ_INIT(&fanout->pending);
    TAILQ_INIT(&fanout->news);
    fanout->again.expired = on_again;
    if (RAND_bytes((unsigned char *)bits, sizeof bits) != 1)
        abort();
    snprintf(fanout->marker, sizeof fanout->marker, "howdah_%016" PRIx64 "%016" PRIx64, bits[0],
             bits[1]);
    part->fanout = fanout;
    return fanout;
}

static void set_pending(struct subscription *subscription, bool pending)
{
    struct fanout *fanout = subscription->fanout;
    if (pending && !subscription->pending)
        TAILQ_INSERT_TAIL(&fanout->pending, subscription, by_pending);
    else if (!pending && subscription->pending)
        TAILQ_REMOVE(&fanout->pending, subscription, by_pending);
    subscription->pending = pending;
    subscription->told = false;
}

/* Its channels go with the connection.  Who relied on it will leave; who did not waits for the next. */
static void silence(struct subscription *subscription)
{
    struct hearer *hearer;
    post_out(write_letter(subscription, LETTER_DEAF, 0));
    TAILQ_FOREACH (hearer, &subscription->hears, by_subscription)
        hearer->live = false;
    set_pending(subscription, !TAILQ_EMPTY(&subscription->hears));
}

/* All channels are to be listened to again, on the next connection. */
static void forget_channels(struct fanout *fanout)
{
    struct map_entry *entry;
    uint32_t at = 0;
    while ((entry = map_next(&fanout->channels, &at)) != NULL) {
        struct channel *channel = (struct channel *)entry;
        channel->on = false;
        note_change(fanout, channel);
    }
}

void fanout_deaf(struct part *part)
{
    struct fanout *fanout = part->fanout;
    struct subscription *subscription;
    post_all_news(fanout);
    fanout->server = NULL;
    fanout->telling = fanout->marked = false;
    fanout->n_marks = 0;
    forget_channels(fanout);
    TAILQ_FOREACH (subscription, &fanout->subscriptions, entry)
        silence(subscription);
    if (TAILQ_EMPTY(&fanout->subscriptions)) {
        free_fanout(fanout);
        return;
    }
    atomic_store(&part->pool->is_deaf, true);
    set_again(fanout, settings_of(fanout)->server_login_retry_us);
}

/* ---- what it says ---- */

const char *fanout_channel(const char *body, size_t len, const char **payload)
{
    struct reader reader = reader_of(body, len);
    read_u32(&reader); /* whose notification it is */
    const char *channel = read_cstr(&reader);
    *payload = read_cstr(&reader);
    return reader.bad ? NULL : channel;
}

void fanout_mark_text(char text[FANOUT_MARK_MAX], uint64_t id, uint64_t number)
{
    snprintf(text, FANOUT_MARK_MAX, "%" PRIu64 ".%" PRIu64, id, number);
}

static void take_mark(struct fanout *fanout, const char *payload)
{
    char *dot;
    uint64_t id = strtoull(payload, &dot, 10);
    uint64_t number = *dot == '.' ? strtoull(dot + 1, NULL, 10) : 0;
    struct subscription *subscription;
    struct hearer *hearer;
    fanout->n_marks--;
    TAILQ_FOREACH (subscription, &fanout->pending, by_pending) {
        if (subscription->id == id && subscription->want == number)
            break;
    }
    if (subscription == NULL)
        return; /* it has left, or given up */
    TAILQ_FOREACH (hearer, &subscription->hears, by_subscription)
        hearer->live = true;
    set_pending(subscription, false);
    post_news(subscription);
    post_out(write_letter(subscription, LETTER_MARKED, number));
}

static void take_notification(struct fanout *fanout, const char *at, size_t len)
{
    const char *payload,
        *name = fanout_channel(at + MESSAGE_HEADER, len - MESSAGE_HEADER, &payload);
    struct hearer *hearer;
    if (name == NULL)
        return;
    if (strcmp(name, fanout->marker) == 0) {
        take_mark(fanout, payload);
        return;
    }
    struct channel *channel = find_channel(fanout, name);
    if (channel == NULL)
        return;
    TAILQ_FOREACH (hearer, &channel->hearers, by_channel) {
        if (hearer->live)
            add_news(hearer->subscription, at, len);
    }
}

/* NULL, or why the connection must be closed. */
static const char *take(struct fanout *fanout, const char *at, size_t len)
{
    struct server *server = fanout->server;
    const char *body = at + MESSAGE_HEADER;
    size_t body_len = len - MESSAGE_HEADER;
    struct err err;
    switch ((uint8_t)at[0]) {
    case BE_NOTIFICATION_RESPONSE:
        take_notification(fanout, at, len);
        return NULL;
    case BE_NOTICE_RESPONSE:
        return NULL;
    case BE_PARAMETER_STATUS:
        server_take_parameter(server, body, body_len);
        return NULL;
    case BE_ERROR_RESPONSE:
        response_parse(body, body_len, &err, NULL);
        server_log(server, LOG_WARNING, "cannot listen: %s", err.message);
        return "cannot listen";
    default:
        break;
    }
    if (replies_take(&server->replies, &replies_events, fanout, (uint8_t)at[0]) == VERDICT_BROKEN)
        return "server has broken the protocol";
    replies_advance(&server->replies, &replies_events, fanout);
    return NULL;
}

static size_t work_off(struct fanout *fanout, const char *data, size_t len, const char **reason)
{
    size_t at = 0;
    while (len - at >= MESSAGE_HEADER && *reason == NULL) {
        uint32_t length = load_u32(data + at + 1);
        if (length < 4 || length > LIMIT_SERVER_SMALL)
            *reason = "invalid message length from server";
        else if (len - at < 1 + (size_t)length)
            break;
        else
            *reason = take(fanout, data + at, 1 + (size_t)length);
        at += 1 + (size_t)length;
    }
    return at < len ? at : len;
}

/* One read, and what it brought.  False: the connection is gone. */
static bool turn(struct fanout *fanout)
{
    struct server *server = fanout->server;
    const char *reason = NULL;
    char *data;
    size_t len;
    ssize_t got = stream_fill(&server->stream, loop_of(fanout), &server->stash, &data, &len);
    size_t used = work_off(fanout, data, len, &reason);
    stream_keep(&server->stash, data, len, used);
    post_all_news(fanout);
    if (reason == NULL && got < 0)
        reason = "server conn crashed?";
    if (reason != NULL)
        server_close(server, reason);
    return reason == NULL;
}

void fanout_heard(struct server *server)
{
    enum { TURNS = 16 };
    struct fanout *fanout = server->part->fanout;
    fanout->server = server;
    atomic_store(&server->part->pool->is_deaf, false);
    for (int i = 0; i < TURNS && server->stream.readable; i++) {
        if (!turn(fanout))
            return;
    }
    if (server->stream.readable)
        stream_yield(&server->stream);
    sync(fanout);
}

bool fanout_is_busy(const struct part *part)
{
    return part->fanout != NULL && part->fanout->n_marks > 0;
}

/* ---- what subscribers want ---- */

static bool has_silent(const struct subscription *subscription)
{
    const struct hearer *hearer;
    TAILQ_FOREACH (hearer, &subscription->hears, by_subscription) {
        if (!hearer->live)
            return true;
    }
    return false;
}

static void take_want(struct fanout *fanout, struct subscription *subscription, uint64_t number,
                      const struct buf *names)
{
    struct hearer *hearer, *next;
    if (subscription->fanout == NULL) {
        subscription->fanout = fanout;
        TAILQ_INIT(&subscription->hears);
        if (TAILQ_EMPTY(&fanout->subscriptions))
            deadline_clear(loop_of(fanout), &fanout->again);
        TAILQ_INSERT_TAIL(&fanout->subscriptions, subscription, entry);
        fanout->part->n_hearing++;
    }
    for (hearer = TAILQ_FIRST(&subscription->hears); hearer != NULL; hearer = next) {
        next = TAILQ_NEXT(hearer, by_subscription);
        if (!buf_has_cstr(names, hearer->channel->name))
            drop_hearer(hearer);
    }
    for (const char *each = NULL; (each = buf_next_cstr(names, each)) != NULL;) {
        if (find_hearer(subscription, each) == NULL)
            add_hearer(subscription, each);
    }
    subscription->want = number;
    set_pending(subscription, has_silent(subscription));
    sync(fanout);
}

static void take_leave(struct fanout *fanout, struct subscription *subscription)
{
    struct hearer *hearer;
    while ((hearer = TAILQ_FIRST(&subscription->hears)) != NULL)
        drop_hearer(hearer);
    TAILQ_REMOVE(&fanout->subscriptions, subscription, entry);
    fanout->part->n_hearing--;
    set_pending(subscription, false);
    if (subscription->out.len > 0)
        TAILQ_REMOVE(&fanout->news, subscription, by_news);
    buf_done(&subscription->out);
    post_out(write_letter(subscription, LETTER_END, 0));
    sync(fanout);
    if (!TAILQ_EMPTY(&fanout->subscriptions))
        return;
    if (fanout->part->listener == NULL)
        free_fanout(fanout);
    else if (settings_of(fanout)->server_idle_timeout_us > 0)
        set_again(fanout, settings_of(fanout)->server_idle_timeout_us);
}

static void send_mark(struct fanout *fanout, struct subscription *subscription, uint64_t number)
{
    char mark[FANOUT_MARK_MAX];
    struct buf sql = BUF_NONE;
    if (fanout->server == NULL || subscription->want != number)
        return; /* it is told that the server was lost */
    fanout_mark_text(mark, subscription->id, number);
    buf_printf(&sql, "NOTIFY \"%s\",'%s'", fanout->marker, mark);
    buf_append_u8(&sql, '\0');
    fanout->n_marks++;
    server_send_query(fanout->server, sql.data, REPLY_SWALLOW, &replies_events, fanout, &mark_note);
    buf_done(&sql);
}

static struct pool_worker *home_of(const struct pool *pool)
{
    return pool->pools->workers[pool->entry.hash % pool->pools->n_workers];
}

static void deliver_in(struct mail *mail, struct loop *loop)
{
    struct letter *letter = (struct letter *)mail;
    struct subscription *subscription = letter->subscription;
    struct pool *pool = subscription->pool;
    struct fanout *fanout = get_fanout(part_get(home_of(pool), pool));
    if (letter->kind == LETTER_WANT)
        take_want(fanout, subscription, letter->number, &letter->bytes);
    else if (letter->kind == LETTER_MARK)
        send_mark(fanout, subscription, letter->number);
    else
        take_leave(fanout, subscription);
    buf_done(&letter->bytes);
    mem_free(letter);
}

static void post_in(struct letter *letter)
{
    letter->mail.deliver = deliver_in;
    loop_post(home_of(letter->subscription->pool)->loop, &letter->mail);
}

void fanout_want(struct subscription *subscription, uint64_t number, const struct buf *channels)
{
    struct letter *letter = write_letter(subscription, LETTER_WANT, number);
    buf_append(&letter->bytes, channels->data, channels->len);
    post_in(letter);
}

void fanout_mark(struct subscription *subscription, uint64_t number)
{
    post_in(write_letter(subscription, LETTER_MARK, number));
}

void fanout_leave(struct subscription *subscription)
{
    post_in(write_letter(subscription, LETTER_LEAVE, 0));
}
