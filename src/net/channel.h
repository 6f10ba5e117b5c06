/*
 * net/channel.h - records between two processes of ours, with a file descriptor each if need be
 *
 * A record is a kind, a flag that a descriptor comes with it, the length of its payload, and the
 * payload.  The descriptor travels with the first byte of its record (SCM_RIGHTS), so it is there
 * when the record is.  What the payload means is somebody else's; the reader trusts nothing.
 *
 * Source:     unix(7), SCM_RIGHTS
 * Ownership:  the socket is the channel's; a descriptor that is sent stays its owner's, who keeps it
 *             open until it has been sent; one that is received is the caller's
 * Threading:  one thread at a time
 * Errors:     none are told: a channel that has failed can only be closed
 */
#ifndef NET_CHANNEL_H
#define NET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/reader.h"

enum { CHANNEL_FDS = 4, CHANNEL_RECORD_MAX = 256 << 20 };

struct channel_record {
    uint8_t kind;
    int fd;               /* the caller's; -1: none came with it */
    struct slice payload; /* until the next channel_fill() */
};

struct channel {
    int fd;            /* owned; -1 once closed */
    bool broken;       /* more descriptors have come than any record can have */
    size_t record_max; /* longer payloads are refused */
    struct buf in;
    size_t taken;         /* bytes of `in` that were worked off */
    int fds[CHANNEL_FDS]; /* owned: have come, and their record has not been taken */
    unsigned n_fds;
    TAILQ_HEAD(channel_queue, channel_out) out;
};

void channel_init(struct channel *channel, int fd); /* a non-blocking unix stream socket */
void channel_close(struct channel *channel);        /* what was not sent is dropped */

/* Reads what is there.  False: the other end is gone; what it said before that may still be there. */
bool channel_fill(struct channel *channel);

enum channel_step {
    CHANNEL_RECORD, /* *record is filled in */
    CHANNEL_MORE,   /* none is complete */
    CHANNEL_BROKEN,
};
enum channel_step channel_next(struct channel *channel, struct channel_record *record);

/* Puts a record behind those that wait to be sent; payload is taken over.  fd: -1 for none. */
void channel_put(struct channel *channel, uint8_t kind, struct buf *payload, int fd);
bool channel_flush(struct channel *channel); /* sends what the kernel takes; false: it is gone */

static inline bool channel_has_output(const struct channel *channel)
{
    return !TAILQ_EMPTY(&channel->out);
}

#endif
