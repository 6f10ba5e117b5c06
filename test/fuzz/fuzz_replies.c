/* Any order of requests and replies: no crash, and every note handed back exactly once. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/replies.h"

enum { NOTES = 4096 };

static int out[NOTES];

static void on_fake(void *context, const struct reply *reply)
{
}

static void on_settled(void *context, const struct reply *reply, enum reply_outcome outcome)
{
    int *note = reply->note;
    assert(*note == 1);
    *note = 0;
}

static const struct replies_events events = {on_fake, on_settled};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replies replies = {0};
    size_t used = 0;
    memset(out, 0, sizeof out);
    for (size_t i = 0; i + 1 < size && used < NOTES; i += 2) {
        if (data[i] & 0x80) {
            int *note = &out[used++];
            *note = 1;
            if (!replies_expect(&replies, &events, NULL, data[i] % 9, (data[i] >> 4) % 5, note))
                *note = 0;
            if (replies.copy_both)
                *note = 0;
        } else {
            if (replies_take(&replies, &events, NULL, data[i + 1]) == VERDICT_BROKEN)
                break;
            replies_advance(&replies, &events, NULL);
        }
    }
    replies_abandon(&replies, &events, NULL);
    replies_done(&replies);
    return 0;
}
