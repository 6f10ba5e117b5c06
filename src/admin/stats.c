#include "admin/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/survey.h"
#include "base/container.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/settings.h"

/* What a worker answers: one for each of its parts. */
struct answer {
    const char *name; /* borrowed: databases live as long as the process */
    struct part_stats stats;
};

enum { COUNTERS = sizeof(struct part_stats) / sizeof(uint64_t) };

void stats_ask(struct worker *worker, struct buf *out, const void *context)
{
    struct part *part;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        struct answer answer = {.name = part->pool->database->name, .stats = part->stats};
        buf_append(out, &answer, sizeof answer);
    }
    for (size_t i = 0; i < worker->pool.n_retired; i++) {
        const struct retired_stats *retired = &worker->pool.retired[i];
        struct answer answer = {.name = retired->database->name, .stats = retired->stats};
        buf_append(out, &answer, sizeof answer);
    }
}

static struct stats_row *find(struct stats_row *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

static void add_row(struct stats_row **rows, size_t *n, const char *name,
                    const struct part_stats *stats)
{
    struct stats_row *row = find(*rows, *n, name);
    if (row == NULL) {
        *rows = mem_resize(*rows, (*n + 1) * sizeof **rows);
        row = &(*rows)[(*n)++];
        *row = (struct stats_row){.name = name};
    }
    part_stats_add(&row->total, stats);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct stats_row *)a)->name, ((const struct stats_row *)b)->name);
}

struct stats_row *stats_merge(const struct control *control, const struct buf *answers,
                              size_t n_answers, size_t *n_rows)
{
    struct stats_row *rows = NULL;
    *n_rows = 0;
    add_row(&rows, n_rows, "pgbouncer", &control->stats.console);
    for (size_t i = 0; i < n_answers; i++) {
        for (size_t at = 0; at < answers[i].len; at += sizeof(struct answer)) {
            struct answer answer;
            memcpy(&answer, answers[i].data + at, sizeof answer);
            add_row(&rows, n_rows, answer.name, &answer.stats);
        }
    }
    qsort(rows, *n_rows, sizeof *rows, by_name);
    for (size_t i = 0; i < *n_rows; i++) {
        const struct stats_row *old =
            find(control->stats.rows, control->stats.n_rows, rows[i].name);
        if (old != NULL)
            rows[i].average = old->average;
    }
    return rows;
}

static uint64_t per(uint64_t amount, uint64_t count)
{
    return count > 0 ? amount / count : 0;
}

/* All is by second, but for how long a transaction or query takes. */
static struct part_stats average(const struct part_stats *now, const struct part_stats *before,
                                 int64_t period_us)
{
    struct part_stats change = {0}, result = {0};
    const uint64_t *a = (const uint64_t *)now, *b = (const uint64_t *)before;
    uint64_t *d = (uint64_t *)&change, *r = (uint64_t *)&result;
    for (size_t i = 0; i < COUNTERS; i++) {
        d[i] = a[i] - b[i];
        r[i] = period_us > 0 ? d[i] * 1000000 / (uint64_t)period_us : 0;
    }
    result.xact_us = per(change.xact_us, change.xacts);
    result.query_us = per(change.query_us, change.queries);
    return result;
}

/* To the log, and to whoever asks the service manager. */
static void tell_period(const struct control *control, const struct part_stats *a)
{
    char line[512];
    snprintf(line, sizeof line,
             "stats: %llu xacts/s, %llu queries/s, %llu client parses/s, %llu server parses/s, "
             "%llu binds/s, %llu client logins/s, in %llu B/s, out %llu B/s, xact %llu us, "
             "query %llu us, wait %llu us",
             (unsigned long long)a->xacts, (unsigned long long)a->queries,
             (unsigned long long)a->client_parses, (unsigned long long)a->server_parses,
             (unsigned long long)a->binds, (unsigned long long)a->client_logins,
             (unsigned long long)a->received, (unsigned long long)a->sent,
             (unsigned long long)a->xact_us, (unsigned long long)a->query_us,
             (unsigned long long)a->wait_us);
    if (control->settings->log_stats)
        log_info("%s", line);
    supervisor_status(control, line);
}

static void end_period(void *context, struct buf *answers, size_t n_answers)
{
    struct control *control = context;
    struct stats *stats = &control->stats;
    struct part_stats all_now = {0}, all_before = {0}, all;
    int64_t now_us = clock_now_us(), period_us = now_us - stats->since_us;
    size_t n;
    struct stats_row *rows = stats_merge(control, answers, n_answers, &n);
    for (size_t i = 0; i < n; i++) {
        static const struct part_stats none;
        const struct stats_row *old = find(stats->rows, stats->n_rows, rows[i].name);
        const struct part_stats *before = old != NULL ? &old->total : &none;
        rows[i].average = average(&rows[i].total, before, period_us);
        part_stats_add(&all_now, &rows[i].total);
        part_stats_add(&all_before, before);
    }
    mem_free(stats->rows);
    stats->rows = rows;
    stats->n_rows = n;
    stats->since_us = now_us;
    all = average(&all_now, &all_before, period_us);
    tell_period(control, &all);
}

static void on_period(struct deadline *deadline, struct loop *loop)
{
    struct control *control = CONTAINER_OF(deadline, struct control, stats.deadline);
    survey_start(control->proxy, loop, stats_ask, end_period, control);
    deadline_set(loop, deadline, DEADLINE_OTHER, clock_now_us() + control->stats.period_us);
}

void stats_start(struct control *control)
{
    control->stats.deadline.expired = on_period;
    control->stats.since_us = clock_now_us();
    control->stats.period_us = 0;
    stats_reload(control);
}

void stats_reload(struct control *control)
{
    struct stats *stats = &control->stats;
    if (stats->period_us == control->settings->stats_period_us)
        return;
    stats->period_us = control->settings->stats_period_us;
    deadline_set(control->loop, &stats->deadline, DEADLINE_OTHER,
                 stats->since_us + stats->period_us);
}

void stats_stop(struct control *control)
{
    deadline_clear(control->loop, &control->stats.deadline);
    mem_free(control->stats.rows);
    control->stats.rows = NULL;
    control->stats.n_rows = 0;
}
