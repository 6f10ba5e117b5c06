/* SHOW WAITERS: the clients that wait for a server, in the order in which they began to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/limits.h"
#include "base/mem.h"
#include "pool/params.h"
#include "session/client.h"

/* What is read on the client's thread and written on ours. */
struct waiting {
    const struct pool *pool; /* borrowed: pools live as long as the process */
    int64_t since_us;
    uint64_t id;
    struct address address;
    const char *what; /* constant */
    char user[LIMIT_NAME + 1];
    char application_name[128]; /* cut */
};

static bool is_paused(const struct pool *pool)
{
    return atomic_load(&pool->database->paused) != PAUSE_NONE ||
           atomic_load(&pool->pools->paused) != PAUSE_NONE;
}

static const char *what_for(const struct pool *pool, int64_t now_us)
{
    if (is_paused(pool))
        return "end of the pause";
    if (atomic_load(&pool->size) == 0 && atomic_load(&pool->retry_at_us) > now_us)
        return "next try to connect";
    if (atomic_load(&pool->n_connecting) > 0)
        return "connection to a server";
    return "free server";
}

static void append(struct buf *answer, const struct pool *pool, const struct waiter *waiter,
                   const char *what)
{
    const struct client *client = CONTAINER_OF(waiter, struct client, waiter);
    int name = params_index(pool->pools->params, "application_name");
    const char *value = client->params != NULL ? params_get(client->params, (size_t)name) : NULL;
    struct waiting row = {.pool = pool,
                          .since_us = waiter->since_us,
                          .id = client->id,
                          .address = client->address,
                          .what = what};
    snprintf(row.user, sizeof row.user, "%s", client->user);
    snprintf(row.application_name, sizeof row.application_name, "%s", value != NULL ? value : "");
    buf_append(answer, &row, sizeof row);
}

static void ask(struct worker *worker, struct buf *answer, const void *context)
{
    int64_t now_us = clock_now_us();
    const struct part *part;
    const struct waiter *waiter;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        TAILQ_FOREACH (waiter, &part->waiters, entry)
            append(answer, part->pool, waiter, what_for(part->pool, now_us));
        TAILQ_FOREACH (waiter, &part->expecting, entry)
            append(answer, part->pool, waiter, "connection to a server");
    }
}

static void write_row(struct buf *cells, const struct waiting *row, int64_t now_us)
{
    char text[80];
    int64_t wait_us = now_us > row->since_us ? now_us - row->since_us : 0;
    cell_text(cells, row->pool->database->name);
    cell_text(cells, row->user);
    cell_unsigned(cells, row->id);
    cell_int(cells, wait_us / 1000000);
    cell_int(cells, wait_us % 1000000);
    int port = address_print(&row->address, text, sizeof text);
    cell_text(cells, text);
    cell_int(cells, port);
    cell_text(cells, row->application_name);
    cell_text(cells, row->what);
}

static int by_time(const void *a, const void *b)
{
    const struct waiting *left = a, *right = b;
    if (left->since_us != right->since_us)
        return left->since_us < right->since_us ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static void end(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct buf all = survey_join(answers, n_answers);
    int64_t now_us = clock_now_us();
    struct waiting *rows = (struct waiting *)all.data;
    size_t n = all.len / sizeof *rows;
    if (n > 0)
        qsort(rows, n, sizeof *rows, by_time);
    for (size_t i = 0; i < n; i++)
        write_row(&request->table.cells, &rows[i], now_us);
    buf_done(&all);
    request_done(request, "SHOW");
}

void show_waiters(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask, end, request);
}
