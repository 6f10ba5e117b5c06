/* SHOW PINS and SHOW PIN_COUNTS: clients that keep a server for the state of their session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/reader.h"
#include "pool/server.h"
#include "session/client.h"
#include "session/pins.h"
#include "session/state.h"

/* What is read on the client's thread and written on ours. */
struct pinned {
    const struct pool *pool; /* borrowed: pools live as long as somebody is in them */
    int64_t since_us;
    uint64_t id, server_id;
    uint32_t pins, pid;
    char user[LIMIT_NAME + 1];
    char cause[256];
};

static void append(struct buf *answer, const struct client *client)
{
    const struct traces *traces = client->traces;
    struct pinned row = {.pool = client->part->pool,
                         .since_us = traces->pinned_us,
                         .id = client->id,
                         .pins = traces->pins};
    if (client->server != NULL) {
        row.server_id = client->server->id;
        row.pid = load_u32(client->server->key);
    }
    snprintf(row.user, sizeof row.user, "%s", client->user);
    snprintf(row.cause, sizeof row.cause, "%s", traces->cause != NULL ? traces->cause : "");
    buf_append(answer, &row, sizeof row);
}

static void ask(struct worker *worker, struct buf *answer, const void *context)
{
    const struct client *client;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        if (traces_pin(client->traces))
            append(answer, client);
    }
}

static void write_row(struct buf *cells, const struct pinned *row, int64_t now_us)
{
    struct buf reasons = BUF_NONE;
    pins_write(&reasons, row->pins);
    cell_text(cells, row->pool->database->name);
    cell_text(cells, row->user);
    cell_unsigned(cells, row->id);
    cell_unsigned(cells, row->server_id);
    cell_unsigned(cells, row->pid);
    cell_text(cells, reasons.data);
    cell_int(cells, now_us > row->since_us ? (now_us - row->since_us) / 1000000 : 0);
    cell_text(cells, row->cause);
    buf_done(&reasons);
}

static int by_time(const void *a, const void *b)
{
    const struct pinned *left = a, *right = b;
    if (left->since_us != right->since_us)
        return left->since_us < right->since_us ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static void end(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct buf all = survey_join(answers, n_answers);
    int64_t now_us = clock_now_us();
    struct pinned *rows = (struct pinned *)all.data;
    size_t n = all.len / sizeof *rows;
    if (n > 0)
        qsort(rows, n, sizeof *rows, by_time);
    for (size_t i = 0; i < n; i++)
        write_row(&request->table.cells, &rows[i], now_us);
    buf_done(&all);
    request_done(request, "SHOW");
}

void show_pins(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask, end, request);
}

/* ---- by reason ---- */

struct counts {
    uint64_t now[PIN_KINDS], total[PIN_KINDS];
};

static void count(struct worker *worker, struct buf *answer, const void *context)
{
    struct counts counts = {{0}, {0}};
    const struct client *client;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        uint32_t pins = client->traces != NULL ? client->traces->pins : 0;
        for (unsigned i = 0; i < PIN_KINDS; i++)
            counts.now[i] += (pins >> i) & 1;
    }
    memcpy(counts.total, worker->n_pins, sizeof counts.total);
    buf_append(answer, &counts, sizeof counts);
}

static void end_counts(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct buf *cells = &request->table.cells;
    for (unsigned kind = 0; kind < PIN_KINDS; kind++) {
        uint64_t now = 0, total = 0;
        for (size_t i = 0; i < n_answers; i++) {
            const struct counts *counts = (const struct counts *)answers[i].data;
            now += counts->now[kind];
            total += counts->total[kind];
        }
        cell_text(cells, pin_name(kind));
        cell_unsigned(cells, now);
        cell_unsigned(cells, total);
    }
    request_done(request, "SHOW");
}

void show_pin_counts(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, count, end_counts, request);
}
