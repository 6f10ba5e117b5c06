#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"

static void flush(struct stream *stream)
{
    ssize_t sent = send(stream->fd, stream->out.data, stream->out.len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        stream->broken = true;
        buf_done(&stream->out);
    } else if (sent > 0) {
        buf_consume(&stream->out, (size_t)sent);
    }
    if (stream->out.len == 0) {
        buf_done(&stream->out);
        stream->events->drained(stream);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;
    stream->heard = true;
    if (what & EV_CLOSED)
        stream->peer_closed = true;
    if (what & (EV_READ | EV_CLOSED))
        stream->readable = true;
    if (stream->connecting && (what & (EV_WRITE | EV_CLOSED))) {
        stream->events->drained(stream);
        return;
    }
    if ((what & EV_WRITE) && stream->out.len > 0) {
        /* Whoever is told that all is out may close the stream, or give it to another thread: the
         * input gets an event of its own, which goes with the stream. */
        if (what & (EV_READ | EV_CLOSED))
            stream_yield(stream);
        flush(stream);
        return;
    }
    if (what & (EV_READ | EV_CLOSED))
        stream->events->readable(stream);
}

void stream_attach(struct stream *stream, struct loop *loop)
{
    assert(!stream->attached);
    event_assign(&stream->event, loop->base, stream->fd,
                 EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event, stream);
    event_add(&stream->event, NULL);
    stream->attached = true;
}

void stream_open(struct stream *stream, struct loop *loop, int fd, bool connecting,
                 const struct stream_events *events)
{
    *stream = (struct stream){.events = events, .fd = fd, .connecting = connecting};
    stream_attach(stream, loop);
}

void stream_detach(struct stream *stream)
{
    if (stream->attached)
        event_del(&stream->event);
    stream->attached = false;
}

void stream_close(struct stream *stream)
{
    stream_detach(stream);
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    stream->readable = false;
    buf_done(&stream->out);
}

/* How much of it may be read. */
static size_t within_limit(const struct stream *stream, size_t size)
{
    return stream->limited && stream->most < size ? stream->most : size;
}

ssize_t stream_read(struct stream *stream, void *into, size_t wanted)
{
    size_t size = within_limit(stream, wanted);
    if (size == 0) {
        stream->readable = false;
        return 0;
    }
    ssize_t got = recv(stream->fd, into, size, 0);
    if (got > 0) {
        if (stream->limited)
            stream->most -= (size_t)got;
        /* A short read has emptied the kernel's buffer: the next bytes make a new edge.  But an
         * end of input that was there already makes none. */
        if ((size_t)got < size && !stream->peer_closed)
            stream->readable = false;
        return got;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        stream->readable = errno == EINTR;
        return 0;
    }
    stream->readable = false;
    stream->peer_closed = true;
    return -1;
}

ssize_t stream_fill(struct stream *stream, struct loop *loop, struct buf *stash, char **data,
                    size_t *len)
{
    enum { STASH_STEP = 8192 };
    if (stash->len == 0) {
        ssize_t got = stream_read(stream, loop->scratch, LOOP_SCRATCH);
        *data = loop->scratch;
        *len = got > 0 ? (size_t)got : 0;
        return got;
    }
    char *into = buf_reserve(stash, STASH_STEP);
    ssize_t got = stream_read(stream, into, stash->cap - stash->len);
    stash->len += got > 0 ? (size_t)got : 0;
    *data = stash->data;
    *len = stash->len;
    return got;
}

void stream_keep(struct buf *stash, const char *data, size_t len, size_t used)
{
    if (data == stash->data)
        buf_consume(stash, used);
    else
        buf_append(stash, data + used, len - used);
    if (stash->len == 0)
        buf_done(stash);
}

void stream_write_all(struct stream *stream, const struct iovec *parts, int n)
{
    ssize_t sent = 0;
    if (stream->broken || stream->fd < 0)
        return;
    if (stream->out.len == 0) {
        if (n == 1) {
            sent = send(stream->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)n};
            sent = sendmsg(stream->fd, &message, MSG_NOSIGNAL);
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            stream->broken = true;
            return;
        }
    }
    size_t skip = sent > 0 ? (size_t)sent : 0;
    for (int i = 0; i < n; i++) {
        size_t taken = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        skip -= taken;
        buf_append(&stream->out, (char *)parts[i].iov_base + taken, parts[i].iov_len - taken);
    }
}

void stream_write(struct stream *stream, const void *bytes, size_t len)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = len};
    if (len > 0)
        stream_write_all(stream, &part, 1);
}

bool stream_look(struct stream *stream)
{
    struct pollfd look = {.fd = stream->fd};
    if (poll(&look, 1, 0) <= 0 || (look.revents & (POLLERR | POLLHUP)) == 0)
        return false;
    stream->peer_closed = true;
    stream->readable = true;
    return true;
}

void stream_hold(struct stream *stream)
{
    stream_detach(stream);
    stream->readable = false;
    stream->limited = false;
}

/* To attach a socket makes an event of what is there already. */
static void attach_again(struct stream *stream, struct loop *loop)
{
    if (stream->attached)
        stream_yield(stream);
    else if (stream->fd >= 0)
        stream_attach(stream, loop);
}

void stream_limit(struct stream *stream, struct loop *loop, size_t most)
{
    stream->limited = true;
    stream->most = most;
    if (most > 0 || !stream->attached)
        attach_again(stream, loop);
}

void stream_release(struct stream *stream, struct loop *loop)
{
    stream->limited = false;
    attach_again(stream, loop);
}

void stream_yield(struct stream *stream)
{
    event_active(&stream->event, EV_READ, 1);
    /* What has been made active runs before the loop looks at the sockets again: look now. */
    event_base_loopcontinue(event_get_base(&stream->event));
}
