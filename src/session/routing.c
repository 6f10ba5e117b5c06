#include "session/routing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/params.h"
#include "pool/server.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/response.h"
#include "route/choose.h"
#include "route/explain.h"
#include "session/client.h"
#include "session/reading.h"
#include "session/retry.h"
#include "session/state.h"
#include "session/worker.h"
#include "sql/facts.h"
#include "topology/catalog.h"
#include "topology/view.h"

bool routing_applies(const struct client *client)
{
    return client->part->splits && !client->keeps_server;
}

static struct routing *routing_get(struct client *client)
{
    if (client->routing != NULL)
        return client->routing;
    client->routing = mem_new(sizeof *client->routing);
    /* What it did while nobody looked may have been writes: its database did not split, or another process had it. */
    if (client->requested_us != client->connected_us || client->resumed)
        client->routing->write_us = clock_now_us();
    return client->routing;
}

static void count(struct client *client, enum route_count what)
{
    client->worker->routes[what]++;
}

const char *routing_count_name(enum route_count what)
{
    static const char *const names[] = {[ROUTE_PRIMARY] = "primary",
                                        [ROUTE_READ] = "other node",
                                        [ROUTE_WISH] = "wanted by the client",
                                        [ROUTE_RETRY] = "all",
                                        [ROUTE_WRITE_CAUGHT] = "writes (25006)",
                                        [ROUTE_CONFLICT] = "conflict with recovery",
                                        [ROUTE_LOST] = "connection lost"};
    return names[what];
}

const char *routing_count_kind(enum route_count what)
{
    if (what < ROUTE_WISH)
        return "lease";
    return what == ROUTE_WISH ? "no standby" : "retry";
}

/* ---- what a text is ---- */

uint64_t routing_key(const struct client *client)
{
    const struct part *part = client->part;
    if (part->catalog == NULL)
        return 0;
    uint64_t key = part->rules_hash * 31 + part->catalog->generation;
    return (key * 31 + client->worker->n_learned) | 1;
}

/* Texts that were taken for reads, and a standby could not run. */
static uint64_t *learned_place(struct worker *worker, uint64_t hash)
{
    return &worker->learned[hash % ROUTING_LEARNED];
}

static void learn(struct client *client, const char *text, size_t len)
{
    len = strnlen(text, len);
    uint64_t hash = hash_bytes(text, len);
    *learned_place(client->worker, hash) = hash;
    client->worker->n_learned++;
}

static bool is_learned(const struct client *client, const char *text, size_t len)
{
    if (client->worker->n_learned == 0)
        return false;
    uint64_t hash = hash_bytes(text, len);
    return *learned_place(client->worker, hash) == hash;
}

struct reads_answer routing_reads(struct client *client, const char *text, size_t len)
{
    const struct part *part = client->part;
    const struct sql_facts *facts = state_verdict(client, text, len);
    if (facts == NULL)
        return (struct reads_answer){.reads = READS_NO, .reason = REASON_UNPARSED};
    if (is_learned(client, text, len))
        return (struct reads_answer){.reads = READS_NO, .reason = REASON_WRITES};
    return reads_of(facts, text, len, part->rules, part->catalog);
}

/* ---- where to ---- */

/* What the client has asked for by a setting of its session; NULL: nothing. */
static const char *wish(const struct client *client, const char *name)
{
    const struct params_table *table = client->worker->proxy->pools->params;
    return params_count_more(client->params) > 0 ? params_find(table, client->params, name) : NULL;
}

/* Of its session; one that is not understood asks for the primary. */
static struct wishes wishes_of(const struct client *client)
{
    static const struct {
        const char *setting, *key;
    } names[] = {{"howdah.role", "role"}, {"howdah.max_lag", "max_lag"}};
    struct wishes wishes = {0};
    struct err err;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = wish(client, names[i].setting);
        struct slice key = {.ptr = names[i].key, .len = strlen(names[i].key)};
        struct slice text = {.ptr = value, .len = value != NULL ? strlen(value) : 0};
        if (text.len > 0 && wishes_take(&wishes, key, text, &err) != WISH_TAKEN)
            return (struct wishes){.has_role = true, .role = WISH_PRIMARY};
    }
    return wishes;
}

/* What another session has told this one; UINT64_MAX if it is not understood. */
static uint64_t token_of(const struct client *client)
{
    const char *text = wish(client, "howdah.token");
    uint32_t high, low;
    if (text == NULL || text[0] == '\0')
        return 0;
    if (sscanf(text, "%" SCNx32 "/%" SCNx32, &high, &low) != 2)
        return UINT64_MAX;
    return (uint64_t)high << 32 | low;
}

