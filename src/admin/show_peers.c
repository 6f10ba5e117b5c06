/* SHOW PEERS and PEER_POOLS: the other processes, and the cancel requests on their way to them. */
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "conf/settings.h"

void show_peers(struct request *request)
{
    const struct settings *settings = request->control->settings;
    struct buf *cells = &request->table.cells;
    const struct conf_peer *peer = NULL;
    while ((peer = conf_next_peer(settings, peer)) != NULL) {
        cell_int(cells, peer->id);
        cell_text(cells, peer->host);
        cell_int(cells, peer->port);
        cell_int(cells, conf_peer_pool_size(settings, peer));
    }
    request_done(request, "SHOW");
}

/* What a worker says of one peer. */
struct peer_row {
    int id;
    int waiting, connecting, sent;
};

static void ask_peers(struct worker *worker, struct buf *answer, const void *context)
{
    const struct peer_pool *pool;
    TAILQ_FOREACH (pool, &worker->peer_pools, entry) {
        struct peer_row row = {.id = pool->id,
                               .waiting = pool->n[PEER_WAITING],
                               .connecting = pool->n[PEER_CONNECTING],
                               .sent = pool->n[PEER_SENT]};
        buf_append(answer, &row, sizeof row);
    }
}

static void add_rows(struct peer_row *to, const struct buf *answer)
{
    for (size_t at = 0; at < answer->len; at += sizeof *to) {
        struct peer_row row;
        memcpy(&row, answer->data + at, sizeof row);
        if (row.id != to->id)
            continue;
        to->waiting += row.waiting;
        to->connecting += row.connecting;
        to->sent += row.sent;
    }
}

static void end_peers(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct buf *cells = &request->table.cells;
    const struct conf_peer *peer = NULL;
    while ((peer = conf_next_peer(request->control->settings, peer)) != NULL) {
        struct peer_row row = {.id = peer->id};
        for (size_t i = 0; i < n_answers; i++)
            add_rows(&row, &answers[i]);
        cell_int(cells, row.id);
        cell_int(cells, row.sent);
        cell_int(cells, row.waiting + row.connecting);
        cell_int(cells, row.sent);
        cell_int(cells, row.connecting);
    }
    request_done(request, "SHOW");
}

void show_peer_pools(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask_peers, end_peers, request);
}
