/*
 * topology/gauge.h - what changes often about a node, shared by everybody who looks at it
 *
 * The topology writes how fresh the node is; who leases servers and measures them counts here too, and
 * who chooses reads it all.  Each number stands for itself: nothing is promised about two of them.
 * Freshness comes this way only, without mail: a view (topology/view.h) stays the same meanwhile.
 *
 * Times are on clock_now_us()'s clock.
 *
 * Ownership:  counted references, held by views and by the topology
 * Threading:  any thread
 */
#ifndef TOPOLOGY_GAUGE_H
#define TOPOLOGY_GAUGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Bits of node_gauge.behind. */
enum { BEHIND_TIME = 1, BEHIND_BYTES = 2 };

struct node_gauge {
    atomic_int refs;

    /* Written by the topology. */
    _Atomic int64_t
        fresh_us; /* it shows all that was committed on the primary before; 0: not known */
    _Atomic uint64_t replay_lsn; /* of the last sample */
    atomic_int behind;           /* over the cluster's max_lag, max_lag_bytes; with hysteresis */
    _Atomic int64_t back_us;     /* since when it has been usable again: slow start; 0: always */

    /* Written by who leases, opens and measures servers. */
    atomic_int outstanding;         /* leases by clients */
    _Atomic int64_t latency_us;     /* peak EWMA of the first answer; 0: none was measured yet */
    _Atomic int64_t latency_at_us;  /* when that was measured last */
    _Atomic uint64_t reads, writes; /* routed there */

    /* Ejection: see gauge_failed(). */
    atomic_int failures;              /* in a row */
    _Atomic int64_t ejected_until_us; /* 0: it is not ejected */
    atomic_int ejections;             /* all in all */
    atomic_int streak;                /* those that came soon after another */
    atomic_bool ejected_by_hand;      /* EJECT, until ADMIT */
};

struct node_gauge *gauge_new(void);
struct node_gauge *gauge_ref(struct node_gauge *gauge);
void gauge_unref(struct node_gauge *gauge); /* accepts NULL */

/*
 * A connection of clients' could not be opened, or broke: three in a row eject the node, for 5 seconds, and
 * longer (up to a minute) the more often that happens.  Never for errors of a statement or a full pool.
 * The probe lets it in again, when the time is over and it has answered; then it starts slowly.
 */
void gauge_failed(struct node_gauge *gauge, int64_t now_us);
/* A server of it has logged in or has answered. */
static inline void gauge_succeeded(struct node_gauge *gauge)
{
    if (atomic_load_explicit(&gauge->failures, memory_order_relaxed) != 0)
        atomic_store_explicit(&gauge->failures, 0, memory_order_relaxed);
}
/* The probe has had an answer.  True: the node was let in again. */
bool gauge_answered(struct node_gauge *gauge, int64_t now_us);

/* Ends an ejection at once. */
void gauge_admit(struct node_gauge *gauge, int64_t now_us);

/* The first answer of a server took this long: the average jumps up to it, and comes down in time. */
void gauge_measure(struct node_gauge *gauge, int64_t latency_us, int64_t now_us);
/* As of now: while nothing is measured it goes down to 0, so that a slow node is tried again. */
int64_t gauge_latency_us(const struct node_gauge *gauge, int64_t now_us);

#endif