static int64_t follows_us(const struct client *client)
{
    switch (client->part->follows) {
    case FOLLOW_SESSION:
        return client->routing->write_us;
    case FOLLOW_DATABASE:
        return atomic_load(&client->part->pool->database->write_us);
    case FOLLOW_OFF:
        break;
    }
    return 0;
}

/* Of where it comes from, without its port. */
static uint64_t client_hash(const struct client *client)
{
    char text[ADDRESS_TEXT];
    const char *host = address_text(&client->address, text);
    const char *port = strrchr(host, ':');
    return hash_bytes(host, port != NULL ? (size_t)(port - host) : strlen(host));
}

/* over: of the comments of a batch. */
static struct wishes all_wishes(const struct client *client, const struct wishes *over)
{
    struct wishes wishes = {0};
    if (params_count_more(client->params) > 0)
        wishes = wishes_of(client);
    return wishes_over(&wishes, over);
}

/* The cluster's own bound is held to with hysteresis. */
static int64_t max_lag_us(const struct part *part, const struct wishes *wishes)
{
    if (wishes->has_max_lag)
        return wishes->max_lag_us;
    bool own = part->cluster != NULL && part->max_lag_us != part->cluster->max_lag_us;
    return own ? part->max_lag_us : -1;
}

static struct read_need need_of(struct client *client, const struct wishes *wishes)
{
    struct worker *worker = client->worker;
    const struct part *part = client->part;
    return (struct read_need){.now_us = clock_now_us(),
                              .write_us = follows_us(client),
                              .min_lsn = token_of(client),
                              .max_lag_us = max_lag_us(part, wishes),
                              .client_hash =
                                  part->cluster != NULL && part->cluster->balance == BY_CLIENT_HASH
                                      ? client_hash(client)
                                      : 0,
                              .random = &worker->random,
                              .turn = &worker->turn};
}

static bool wants_primary(const struct wishes *wishes)
{
    return wishes->has_role && wishes->role == WISH_PRIMARY;
}

/* A node other than the primary's, or NULL. */
static struct part *find_reader(struct client *client, const struct batch_look *look)
{
    struct part *part = client->part;
    struct wishes wishes = all_wishes(client, &look->wishes);
    if (wants_primary(&wishes)) {
        count(client, ROUTE_WISH);
        return NULL;
    }
    struct read_need need = need_of(client, &wishes);
    struct choice choice = choose_node(part->cluster, &need, NULL);
    if (choice.node < 0) {
        client->worker->unfit[choice.unfit]++;
        client->routing->unfit = choice.unfit;
        return NULL;
    }
    return choice.node != part->cluster->primary ? part_reader(part, (size_t)choice.node) : NULL;
}

static struct part *decide(struct client *client, const struct batch_look *look)
{
    struct routing *routing = client->routing;
    struct part *reader = NULL;
    routing->checked = true;
    routing->unfit = FIT;
    routing->writes = (look->kind != BATCH_READS && !look->idle) || routing->wrote;
    if (routing->to_primary)
        count(client, ROUTE_RETRY);
    else if (look->kind != BATCH_READS)
        client->worker->reasons[look->reason]++;
    else if (client->part->cluster != NULL)
        reader = find_reader(client, look);
    routing->to_primary = routing->wrote = false;
    routing->defines = look->kind == BATCH_ELSE && look->reason == REASON_DEFINES;
    routing->repeats = reader != NULL && look->repeats;
    routing->len = look->len;
    return reader != NULL ? reader : client->part;
}

/* With read_from = standby_only the primary serves no reads that do not ask for it. */
static bool is_refused(const struct client *client)
{
    const struct cluster_view *cluster = client->part->cluster;
    return cluster != NULL && cluster->read_from == READ_FROM_STANDBY_ONLY &&
           client->routing->unfit != FIT;
}

static void refuse(struct client *client)
{
    struct err err;
    err_set(&err, SQLSTATE_CANNOT_CONNECT_NOW,
            "no standby of cluster \"%s\" can serve this read: %s", client->part->cluster->name,
            unfit_name(client->routing->unfit));
    err_hint(&err, "read_from is standby_only.  Try again, or ask for the primary: SET "
                   "howdah.role = 'primary'.");
    refuse_statement(client, &err);
}

