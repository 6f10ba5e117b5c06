#include "net/batch.h"

#include <string.h>

#include "net/stream.h"

void batch_flush(struct batch *batch)
{
    batch->flushed |= batch->n > 0;
    if (batch->n > 0)
        stream_write_all(batch->to, batch->parts, batch->n);
    batch->n = 0;
    batch->used = 0;
}

void batch_slice(struct batch *batch, const char *bytes, size_t len)
{
    struct iovec *last = batch->n > 0 ? &batch->parts[batch->n - 1] : NULL;
    if (len == 0)
        return;
    if (last != NULL && (const char *)last->iov_base + last->iov_len == bytes) {
        last->iov_len += len;
        return;
    }
    if (batch->n == BATCH_PARTS)
        batch_flush(batch);
    batch->parts[batch->n++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = len};
}

void batch_copy(struct batch *batch, const char *bytes, size_t len)
{
    if (BATCH_ARENA - batch->used < len || batch->n == BATCH_PARTS)
        batch_flush(batch);
    if (len > BATCH_ARENA) { /* too large to keep: it goes out now, behind what was before */
        batch->flushed = true;
        stream_write(batch->to, bytes, len);
        return;
    }
    char *copy = batch->arena + batch->used;
    memcpy(copy, bytes, len);
    batch->used += len;
    batch_slice(batch, copy, len);
}
