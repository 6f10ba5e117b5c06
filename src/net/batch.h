/*
 * net/batch.h - output of one turn, gathered so that it goes out in one system call
 *
 * Slices are borrowed and must stay valid until the flush; neighbours in memory become one.
 * Copies go into a small arena of the batch.
 *
 * Threading:  on the thread of the stream's loop
 */
#ifndef NET_BATCH_H
#define NET_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct stream;

enum { BATCH_PARTS = 64, BATCH_ARENA = 16384 };

struct batch {
    struct stream *to; /* borrowed */
    int n;
    size_t used;
    bool flushed; /* since it began: it was full */
    struct iovec parts[BATCH_PARTS];
    char arena[BATCH_ARENA];
};

static inline void batch_begin(struct batch *batch, struct stream *to)
{
    batch->to = to;
    batch->n = 0;
    batch->used = 0;
    batch->flushed = false;
}

void batch_slice(struct batch *batch, const char *bytes, size_t len);
void batch_copy(struct batch *batch, const char *bytes, size_t len);
void batch_flush(struct batch *batch);

#endif
