/* SHOW NODES. */
#include <inttypes.h>
#include <stdio.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "topology/topology.h"

static void write_sample(struct buf *cells, const struct node_report *report)
{
    char lsn[24];
    if (report->sample.system_id == 0) {
        for (int i = 0; i < 3; i++)
            cell_text(cells, NULL);
        return;
    }
    snprintf(lsn, sizeof lsn, "%" PRIX32 "/%" PRIX32, (uint32_t)(report->sample.lsn >> 32),
             (uint32_t)report->sample.lsn);
    cell_int(cells, report->sample.timeline);
    cell_text(cells, lsn);
    cell_int(cells, report->sample_age_us / 1000);
}

static void write_node(void *arg, const struct node_report *report)
{
    struct buf *cells = arg;
    cell_text(cells, report->cluster);
    cell_text(cells, report->node);
    cell_text(cells, report->host);
    cell_int(cells, report->port);
    cell_text(cells, node_state_name(report->state));
    write_sample(cells, report);
    cell_text(cells, report->error);
}

void show_nodes(struct request *request)
{
    topology_for_each(request->control->topology, write_node, &request->table.cells);
    request_done(request, "SHOW");
}