static void replace(struct buf *buf, size_t at, size_t len, const char *text)
{
    struct buf out = BUF_NONE;
    buf_append(&out, buf->data, at);
    buf_append_str(&out, text);
    buf_append(&out, buf->data + at + len, buf->len - at - len);
    buf_done(buf);
    *buf = out;
}

static void replace_own(struct client *client, const struct batch_look *look)
{
    struct buf *stash = &client->stash;
    size_t begin = 0, next = 0;
    while (next <= look->own) {
        begin = next;
        next += 1 + (size_t)load_u32(stash->data + begin + 1);
    }
    uint32_t length = load_u32(stash->data + begin + 1);
    store_u32(stash->data + begin + 1, length + (uint32_t)(strlen(look->instead) - look->own_len));
    replace(stash, look->own, look->own_len, look->instead);
}

static void explain(struct client *client, const char *text, size_t len)
{
    static const struct column column = {.name = "QUERY PLAN", .type_oid = 25, .type_len = -1};
    static const struct wishes none = {0};
    struct wishes wishes = all_wishes(client, &none);
    struct route_question question = {.cluster = client->part->cluster,
                                      .splits = true,
                                      .wants_primary = wants_primary(&wishes),
                                      .answer = routing_reads(client, text, strnlen(text, len)),
                                      .need = need_of(client, &wishes)};
    struct buf lines = BUF_NONE, out = BUF_NONE;
    route_explain(&question, &lines);
    message_row_description(&out, &column, 1);
    for (const char *each = NULL; (each = buf_next_cstr(&lines, each)) != NULL;) {
        size_t mark = message_row_begin(&out, 1);
        message_row_value(&out, each);
        message_end(&out, mark);
    }
    message_command_complete(&out, "EXPLAIN");
    message_ready(&out, TXN_IDLE);
    stream_write(&client->stream, out.data, out.len);
    buf_done(&lines);
    buf_done(&out);
}

/* Texts that are for us.  True: the batch is another one now, or there is none. */
static bool take_own(struct client *client, const struct batch_look *look)
{
    struct buf *stash = &client->stash;
    if (look->own_len > 0) {
        replace_own(client, look);
        return true;
    }
    if (look->explained == 0 || (uint8_t)stash->data[0] != FE_QUERY)
        return false;
    size_t total = 1 + (size_t)load_u32(stash->data + 1);
    explain(client, stash->data + look->explained, total - look->explained);
    buf_consume(stash, total);
    return true;
}

struct part *routing_place(struct client *client)
{
    routing_get(client);
    for (;;) {
        struct batch_look look = reading_look(client, client->stash.data, client->stash.len);
        if (take_own(client, &look))
            continue;
        if (look.kind != BATCH_INCOMPLETE) {
            struct part *place = decide(client, &look);
            client->stalled = true; /* there is input that no event tells of */
            if (!is_refused(client))
                return place;
            refuse(client);
            return NULL;
        }
        char *data = client->stash.data;
        size_t len = client->stash.len;
        if (!client->stream.readable)
            break;
        ssize_t got =
            stream_fill(&client->stream, client->worker->loop, &client->stash, &data, &len);
        stream_keep(&client->stash, data, len, 0);
        if (got < 0) {
            client_close(client, "client unexpected eof");
            return NULL;
        }
    }
    client->stalled = false;
    if (client->stash.len > 0)
        worker_watch(client->worker);
    return NULL;
}

void routing_refused(struct client *client)
{
    client->routing->to_primary = true;
    client->stalled = true;
}

