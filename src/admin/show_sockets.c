/* SHOW CLIENTS, SERVERS, SOCKETS and ACTIVE_SOCKETS: each worker writes the rows of its own. */
#include <stdio.h>
#include <string.h>

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

enum view { VIEW_PLAIN, VIEW_BUFFERS, VIEW_ACTIVE /* as BUFFERS, of those that are not idle */ };

/* What a socket's buffers hold.  Input and output begin with what is at work: what has been dealt with
 * is not kept, so PgBouncer's two positions behind it, pkt_pos and send_pos, are always 0. */
struct buffers {
    size_t received;  /* input that is kept: the beginning of a message */
    uint32_t remain;  /* of the message that streams, to be received */
    uint32_t to_send; /* of the message that streams to this socket, to be sent */
    size_t pending;   /* output that the kernel has not taken */
    int fd;
};

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
    struct buffers buffers;
};

static const char *const replication_words[] = {[STARTUP_NO_REPLICATION] = "none",
                                                [STARTUP_PHYSICAL_REPLICATION] = "physical",
                                                [STARTUP_LOGICAL_REPLICATION] = "logical"};

static void write_state(struct buf *cells, const struct socket_row *row, enum view view)
{
    char text[32];
    bool login = strcmp(row->state, "new") == 0;
    snprintf(text, sizeof text, "%s_%s", row->type[0] == 'C' ? "cl" : "sv",
             login ? "login" : row->state);
    cell_text(cells, view == VIEW_PLAIN ? row->state : text);
}

/* A server has none before its name has been resolved. */
static void write_address(struct buf *cells, const struct address *address)
{
    char text[80] = "";
    int port = address->len > 0 ? address_print(address, text, sizeof text) : 0;
    cell_text(cells, text);
    cell_int(cells, port);
}

static void write_buffers(struct buf *cells, const struct buffers *buffers)
{
    cell_unsigned(cells, buffers->received);
    cell_int(cells, 0);
    cell_unsigned(cells, buffers->remain);
    cell_int(cells, 0);
    cell_unsigned(cells, buffers->to_send);
    cell_unsigned(cells, buffers->received + (size_t)socket_unread(buffers->fd));
    cell_unsigned(cells, buffers->pending);
}

static bool is_idle(const char *state)
{
    return strcmp(state, "idle") == 0 || strcmp(state, "used") == 0;
}

static void write_row(struct buf *cells, const struct socket_row *row, enum view view)
{
    if (view == VIEW_ACTIVE && is_idle(row->state))
        return;
    cell_text(cells, row->type);
    cell_text(cells, row->user);
    cell_text(cells, row->database);
    cell_text(cells, replication_words[row->replication]);
    write_state(cells, row, view);
    write_address(cells, row->address);
    write_address(cells, row->local);
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
    if (view != VIEW_PLAIN)
        write_buffers(cells, &row->buffers);
}

static const char *application_name(const struct worker *worker, const struct params *params)
{
    const struct params_table *table = worker->proxy->pools->params;
    int index = params_index(table, "application_name");
    return params != NULL ? params_get(params, (size_t)index) : NULL;
}

/* ---- clients ---- */

static const char *client_state(const struct client *client)
{
    if (client->waiter.since_us != 0)
        return "waiting"; /* also at the end of its login */
    switch ((enum client_state)client->state) {
    case CLIENT_STARTUP:
    case CLIENT_AUTH:
        return "new";
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

static struct buffers client_buffers(const struct client *client)
{
    const struct server *server = client->server;
    return (struct buffers){.received = client->stash.len,
                            .remain = client->remain,
                            .to_send = server != NULL && server->forward ? server->remain : 0,
                            .pending = stream_pending(&client->stream),
                            .fd = client->stream.fd};
}

static void write_client(struct worker *worker, const struct client *client, enum view view,
                         int64_t now_us, struct buf *cells)
{
    struct address local;
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
        .id = client->id,
        .buffers = client_buffers(client)};
    write_row(cells, &row, view);
}

static void write_clients(struct worker *worker, enum view view, struct buf *cells)
{
    int64_t now_us = clock_now_us();
    const struct client *client;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        /* Of one that is not logged in little is known: only its socket. */
        if (view != VIEW_PLAIN || client->state >= CLIENT_WELCOME)
            write_client(worker, client, view, now_us, cells);
    }
}

