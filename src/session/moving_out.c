/* Clients that leave. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/channel.h"
#include "pool/params.h"
#include "pool/pool.h"
#include "pool/statements.h"
#include "proto/startup.h"
#include "session/client.h"
#include "session/handover.h"
#include "session/listen.h"
#include "session/moving.h"
#include "session/names.h"
#include "session/traces.h"
#include "session/worker.h"

/* ---- the record ---- */

static void add_params(const struct client *client, const struct params *params, struct buf *out)
{
    const struct params_table *table = client->worker->proxy->pools->params;
    if (params == NULL)
        return;
    for (size_t i = 0; i < params_count(table); i++) {
        const char *value = params_get(params, i);
        if (value != NULL)
            handover_add_param(out, params_name(table, i), value);
    }
    for (size_t i = 0; i < params_count_more(params); i++)
        handover_add_param(out, params_more_name(params, i), params_more_value(params, i));
}

static void add_statements(const struct client *client, struct buf *out)
{
    const struct statement *statement;
    const char *name;
    uint32_t at = 0;
    while (names_next(client, &at, &name, &statement))
        handover_add_statement(out, name, statement->body, statement->len);
}

static struct slice slice_of(const struct buf *buf)
{
    return (struct slice){.ptr = buf->data, .len = buf->len};
}

static void describe(const struct client *client, struct buf *record)
{
    struct buf params = BUF_NONE, wishes = BUF_NONE, statements = BUF_NONE;
    add_params(client, client->params, &params);
    add_params(client, client->wishes, &wishes);
    add_statements(client, &statements);
    struct handover_client all = {
        .database = client->part->pool->database->name,
        .user = client->user,
        .age_us = (uint64_t)(clock_now_us() - client->connected_us),
        .address = client->address,
        .input = slice_of(&client->stash),
        .output = slice_of(&client->stream.out),
        .params = slice_of(&params),
        .wishes = slice_of(&wishes),
        .statements = slice_of(&statements),
    };
    memcpy(all.key, client->key, sizeof all.key);
    if (client->unnamed != NULL)
        all.unnamed = (struct slice){.ptr = client->unnamed->body, .len = client->unnamed->len};
    handover_write_client(record, &all);
    buf_done(&params);
    buf_done(&wishes);
    buf_done(&statements);
}

/* ---- leaving ---- */

static bool may_move(const struct client *client)
{
    return (client->state == CLIENT_IDLE || client->state == CLIENT_WAITING) &&
           client->server == NULL && client->login == NULL && !client->keeps_server &&
           client->subscriber == NULL && !client->stream.peer_closed && !client->stream.broken;
}

static void send_away(struct client *client, struct buf *record)
{
    struct worker *worker = client->worker;
    struct client_move *move = mem_new(sizeof *move);
    if (client->place != NULL)
        part_leave(client->place, &client->waiter);
    client->state = CLIENT_MOVING;
    stream_detach(&client->stream);
    deadline_clear(worker->loop, &client->deadline);
    move->worker = worker;
    move->client = client;
    move->fd = client->stream.fd;
    move->record = *record;
    client->move = move;
    worker->proxy->take_move(worker->proxy->console_context, move);
}

bool moving_try(struct client *client)
{
    struct buf record = BUF_NONE;
    if (!may_move(client))
        return false;
    describe(client, &record);
    if (record.len > CHANNEL_RECORD_MAX) {
        buf_done(&record);
        return false;
    }
    send_away(client, &record);
    return true;
}

static void count(const struct client *client, struct moving_rest *rest)
{
    if (client->login != NULL || client->part == NULL)
        rest->login++;
    else if (client->replication != STARTUP_NO_REPLICATION)
        rest->replication++;
    else if (client_in_session_mode(client) || client->subscriber != NULL ||
             traces_pin(client->traces))
        rest->session++;
    else
        rest->busy++;
}

void moving_begin(struct worker *worker, struct moving_rest *rest)
{
    struct client *client, *next;
    worker->moving = true;
    listen_pause(worker, true);
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        if (!moving_try(client))
            count(client, rest);
    }
    pool_worker_part(&worker->pool);
}

void moving_stop(struct worker *worker, bool back)
{
    worker->moving = false;
    if (!back)
        return;
    worker->pool.parting = false;
    listen_pause(worker, false);
}

/* ---- the answer ---- */

static void come_back(struct client *client)
{
    client->state = CLIENT_IDLE;
    stream_attach(&client->stream, client->worker->loop);
    client->stalled =
        client->stash.len > 0; /* what was input for a waiting client is input again */
    client_turn_idle(client);
}

static void deliver_end(struct mail *mail, struct loop *loop)
{
    struct client_move *move = (struct client_move *)mail;
    struct client *client = move->client;
    bool taken = move->taken;
    mem_free(move);
    if (client == NULL)
        return;
    client->move = NULL;
    if (taken)
        client_forget(client);
    else
        come_back(client);
}

void moving_end(struct client_move *move, bool taken)
{
    buf_done(&move->record);
    move->taken = taken;
    move->mail.deliver = deliver_end;
    loop_post(move->worker->loop, &move->mail);
}

void moving_end_all(struct worker *worker)
{
    struct client *client, *next;
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        if (client->state != CLIENT_MOVING)
            continue;
        client->move->client = NULL;
        client_forget(client);
    }
}
