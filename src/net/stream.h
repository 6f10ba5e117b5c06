/*
 * net/stream.h - a connected socket: edge-triggered, with what the kernel did not take yet
 *
 * A socket is registered once, for reading and writing, and never again: the steady state needs no
 * epoll_ctl.  `readable` remembers an edge until a short read has shown that the kernel's buffer is
 * empty, so an owner that does not want input now simply does not read, and reads later.
 *
 * Ownership:  embedded in its owner; the socket is closed by stream_close().  Output that could
 *             not be sent is owned until it is.
 * Threading:  on the thread of the loop to which it is attached
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"

struct loop;
struct stream;

struct stream_events {
    void (*readable)(struct stream *stream); /* there may be input, or its end */
    void (*drained)(struct stream *stream);  /* all output is with the kernel now */
};

struct stream {
    struct event event;
    const struct stream_events *events;
    struct buf out; /* what the kernel did not take yet */
    int fd;         /* -1 once closed */
    bool attached;
    bool connecting;  /* until the first writable edge */
    bool readable;    /* an edge was seen and the kernel's buffer not yet found empty */
    bool peer_closed; /* the peer will send no more; what it has sent may still be unread */
    bool broken;      /* output failed: nobody reads it any more */
    bool heard;       /* there was an event; for whoever looks for silent ones to clear */
    bool limited;     /* no more than `most` bytes are read */
    size_t most;
};

/* Takes over a non-blocking socket.  connecting: its connect() is under way. */
void stream_open(struct stream *stream, struct loop *loop, int fd, bool connecting,
                 const struct stream_events *events);
void stream_detach(struct stream *stream); /* before it goes to another loop */
void stream_attach(struct stream *stream, struct loop *loop);
void stream_close(struct stream *stream);

/* Bytes read; 0: none now; -1: end of input or an error. */
ssize_t stream_read(struct stream *stream, void *into, size_t size);

/* Sends now what the kernel takes, and keeps the rest. */
void stream_write(struct stream *stream, const void *bytes, size_t len);
void stream_write_all(struct stream *stream, const struct iovec *parts, int n);

/* Reads behind what `stash` keeps of earlier input: into the loop's scratch when it is empty, else
 * into the stash itself.  *data has the bytes, *len their number.  Same results as stream_read(). */
ssize_t stream_fill(struct stream *stream, struct loop *loop, struct buf *stash, char **data,
                    size_t *len);
/* Keeps what is behind the first `used` bytes of what stream_fill() gave. */
void stream_keep(struct buf *stash, const char *data, size_t len, size_t used);

/* Has the peer broken the connection?  A reset that comes together with data is not reported as an
 * end by the event library, and the short read that follows hides it: whoever waits for a silent
 * peer looks from time to time.  True: `peer_closed` and `readable` are set.  One system call. */
bool stream_look(struct stream *stream);

/* No input, and no event, until it is released. */
void stream_hold(struct stream *stream);
/* As much input as this, and then no more until it is released, held or limited again; output goes on. */
void stream_limit(struct stream *stream, struct loop *loop, size_t most);
void stream_release(struct stream *stream, struct loop *loop);

/* Asks for another `readable` after the other connections had their turn. */
void stream_yield(struct stream *stream);

static inline size_t stream_pending(const struct stream *stream)
{
    return stream->out.len;
}

#endif
