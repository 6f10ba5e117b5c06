/* A statement that will not run: it is read to its end, so that the error comes in its place. */
#include "base/err.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/client.h"
#include "session/worker.h"

static void answer(struct client *client)
{
    struct buf out = BUF_NONE;
    response_error(&out, "ERROR", client->refusal);
    message_ready(&out, TXN_IDLE);
    stream_write(&client->stream, out.data, out.len);
    buf_done(&out);
    mem_free(client->refusal);
    client->refusal = NULL;
}

/* Does PostgreSQL answer with ReadyForQuery to this message, and to nothing before it? */
static bool ends_statement(uint8_t kind, bool in_batch)
{
    return kind == FE_SYNC || (!in_batch && (kind == FE_QUERY || kind == FE_FUNCTION_CALL));
}

/* Flush, and what is left of a COPY, is ignored between statements. */
static bool begins_batch(uint8_t kind)
{
    return kind != FE_FLUSH && kind != FE_COPY_DATA && kind != FE_COPY_DONE && kind != FE_COPY_FAIL;
}

static bool header_ok(uint8_t kind, uint32_t length)
{
    return fe_kind_known(kind) && fe_length_ok(kind, length);
}

static size_t end(struct client *client, uint8_t kind, size_t at)
{
    struct err err;
    if (kind == FE_TERMINATE) {
        client_close(client, "client close request");
        return at;
    }
    err_set(&err, SQLSTATE_PROTOCOL_VIOLATION, "invalid frontend message type %d, or length", kind);
    client_fail(client, &err);
    return at;
}

/* Gives the bytes used; *over: the statement has been read. */
static size_t skip(struct client *client, const char *data, size_t len, bool *over)
{
    size_t at = 0;
    *over = false;
    while (at < len && !*over) {
        size_t left = len - at;
        if (client->remain == 0) {
            if (left < MESSAGE_HEADER)
                break;
            uint8_t kind = (uint8_t)data[at];
            uint32_t length = load_u32(data + at + 1);
            if (kind == FE_TERMINATE || !header_ok(kind, length))
                return end(client, kind, at);
            client->remain = 1 + length;
            client->last = ends_statement(kind, client->in_batch);
            client->in_batch |= begins_batch(kind);
        }
        size_t taken = left < client->remain ? left : client->remain;
        client->remain -= (uint32_t)taken;
        at += taken;
        *over = client->remain == 0 && client->last;
    }
    return at;
}

void refuse_read(struct client *client)
{
    bool from_stash = client->stash.len > 0;
    while (client->state == CLIENT_REFUSING && (from_stash || client->stream.readable)) {
        char *data = client->stash.data;
        size_t len = client->stash.len;
        bool over;
        ssize_t got = 1;
        if (!from_stash)
            got = stream_fill(&client->stream, client->worker->loop, &client->stash, &data, &len);
        from_stash = false;
        size_t used = skip(client, data, len, &over);
        if (client->state == CLIENT_CLOSED)
            return;
        stream_keep(&client->stash, data, len, used);
        if (got < 0) {
            client_close(client, "client unexpected eof");
        } else if (over) {
            answer(client);
            client->stalled = client->stash.len > 0;
            client_turn_idle(client);
        } else if (!client->stream.readable) {
            stream_look(&client->stream); /* a reset behind it makes no event of its own */
        }
    }
}

void refuse_statement(struct client *client, const struct err *err)
{
    if (client->place != NULL)
        part_leave(client->place, &client->waiter);
    client->state = CLIENT_REFUSING;
    client->stalled = false;
    client->in_batch = false;
    client->refusal = mem_dup(err, sizeof *err);
    client_set_deadline(client);
    worker_watch(client->worker);
    refuse_read(client);
}
