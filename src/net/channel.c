#include "net/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { HEADER = 6, READ_STEP = 65536 };

struct channel_out {
    TAILQ_ENTRY(channel_out) entry;
    struct buf bytes; /* owned: header and payload */
    size_t sent;
    int fd; /* borrowed, or -1 */
};

void channel_init(struct channel *channel, int fd)
{
    *channel = (struct channel){.fd = fd, .record_max = CHANNEL_RECORD_MAX};
    TAILQ_INIT(&channel->out);
}

/* There may have been keys in it. */
static void wipe(struct buf *buf)
{
    if (buf->data != NULL)
        mem_wipe(buf->data, buf->cap);
    buf_done(buf);
}

static void drop_first(struct channel *channel)
{
    struct channel_out *out = TAILQ_FIRST(&channel->out);
    TAILQ_REMOVE(&channel->out, out, entry);
    wipe(&out->bytes);
    mem_free(out);
}

void channel_close(struct channel *channel)
{
    if (channel->fd < 0)
        return;
    close(channel->fd);
    channel->fd = -1;
    for (unsigned i = 0; i < channel->n_fds; i++)
        close(channel->fds[i]);
    channel->n_fds = 0;
    while (channel_has_output(channel))
        drop_first(channel);
    wipe(&channel->in);
}

/* ---- input ---- */

union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
};

/* False: more than we have room for. */
static bool keep_fds(struct channel *channel, const int *fds, size_t n)
{
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, fds + i, sizeof fd);
        if (channel->n_fds < CHANNEL_FDS) {
            channel->fds[channel->n_fds++] = fd;
        } else {
            close(fd);
            good = false;
        }
    }
    return good;
}

static bool take_control(struct channel *channel, struct msghdr *message)
{
    bool good = (message->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        good = keep_fds(channel, (const int *)CMSG_DATA(at), n) && good;
    }
    return good;
}

bool channel_fill(struct channel *channel)
{
    union control control;
    buf_consume(&channel->in, channel->taken);
    channel->taken = 0;
    struct iovec part = {.iov_base = buf_reserve(&channel->in, READ_STEP), .iov_len = READ_STEP};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    channel->broken |= !take_control(channel, &message);
    channel->in.len += (size_t)got;
    return got > 0;
}

static int take_fd(struct channel *channel)
{
    int fd = channel->fds[0];
    channel->n_fds--;
    memmove(channel->fds, channel->fds + 1, channel->n_fds * sizeof fd);
    return fd;
}

enum channel_step channel_next(struct channel *channel, struct channel_record *record)
{
    size_t left = channel->in.len - channel->taken;
    const char *at = channel->in.data + channel->taken;
    if (channel->broken)
        return CHANNEL_BROKEN;
    if (left < HEADER)
        return CHANNEL_MORE;
    uint8_t has_fd = (uint8_t)at[1];
    size_t len = load_u32(at + 2);
    if (has_fd > 1 || len > channel->record_max || (has_fd == 1 && channel->n_fds == 0))
        return CHANNEL_BROKEN;
    if (left - HEADER < len)
        return CHANNEL_MORE;
    record->kind = (uint8_t)at[0];
    record->fd = has_fd == 1 ? take_fd(channel) : -1;
    record->payload = (struct slice){.ptr = at + HEADER, .len = len};
    channel->taken += HEADER + len;
    return CHANNEL_RECORD;
}

/* ---- output ---- */

void channel_put(struct channel *channel, uint8_t kind, struct buf *payload, int fd)
{
    struct channel_out *out = mem_new(sizeof *out);
    out->fd = fd;
    buf_append_u8(&out->bytes, kind);
    buf_append_u8(&out->bytes, fd >= 0);
    buf_append_u32(&out->bytes, (uint32_t)payload->len);
    buf_append(&out->bytes, payload->data, payload->len);
    wipe(payload);
    TAILQ_INSERT_TAIL(&channel->out, out, entry);
}

static ssize_t send_some(const struct channel *channel, const struct channel_out *out)
{
    union control control = {0};
    struct iovec part = {.iov_base = out->bytes.data + out->sent,
                         .iov_len = out->bytes.len - out->sent};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (out->fd >= 0 && out->sent == 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof out->fd);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof out->fd);
        memcpy(CMSG_DATA(header), &out->fd, sizeof out->fd);
    }
    return sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool channel_flush(struct channel *channel)
{
    struct channel_out *out;
    while ((out = TAILQ_FIRST(&channel->out)) != NULL) {
        ssize_t sent = send_some(channel, out);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        out->sent += (size_t)sent;
        if (out->sent == out->bytes.len)
            drop_first(channel);
    }
    return true;
}
