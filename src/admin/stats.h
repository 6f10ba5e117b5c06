/*
 * admin/stats.h - totals of all workers by database, and their averages over a period
 *
 * Averages are of the last complete stats_period: rates are per second, durations per transaction
 * or query; the time that clients waited is per second, as in PgBouncer.
 *
 * Ownership:  databases are borrowed and live as long as their pools
 * Threading:  the control thread
 */
#ifndef ADMIN_STATS_H
#define ADMIN_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "net/loop.h"
#include "pool/pool.h"

struct buf;
struct control;
struct worker;

struct stats_row {
    const char *name;
    struct part_stats total;
    struct part_stats average; /* of the last period */
};

struct stats {
    struct deadline deadline;
    struct part_stats console; /* what the console itself has done */
    int64_t since_us;          /* when the period began */
    int64_t period_us;         /* as it was then */
    struct stats_row *rows;    /* owned: as they were then, by name */
    size_t n_rows;
};

void stats_start(struct control *control);
void stats_stop(struct control *control);
void stats_reload(struct control *control); /* stats_period may have changed */

/* For survey_start(): what the worker has counted. */
void stats_ask(struct worker *worker, struct buf *answer, const void *context);
/* From the answers: a row for each database, by name, with the averages of the last period.  The
 * caller frees it. */
struct stats_row *stats_merge(const struct control *control, const struct buf *answers,
                              size_t n_answers, size_t *n_rows);

#endif