void routing_granted(struct client *client)
{
    struct routing *routing = client->routing;
    struct server *server = client->server;
    routing->reading = server->part != client->part;
    routing->said = false;
    if (server->gauge == NULL)
        return;
    atomic_fetch_add_explicit(&server->gauge->outstanding, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(routing->reading ? &server->gauge->reads : &server->gauge->writes, 1,
                              memory_order_relaxed);
    count(client, routing->reading ? ROUTE_READ : ROUTE_PRIMARY);
}

void routing_released(struct client *client, struct server *server)
{
    client->routing->reading = false;
    if (server->gauge != NULL)
        atomic_fetch_sub_explicit(&server->gauge->outstanding, 1, memory_order_relaxed);
}

/* ---- while it has a server ---- */

/* These belong to what was looked at, or are none of anybody's. */
static bool begins_batch(uint8_t kind)
{
    return kind != FE_FLUSH && kind != FE_COPY_DATA && kind != FE_COPY_DONE &&
           kind != FE_COPY_FAIL && kind != FE_TERMINATE;
}

enum routing_step routing_pass(struct client *client, const char *at, size_t left)
{
    struct routing *routing = client->routing;
    const struct server *server = client->server;
    if (routing->checked || !begins_batch((uint8_t)at[0]))
        return ROUTING_PASS;
    if (!routing->reading) {
        routing->writes = routing->checked = true;
        return ROUTING_PASS;
    }
    bool answered = server->replies.count == 0 && !server->replies.open;
    if (answered && server->txn != TXN_IDLE) {
        routing->checked = true;
        return ROUTING_PASS;
    }
    struct batch_look look = reading_look(client, at, left);
    if (look.kind == BATCH_INCOMPLETE)
        return ROUTING_MORE;
    struct wishes wishes = all_wishes(client, &look.wishes);
    if (look.kind == BATCH_ELSE || wants_primary(&wishes))
        return ROUTING_STALL;
    routing->checked = true;
    routing->repeats = false;
    return ROUTING_PASS;
}

void routing_batch_sent(struct client *client)
{
    client->routing->checked = false;
}

void routing_sent(struct client *client, const char *input, size_t len)
{
    struct routing *routing = client->routing;
    bool keep = routing->repeats && len == routing->len && routing->reading;
    buf_clear(&client->server->again);
    routing->repeats = keep;
    if (!keep)
        return;
    buf_append(&client->server->again, input, len);
    client->server->again_replies = 0; /* not by retry.c */
}

static void note_write(struct client *client, int64_t now_us)
{
    _Atomic int64_t *write_us = &client->part->pool->database->write_us;
    int64_t before_us = atomic_load(write_us);
    client->routing->write_us = now_us;
    while (client->part->follows == FOLLOW_DATABASE && before_us < now_us &&
           !atomic_compare_exchange_weak(write_us, &before_us, now_us))
        ;
}

void routing_answered(struct client *client, int64_t now_us)
{
    struct routing *routing = client->routing;
    struct node_gauge *gauge = client->server->gauge;
    routing->repeats = false;
    if (routing->defines)
        part_renew_catalog(client->part);
    routing->defines = false;
    if (routing->writes)
        note_write(client, now_us);
    else if (gauge != NULL && client->query_us != 0)
        gauge_measure(gauge, now_us - client->query_us, now_us);
}

void routing_say(struct client *client, struct batch *batch)
{
    struct routing *routing = client->routing;
    if (routing->unsays)
        batch_begin(batch, batch->to);
    routing->unsays = false;
    routing->said |= batch->n > 0 || batch->flushed;
}

/* ---- what a standby cannot do ---- */

/* Can it all be done again, as if it had not been tried? */
static bool may_repeat(const struct client *client)
{
    const struct routing *routing = client->routing;
    return routing != NULL && routing->reading && routing->repeats && !routing->said &&
           !client->worker->to_client.flushed && client->server->again.len > 0 &&
           client->server->txn == TXN_IDLE && !client->goodbye;
}

static bool is_class(const char *sqlstate, const char *begin)
{
    return strncmp(sqlstate, begin, strlen(begin)) == 0;
}

/* No standby can be serializable; the text of the error may be translated. */
static bool is_serializable(const char *sqlstate, const char *routine)
{
    return strcmp(sqlstate, "0A000") == 0 && routine != NULL &&
           strcmp(routine, "GetSerializableTransactionSnapshot") == 0;
}

bool routing_take_error(struct client *client, const char *body, size_t len)
{
    const char *sqlstate = response_field(body, len, 'C');
    const char *routine = response_field(body, len, 'R');
    if (!may_repeat(client) || sqlstate == NULL)
        return false;
    if (strcmp(sqlstate, "25006") == 0) {
        count(client, ROUTE_WRITE_CAUGHT);
        reading_for_each_text(client, client->server->again.data, client->server->again.len, learn);
        client->routing->wrote = true;
    } else if (is_class(sqlstate, "40001") || is_class(sqlstate, "40P01")) {
        count(client, ROUTE_CONFLICT);
    } else if (!is_serializable(sqlstate, routine) && !is_class(sqlstate, "57P0") &&
               !is_class(sqlstate, "08")) {
        return false;
    }
    client->retries = client->routing->to_primary = client->routing->unsays = true;
    return true;
}

bool routing_take_loss(struct client *client)
{
    if (!may_repeat(client))
        return false;
    count(client, ROUTE_LOST);
    client->routing->to_primary = true;
    retry_begin(client);
    return true;
}
