/*
 * topology/freshness.h - until when a standby shows all that was committed
 *
 * Of each answer of the primary a mark is kept: when it was asked, and how far its WAL was then.  All that
 * was acknowledged before the question stands before that position, so a standby that has replayed up to it
 * shows it all.  No clock of another machine takes part, and nothing has to be written for it: an idle
 * primary's marks are all at one place.  A standby whose replay stands still, for whatever reason, stays at
 * an old mark, and the lag, which is now minus that time, grows.
 *
 * WAL that was inserted but not flushed does not reach standbys, and if nobody commits (reads prune pages,
 * for instance) it may stay so for many seconds.  Therefore a mark has two positions.  What was flushed when
 * the primary was asked has all synchronous commits, and those with synchronous_commit = off that are older
 * than three times wal_writer_delay, as PostgreSQL promises: there the mark counts as that much older.
 *
 * Marks are of one primary on one timeline: then all begins anew, as it does if positions go back.  There is
 * room for some; the more time has passed, the fewer of those are kept.  A mark that is gone makes a standby
 * seem less fresh, never fresher.
 *
 * Threading:  none; all is in the arguments
 */
#ifndef TOPOLOGY_FRESHNESS_H
#define TOPOLOGY_FRESHNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRESHNESS_MARKS = 128 };

struct wal_mark {
    int64_t asked_us;    /* before the question was sent */
    int64_t delay_us;    /* three times wal_writer_delay */
    uint64_t insert_lsn; /* see wal_position() */
    uint64_t flush_lsn;
};

struct freshness {
    struct wal_mark marks[FRESHNESS_MARKS]; /* oldest first */
    size_t n;
};

void freshness_reset(struct freshness *freshness);
/* Marks come in the order of their questions; others are ignored. */
void freshness_add(struct freshness *freshness, const struct wal_mark *mark);
/* A standby that has replayed this shows all that was committed before; 0: not known. */
int64_t freshness_of(const struct freshness *freshness, uint64_t replay_lsn);

/* The position of a primary as a standby would tell it that has replayed all of that.  An insert position
 * stands behind the header of its page, even if nothing else is there yet; the end of the last record, which
 * a standby tells, before it.  offset: in its file of WAL. */
uint64_t wal_position(uint64_t lsn, uint32_t offset, uint32_t block_size);

/* Is a standby behind?  In as soon as it is over a bound, out after two samples of its own at less than
 * three quarters. */
struct lag {
    int64_t us;    /* -1: not known */
    int64_t bytes; /* the same */
};

struct lag_judge {
    int behind;                 /* BEHIND_TIME, BEHIND_BYTES of topology/gauge.h */
    int good_times, good_bytes; /* samples in a row */
};

/* bounds: 0 is none.  sampled: the standby has answered. */
void lag_judge(struct lag_judge *judge, const struct lag *lag, const struct lag *bounds,
               bool sampled);

#endif
