/*
 * route/explain.h - a routing decision in words
 *
 * For EXPLAIN (ROUTE) and SHOW ROUTE: what the text is, what each node of the cluster could do for it, and
 * where it goes.
 *
 * Ownership:  lines are added to the caller's buffer, each with its NUL; see buf_next_cstr()
 * Threading:  any thread; it only reads the gauges
 */
#ifndef ROUTE_EXPLAIN_H
#define ROUTE_EXPLAIN_H

#include <stdbool.h>

#include "route/choose.h"
#include "route/reads.h"

struct buf;

struct route_question {
    const struct cluster_view *cluster; /* NULL: not known yet */
    bool splits;                        /* reads may leave the primary at all */
    bool wants_primary;                 /* the client has said so */
    struct reads_answer answer;         /* what the text is */
    struct read_need need;
};

void route_explain(const struct route_question *question, struct buf *lines);

#endif
