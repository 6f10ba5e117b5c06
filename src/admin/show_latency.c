/* SHOW LATENCY: how long clients waited for servers, and queries and transactions took. */
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/mem.h"

/* Of one database. */
struct answer {
    const char *name; /* borrowed: databases live as long as the process */
    struct latency latency;
};

static struct answer *answer_for(struct buf *answers, const char *name)
{
    struct answer *answer = (struct answer *)answers->data;
    size_t n = answers->len / sizeof *answer;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(answer[i].name, name) == 0)
            return &answer[i];
    }
    answer = (struct answer *)buf_reserve(answers, sizeof *answer);
    *answer = (struct answer){.name = name};
    answers->len += sizeof *answer;
    return answer;
}

static void add(struct latency *to, const struct latency *more)
{
    histogram_merge(&to->wait, &more->wait);
    histogram_merge(&to->query, &more->query);
    histogram_merge(&to->xact, &more->xact);
}

/* Who was served at once has waited for no time. */
static void add_unwaiting(struct latency *to, const struct part *part)
{
    uint64_t waited = part->latency != NULL ? histogram_count(&part->latency->wait) : 0;
    to->wait.counts[histogram_bucket(0)] += part->stats.server_assignments - waited;
}

/* A pool has a part for each worker and a database has many pools: each worker adds up its own. */
static void ask(struct worker *worker, struct buf *answers, const void *context)
{
    const struct part *part;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        struct answer *answer = answer_for(answers, part->pool->database->name);
        if (part->latency != NULL)
            add(&answer->latency, part->latency);
        add_unwaiting(&answer->latency, part);
    }
}

static void write_histogram(struct buf *cells, const char *database, const char *kind,
                            const struct histogram *histogram)
{
    static const unsigned quantiles[] = {5000, 9000, 9900, 9990};
    cell_text(cells, database);
    cell_text(cells, kind);
    cell_unsigned(cells, histogram_count(histogram));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        cell_unsigned(cells, histogram_quantile(histogram, quantiles[i]));
    cell_unsigned(cells, histogram->max);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct answer *)a)->name, ((const struct answer *)b)->name);
}

static void end(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct buf *cells = &request->table.cells, all = BUF_NONE;
    for (size_t i = 0; i < n_answers; i++) {
        const struct answer *answer = (const struct answer *)answers[i].data;
        for (size_t k = 0; k < answers[i].len / sizeof *answer; k++)
            add(&answer_for(&all, answer[k].name)->latency, &answer[k].latency);
    }
    struct answer *rows = (struct answer *)all.data;
    size_t n = all.len / sizeof *rows;
    if (n > 0)
        qsort(rows, n, sizeof *rows, by_name);
    for (size_t i = 0; i < n; i++) {
        write_histogram(cells, rows[i].name, "wait", &rows[i].latency.wait);
        write_histogram(cells, rows[i].name, "query", &rows[i].latency.query);
        write_histogram(cells, rows[i].name, "transaction", &rows[i].latency.xact);
    }
    buf_done(&all);
    request_done(request, "SHOW");
}

void show_latency(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask, end, request);
}
