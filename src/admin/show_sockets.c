/* SHOW CLIENTS and SHOW SERVERS: each worker writes the rows of its own. */
#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/reader.h"
#include "net/socket.h"
#include "pool/opening.h"
#include "pool/params.h"
#include "pool/server.h"
#include "session/client.h"

struct socket_row {
    const char *type, *user, *database, *state;
    enum startup_replication replication;
    const struct address *address, *local;
    int64_t connected_us, requested_us, wait_us;
    bool close_needed;
    const void *ptr, *link;
    uint32_t remote_pid;
    const char *application_name;
    uint32_t prepared;
    uint64_t id;
};

static const char *const replication_words[] = {[STARTUP_NO_REPLICATION] = "none",
                                                [STARTUP_PHYSICAL_REPLICATION] = "physical",
                                                [STARTUP_LOGICAL_REPLICATION] = "logical"};

static void write_row(struct buf *cells, const struct socket_row *row)
{
    char text[80];
    cell_text(cells, row->type);
    cell_text(cells, row->user);
    cell_text(cells, row->database);
    cell_text(cells, replication_words[row->replication]);
    cell_text(cells, row->state);
    int port = address_print(row->address, text, sizeof text);
    cell_text(cells, text);
    cell_int(cells, port);
    port = address_print(row->local, text, sizeof text);
    cell_text(cells, text);
    cell_int(cells, port);
    cell_time(cells, row->connected_us);
    cell_time(cells, row->requested_us);
    cell_int(cells, row->wait_us / 1000000);
    cell_int(cells, row->wait_us % 1000000);
    cell_int(cells, row->close_needed);
    cell_pointer(cells, row->ptr);
    cell_pointer(cells, row->link);
    cell_unsigned(cells, row->remote_pid);
    cell_text(cells, "");
    cell_text(cells, row->application_name != NULL ? row->application_name : "");
    cell_unsigned(cells, row->prepared);
    cell_unsigned(cells, row->id);
}

static const char *application_name(const struct worker *worker, const struct params *params)
{
    const struct params_table *table = worker->proxy->pools->params;
    int index = params_index(table, "application_name");
    return params != NULL ? params_get(params, (size_t)index) : NULL;
}

static const char *client_state(const struct client *client)
{
    if (client->waiter.since_us != 0)
        return "waiting"; /* also at the end of its login */
    switch ((enum client_state)client->state) {
    case CLIENT_ACTIVE:
        return "active";
    case CLIENT_WAITING:
        return "waiting";
    case CLIENT_CANCELING:
        return "active_cancel_req";
    default:
        return "idle";
    }
}

static void ask_clients(struct worker *worker, struct buf *cells, const void *context)
{
    int64_t now_us = clock_now_us();
    const struct client *client;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        struct address local;
        if (client->state < CLIENT_WELCOME)
            continue; /* not logged in: nothing is known of it yet */
        socket_local(client->stream.fd, &local);
        struct socket_row row = {
            .type = "C",
            .user = client->user != NULL ? client->user : "(nouser)",
            .database = client->part != NULL ? client->part->pool->database->name : "(nodb)",
            .state = client_state(client),
            .replication = client->replication,
            .address = &client->address,
            .local = &local,
            .connected_us = client->connected_us,
            .requested_us = client->requested_us,
            .wait_us = client->waiter.since_us != 0 ? now_us - client->waiter.since_us : 0,
            .ptr = client,
            .link = client->server,
            .application_name = application_name(worker, client->params),
            .prepared = client->names.count,
            .id = client->id};
        write_row(cells, &row);
    }
}

static const char *server_state(const struct server *server)
{
    switch (server->state) {
    case SERVER_IDLE:
        return "idle";
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
        return "new";
    case SERVER_CANCELED:
        return "being_canceled";
    case SERVER_CLEANING:
        return "tested";
    default:
        return server->cancels > 0 ? "active_cancel" : "active";
    }
}

static void write_server(struct worker *worker, const struct server *server, struct buf *cells)
{
    const struct pool *pool = server->part->pool;
    struct socket_row row = {.type = "S",
                             .user = pool->user,
                             .database = pool->database->name,
                             .state = server_state(server),
                             .replication = opening_replication(server->opening),
                             .address = &server->address,
                             .local = &server->local,
                             .connected_us = server->connected_us,
                             .requested_us = server->requested_us,
                             .close_needed = part_is_stale(server->part, server),
                             .ptr = server,
                             .link = server->client,
                             .remote_pid = load_u32(server->key),
                             .application_name = application_name(worker, server->params),
                             .prepared = server->prepared.count,
                             .id = server->id};
    write_row(cells, &row);
}

static void ask_servers(struct worker *worker, struct buf *cells, const void *context)
{
    const struct part *part;
    const struct server *server;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        TAILQ_FOREACH (server, &part->idle, entry)
            write_server(worker, server, cells);
        TAILQ_FOREACH (server, &part->others, entry)
            write_server(worker, server, cells);
    }
}

static void end_rows(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    for (size_t i = 0; i < n_answers; i++)
        buf_append(&request->table.cells, answers[i].data, answers[i].len);
    request_done(request, "SHOW");
}

static void write_consoles(struct request *request)
{
    const struct session *session;
    TAILQ_FOREACH (session, &request->control->sessions, entry) {
        struct address local;
        socket_local(session->stream.fd, &local);
        struct socket_row row = {.type = "C",
                                 .user = session->user,
                                 .database = "pgbouncer",
                                 .state = "active",
                                 .address = &session->address,
                                 .local = &local,
                                 .connected_us = session->connected_us,
                                 .requested_us = session->requested_us,
                                 .ptr = session,
                                 .id = session->id};
        write_row(&request->table.cells, &row);
    }
}

void show_clients(struct request *request)
{
    write_consoles(request);
    survey_start(request->control->proxy, request->control->loop, ask_clients, end_rows, request);
}

void show_servers(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, ask_servers, end_rows, request);
}
