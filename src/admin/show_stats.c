/* SHOW STATS, STATS_TOTALS, STATS_AVERAGES and TOTALS. */
#include <stdio.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/mem.h"

enum { COUNTERS = 12 };

/* In the order of all these commands. */
static void list_counters(const struct part_stats *stats, uint64_t values[COUNTERS])
{
    const uint64_t list[COUNTERS] = {
        stats->server_assignments, stats->xacts,   stats->queries,
        stats->received,           stats->sent,    stats->xact_us,
        stats->query_us,           stats->wait_us, stats->client_parses,
        stats->server_parses,      stats->binds,   stats->client_logins};
    for (size_t i = 0; i < COUNTERS; i++)
        values[i] = list[i];
}

static void write_counters(struct buf *cells, const struct part_stats *stats)
{
    uint64_t values[COUNTERS];
    list_counters(stats, values);
    for (size_t i = 0; i < COUNTERS; i++)
        cell_unsigned(cells, values[i]);
}

static void write_rows(struct request *request, struct buf *answers, size_t n_answers, bool totals,
                       bool averages)
{
    size_t n;
    struct stats_row *rows = stats_merge(request->control, answers, n_answers, &n);
    for (size_t i = 0; i < n; i++) {
        cell_text(&request->table.cells, rows[i].name);
        if (totals)
            write_counters(&request->table.cells, &rows[i].total);
        if (averages)
            write_counters(&request->table.cells, &rows[i].average);
    }
    mem_free(rows);
    request_done(request, "SHOW");
}

static void end_stats(void *context, struct buf *answers, size_t n_answers)
{
    write_rows(context, answers, n_answers, true, true);
}

static void end_totals(void *context, struct buf *answers, size_t n_answers)
{
    write_rows(context, answers, n_answers, true, false);
}

static void end_averages(void *context, struct buf *answers, size_t n_answers)
{
    write_rows(context, answers, n_answers, false, true);
}

static void write_named(struct buf *cells, const char *prefix, const struct part_stats *stats)
{
    static const char *const names[COUNTERS] = {"server_assignment_count",
                                                "xact_count",
                                                "query_count",
                                                "client_bytes",
                                                "server_bytes",
                                                "xact_time",
                                                "query_time",
                                                "wait_time",
                                                "ps_client_parse_count",
                                                "ps_server_parse_count",
                                                "ps_bind_count",
                                                "client_login_count"};
    uint64_t values[COUNTERS];
    list_counters(stats, values);
    for (size_t i = 0; i < COUNTERS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", prefix, names[i]);
        cell_text(cells, name);
        cell_unsigned(cells, values[i]);
    }
}

static void end_sums(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct part_stats total = {0}, average = {0};
    size_t n;
    struct stats_row *rows = stats_merge(request->control, answers, n_answers, &n);
    for (size_t i = 0; i < n; i++) {
        part_stats_add(&total, &rows[i].total);
        part_stats_add(&average, &rows[i].average);
    }
    write_named(&request->table.cells, "total_", &total);
    write_named(&request->table.cells, "avg_", &average);
    mem_free(rows);
    request_done(request, "SHOW");
}

static void ask(struct request *request, survey_end *end)
{
    survey_start(request->control->proxy, request->control->loop, stats_ask, end, request);
}

void show_stats(struct request *request)
{
    ask(request, end_stats);
}

void show_stats_totals(struct request *request)
{
    ask(request, end_totals);
}

void show_stats_averages(struct request *request)
{
    ask(request, end_averages);
}

void show_totals(struct request *request)
{
    ask(request, end_sums);
}
