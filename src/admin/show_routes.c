/* SHOW ROUTES: where statements of databases that split have gone, and why. */
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "session/routing.h"
#include "session/worker.h"

struct counts {
    uint64_t routes[ROUTE_COUNTS], reasons[REASONS], unfit[FIT];
};

static void ask(struct worker *worker, struct buf *answer, const void *context)
{
    struct counts counts;
    memcpy(counts.routes, worker->routes, sizeof counts.routes);
    memcpy(counts.reasons, worker->reasons, sizeof counts.reasons);
    memcpy(counts.unfit, worker->unfit, sizeof counts.unfit);
    buf_append(answer, &counts, sizeof counts);
}

static void write_row(struct buf *cells, const char *kind, const char *reason, uint64_t n)
{
    cell_text(cells, kind);
    cell_text(cells, reason);
    cell_unsigned(cells, n);
}

static void write_rows(struct buf *cells, const struct counts *all)
{
    for (int i = 0; i < ROUTE_COUNTS; i++)
        write_row(cells, routing_count_kind((enum route_count)i),
                  routing_count_name((enum route_count)i), all->routes[i]);
    for (int i = REASON_READS + 1; i < REASONS; i++)
        write_row(cells, "no read", reads_reason_name((enum reads_reason)i), all->reasons[i]);
    for (int i = 0; i < FIT; i++)
        write_row(cells, "no standby", unfit_name((enum unfit)i), all->unfit[i]);
}

static void end(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct counts all = {{0}, {0}, {0}};
    uint64_t *sum = (uint64_t *)&all;
    for (size_t i = 0; i < n_answers; i++) {
        const uint64_t *add = (const uint64_t *)answers[i].data;
        for (size_t j = 0; j < sizeof all / sizeof *sum; j++)
            sum[j] += add[j];
    }
    write_rows(&request->table.cells, &all);
    request_done(request, "SHOW");
}

void show_routes(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask, end, request);
}
