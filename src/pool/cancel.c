#include "pool/cancel.h"

#include "base/container.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/settings.h"
#include "net/socket.h"
#include "net/stream.h"
#include "pool/clean.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "pool/serverlog.h"
#include "proto/build.h"

enum { CANCEL_LONGEST_US = 10000000 }; /* where cancel_wait_timeout is off */

struct cancel {
    struct stream stream;       /* first: the events find us by it */
    TAILQ_ENTRY(cancel) entry;  /* in the worker's list */
    struct pool_worker *worker; /* borrowed */
    struct server *server;      /* borrowed: not freed while it counts us */
    struct loop *loop;
    uint64_t lease_no;
    struct deadline deadline;
    struct mail mail;
    struct loop *back; /* borrowed: who is told of the end, with `then`; or NULL */
    struct mail *then;
};

static void deliver_free(struct mail *mail, struct loop *loop)
{
    mem_free(CONTAINER_OF(mail, struct cancel, mail));
}

static void end(struct cancel *cancel)
{
    struct server *server = cancel->server;
    if (server == NULL)
        return;
    cancel->server = NULL;
    TAILQ_REMOVE(&cancel->worker->cancels, cancel, entry);
    deadline_clear(cancel->loop, &cancel->deadline);
    stream_close(&cancel->stream);
    cancel->mail.deliver = deliver_free;
    loop_later(cancel->loop, &cancel->mail);
    server->cancels--;
    if (cancel->then != NULL)
        loop_post(cancel->back, cancel->then);
    if (server->state == SERVER_CLOSED)
        server_free_if_unused(server);
    else
        server_cancel_ended(server); /* it may go to another thread */
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct cancel *cancel = CONTAINER_OF(deadline, struct cancel, deadline);
    /* Nobody knows whether the signal will still come: the server must not meet another client. */
    struct server *server = cancel->server;
    if (server->state == SERVER_CANCELED)
        server_close(server, "cancel_wait_timeout");
    else
        server->closing_asked = true;
    end(cancel);
}

static void on_connected(struct stream *stream)
{
    struct cancel *cancel = (struct cancel *)stream;
    struct server *server = cancel->server;
    struct buf out = BUF_NONE;
    if (!stream->connecting)
        return;
    stream->connecting = false;
    bool same = server->lease_no == cancel->lease_no &&
                (server->state == SERVER_LEASED || server->state == SERVER_CLEANING ||
                 server->state == SERVER_CLOSED); /* nobody gets a closed one any more */
    if (!same || socket_error(stream->fd) != 0) {
        end(cancel);
        return;
    }
    message_cancel(&out, server->key);
    stream_write(stream, out.data, out.len);
    buf_done(&out);
    server_log(server, LOG_DEBUG, "successfully sent cancel request");
}

static void on_readable(struct stream *stream)
{
    struct cancel *cancel = (struct cancel *)stream;
    char byte[16];
    if (stream->connecting) {
        on_connected(stream);
        return;
    }
    while (cancel->server != NULL && stream->readable) {
        if (stream_read(stream, byte, sizeof byte) < 0)
            end(cancel);
    }
}

static const struct stream_events events = {.readable = on_readable, .drained = on_connected};

bool cancel_send(struct server *server, struct loop *back, struct mail *then)
{
    const struct settings *settings = server->part->worker->settings;
    struct loop *loop = server->part->worker->loop;
    struct err err;
    bool pending = false;
    int fd = socket_connect(&server->address, settings, &pending, &err);
    if (fd < 0) {
        server_log(server, LOG_WARNING, "could not send cancel request: %s", err.message);
        return false;
    }
    int64_t most_us =
        settings->cancel_wait_timeout_us > 0 ? settings->cancel_wait_timeout_us : CANCEL_LONGEST_US;
    struct cancel *cancel = mem_new(sizeof *cancel);
    cancel->server = server;
    cancel->worker = server->part->worker;
    TAILQ_INSERT_TAIL(&cancel->worker->cancels, cancel, entry);
    cancel->loop = loop;
    cancel->lease_no = server->lease_no;
    cancel->back = back;
    cancel->then = then;
    cancel->deadline.expired = on_deadline;
    server->cancels++;
    stream_open(&cancel->stream, loop, fd, true, &events);
    deadline_set(loop, &cancel->deadline, DEADLINE_CANCEL, clock_now_us() + most_us);
    return true;
}

struct cancel_counts cancel_count(const struct part *part)
{
    struct cancel_counts counts = {0};
    const struct cancel *cancel;
    TAILQ_FOREACH (cancel, &part->worker->cancels, entry) {
        if (cancel->server->part != part)
            continue;
        counts.connections++;
        counts.sent += cancel->then != NULL && !cancel->stream.connecting;
        counts.not_sent += cancel->then != NULL && cancel->stream.connecting;
    }
    return counts;
}

void cancel_end_all(struct pool_worker *worker)
{
    while (!TAILQ_EMPTY(&worker->cancels))
        end(TAILQ_FIRST(&worker->cancels));
}

void server_cancel(struct server *server, struct loop *back, struct mail *then)
{
    /* One in flight is enough: it is for the same client. */
    bool begun = server->cancels == 0 && cancel_send(server, back, then);
    if (!begun && then != NULL)
        loop_post(back, then);
}