/* ---- servers ---- */

/* PgBouncer's words: "used" is one that is tested before it is lent again. */
static const char *server_state(const struct server *server)
{
    switch (server->state) {
    case SERVER_IDLE:
        return server->unchecked ? "used" : "idle";
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
        return "new";
    case SERVER_CANCELED:
        return "being_canceled";
    case SERVER_LISTENING:
        return "listening";
    case SERVER_CLEANING:
        return server->starting ? "new" : "tested";
    default:
        return server->cancels > 0 ? "active_cancel" : "active";
    }
}

static struct buffers server_buffers(const struct server *server)
{
    const struct client *client = server->client;
    return (struct buffers){.received = server->stash.len,
                            .remain = server->remain,
                            .to_send = client != NULL && !client->drop ? client->remain : 0,
                            .pending = stream_pending(&server->stream),
                            .fd = server->stream.fd};
}

static void write_server(struct worker *worker, const struct server *server, enum view view,
                         struct buf *cells)
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
                             .id = server->id,
                             .buffers = server_buffers(server)};
    write_row(cells, &row, view);
}

static void write_servers(struct worker *worker, enum view view, struct buf *cells)
{
    const struct part *part;
    const struct server *server;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        TAILQ_FOREACH (server, &part->idle, entry)
            write_server(worker, server, view, cells);
        TAILQ_FOREACH (server, &part->others, entry)
            write_server(worker, server, view, cells);
    }
}

/* ---- the console's own ---- */

static void write_consoles(struct request *request, enum view view)
{
    const struct session *session;
    TAILQ_FOREACH (session, &request->control->sessions, entry) {
        struct address local;
        socket_local(session->stream.fd, &local);
        struct socket_row row = {
            .type = "C",
            .user = session->user,
            .database = "pgbouncer",
            .state = "active",
            .address = &session->address,
            .local = &local,
            .connected_us = session->connected_us,
            .requested_us = session->requested_us,
            .ptr = session,
            .id = session->id,
            .buffers = {.received = session->input.len,
                        .pending = session->output.len + stream_pending(&session->stream),
                        .fd = session->stream.fd}};
        write_row(&request->table.cells, &row, view);
    }
}

/* ---- the commands ---- */

static void ask_clients(struct worker *worker, struct buf *cells, const void *context)
{
    write_clients(worker, VIEW_PLAIN, cells);
}

static void ask_servers(struct worker *worker, struct buf *cells, const void *context)
{
    write_servers(worker, VIEW_PLAIN, cells);
}

static void ask_sockets(struct worker *worker, struct buf *cells, const void *context)
{
    write_clients(worker, VIEW_BUFFERS, cells);
    write_servers(worker, VIEW_BUFFERS, cells);
}

static void ask_active_sockets(struct worker *worker, struct buf *cells, const void *context)
{
    write_clients(worker, VIEW_ACTIVE, cells);
    write_servers(worker, VIEW_ACTIVE, cells);
}

void show_clients(struct request *request)
{
    write_consoles(request, VIEW_PLAIN);
    survey_rows(request, ask_clients);
}

void show_servers(struct request *request)
{
    survey_rows(request, ask_servers);
}

void show_sockets(struct request *request)
{
    write_consoles(request, VIEW_BUFFERS);
    survey_rows(request, ask_sockets);
}

void show_active_sockets(struct request *request)
{
    write_consoles(request, VIEW_ACTIVE);
    survey_rows(request, ask_active_sockets);
}
