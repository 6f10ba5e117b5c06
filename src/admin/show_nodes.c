/* SHOW NODES, SHOW FAILOVERS. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "base/clock.h"
#include "conf/clusters.h"
#include "route/choose.h"
#include "topology/topology.h"
#include "topology/view.h"

static void cell_known(struct buf *cells, int64_t value, bool known)
{
    if (known)
        cell_int(cells, value);
    else
        cell_text(cells, NULL);
}

static void write_lsn(struct buf *cells, const struct node_report *report)
{
    char lsn[24];
    snprintf(lsn, sizeof lsn, "%" PRIX32 "/%" PRIX32, (uint32_t)(report->sample.lsn >> 32),
             (uint32_t)report->sample.lsn);
    cell_text(cells, report->sample.system_id != 0 ? lsn : NULL);
}

static void write_sample(struct buf *cells, const struct node_report *report)
{
    bool known = report->sample.system_id != 0;
    const char *paused = report->sample.paused ? "yes" : "no";
    cell_known(cells, report->sample.timeline, known);
    write_lsn(cells, report);
    cell_known(cells, report->lag_us / 1000, report->lag_us >= 0);
    cell_known(cells, report->lag_bytes, report->lag_bytes >= 0);
    cell_text(cells, known && report->sample.in_recovery ? paused : NULL);
    cell_known(cells, report->sample_age_us / 1000, known);
}

/* Why a client without wishes of its own would not be sent there; NULL: it may be. */
static const char *why_no_reads(const struct control *control, const struct node_report *report)
{
    const struct cluster_view *cluster = topology_view_find(control->view, report->cluster);
    struct verdict verdicts[CONF_NODES_MAX];
    uint64_t random = 1;
    unsigned turn = 0;
    const struct read_need need = {
        .now_us = clock_now_us(), .max_lag_us = -1, .random = &random, .turn = &turn};
    if (cluster == NULL)
        return NULL;
    choose_node(cluster, &need, verdicts);
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        if (strcmp(cluster->nodes[i].name, report->node) == 0 && verdicts[i].unfit != FIT)
            return unfit_name(verdicts[i].unfit);
    }
    return NULL;
}

static const char *role_of(const struct node_report *report)
{
    if (report->sample.system_id == 0)
        return NULL;
    return report->sample.in_recovery ? "standby" : "primary";
}

static void write_gauge(struct buf *cells, const struct node_gauge *gauge)
{
    int64_t now_us = clock_now_us();
    int64_t ejected_us = atomic_load(&gauge->ejected_until_us);
    int64_t left_us = ejected_us > now_us ? ejected_us - now_us : 0;
    cell_int(cells, atomic_load(&gauge->outstanding));
    cell_int(cells, gauge_latency_us(gauge, now_us));
    cell_unsigned(cells, atomic_load(&gauge->reads));
    cell_unsigned(cells, atomic_load(&gauge->writes));
    cell_int(cells, atomic_load(&gauge->ejections));
    cell_known(cells, left_us / 1000, ejected_us != 0);
}

static void write_node(void *arg, const struct node_report *report)
{
    struct request *request = arg;
    struct buf *cells = &request->table.cells;
    cell_text(cells, report->cluster);
    cell_text(cells, report->node);
    cell_text(cells, report->host);
    cell_int(cells, report->port);
    cell_text(cells, node_state_name(report->state));
    cell_text(cells, role_of(report));
    cell_text(cells, why_no_reads(request->control, report));
    write_sample(cells, report);
    cell_text(cells, report->error);
    write_gauge(cells, report->gauge);
}

void show_nodes(struct request *request)
{
    topology_for_each(request->control->topology, write_node, request);
    request_done(request, "SHOW");
}

static void write_failover(void *arg, const struct failover *failover)
{
    struct buf *cells = arg;
    cell_time(cells, failover->at_us);
    cell_text(cells, failover->cluster);
    cell_text(cells, failover->from);
    cell_text(cells, failover->to);
    cell_int(cells, failover->timeline);
    cell_int(cells, failover->without_us / 1000);
}

void show_failovers(struct request *request)
{
    topology_for_each_failover(request->control->topology, write_failover, &request->table.cells);
    request_done(request, "SHOW");
}
