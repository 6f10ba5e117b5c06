#include "topology/freshness.h"

#include <string.h>

#include "topology/gauge.h"

enum {
    LONG_HEADER = 40, /* XLogLongPageHeaderData, at the beginning of a file of WAL */
    SHORT_HEADER = 24 /* XLogPageHeaderData */
};

void freshness_reset(struct freshness *freshness)
{
    freshness->n = 0;
}

/* The one whose loss makes least of a difference: the gap that it leaves, for its age. */
static size_t least_useful(const struct freshness *freshness, int64_t now_us)
{
    size_t found = 1;
    double least = 0;
    for (size_t i = 1; i + 1 < freshness->n; i++) {
        const struct wal_mark *mark = &freshness->marks[i];
        double gap =
            (double)(mark[1].asked_us - mark[-1].asked_us) / (double)(now_us - mark[0].asked_us);
        if (i == 1 || gap < least) {
            found = i;
            least = gap;
        }
    }
    return found;
}

static void make_room(struct freshness *freshness, int64_t now_us)
{
    size_t at = least_useful(freshness, now_us);
    freshness->n--;
    memmove(&freshness->marks[at], &freshness->marks[at + 1],
            (freshness->n - at) * sizeof *freshness->marks);
}

void freshness_add(struct freshness *freshness, const struct wal_mark *mark)
{
    const struct wal_mark *last = freshness->n > 0 ? &freshness->marks[freshness->n - 1] : NULL;
    if (last != NULL && mark->asked_us <= last->asked_us)
        return;
    /* A crash has taken what was not flushed, and new WAL takes its place. */
    if (last != NULL && (mark->insert_lsn < last->insert_lsn || mark->flush_lsn < last->flush_lsn))
        freshness_reset(freshness);
    if (freshness->n == FRESHNESS_MARKS)
        make_room(freshness, mark->asked_us);
    freshness->marks[freshness->n++] = *mark;
}

int64_t freshness_of(const struct freshness *freshness, uint64_t replay_lsn)
{
    int64_t fresh_us = 0;
    for (size_t i = freshness->n; i-- > 0;) {
        const struct wal_mark *mark = &freshness->marks[i];
        if (mark->insert_lsn <= replay_lsn) /* older ones can say nothing better */
            return mark->asked_us > fresh_us ? mark->asked_us : fresh_us;
        if (mark->flush_lsn <= replay_lsn && mark->asked_us - mark->delay_us > fresh_us)
            fresh_us = mark->asked_us - mark->delay_us;
    }
    return fresh_us;
}

uint64_t wal_position(uint64_t lsn, uint32_t offset, uint32_t block_size)
{
    if (offset == LONG_HEADER)
        return lsn - LONG_HEADER;
    if (offset > block_size && offset % block_size == SHORT_HEADER)
        return lsn - SHORT_HEADER;
    return lsn;
}

static void judge_one(int *behind, int bit, int *good, int64_t lag, int64_t bound, bool sampled)
{
    if (bound <= 0 || lag > bound) {
        *good = 0;
        *behind = bound <= 0 ? *behind & ~bit : *behind | bit;
        return;
    }
    if (!(*behind & bit) || lag < 0)
        return;
    if (lag >= bound - bound / 4)
        *good = 0;
    else if (sampled && ++*good >= 2)
        *behind &= ~bit;
}

void lag_judge(struct lag_judge *judge, const struct lag *lag, const struct lag *bounds,
               bool sampled)
{
    judge_one(&judge->behind, BEHIND_TIME, &judge->good_times, lag->us, bounds->us, sampled);
    judge_one(&judge->behind, BEHIND_BYTES, &judge->good_bytes, lag->bytes, bounds->bytes, sampled);
}
