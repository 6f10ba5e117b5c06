/* SHOW FDS: the sockets that a process of PgBouncer which takes over would get, and what it would have to know. */
#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/err.h"
#include "base/reader.h"
#include "net/socket.h"
#include "pool/params.h"
#include "pool/server.h"
#include "session/client.h"
#include "session/listen.h"

struct fd_row {
    int fd;
    const char *task, *user, *database;
    const struct address *address;
    const uint8_t *cancel_key; /* NULL: it has none */
    int link;
    const struct params *params; /* NULL: not known */
};

static const char *value_of(const struct params_table *table, const struct params *params,
                            const char *name)
{
    return params != NULL ? params_get(params, (size_t)params_index(table, name)) : NULL;
}

static int64_t key_number(const uint8_t *key)
{
    return key != NULL ? (int64_t)((uint64_t)load_u32((const char *)key) << 32 |
                                   load_u32((const char *)key + 4))
                       : 0;
}

static void write_row(const struct worker *worker, struct buf *cells, const struct fd_row *row)
{
    const struct params_table *table = worker->proxy->pools->params;
    static const char *const names[] = {"client_encoding", "standard_conforming_strings",
                                        "DateStyle", "TimeZone"};
    char address[ADDRESS_TEXT] = "";
    int port = address_print(row->address, address, sizeof address);
    cell_int(cells, row->fd);
    cell_text(cells, row->task);
    cell_text(cells, row->user);
    cell_text(cells, row->database);
    cell_text(cells, address);
    cell_int(cells, port);
    cell_int(cells, key_number(row->cancel_key));
    cell_int(cells, row->link);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cell_text(cells, value_of(table, row->params, names[i]));
    /* password, scram_client_key, scram_server_key: nobody needs secrets to look at sockets */
    for (int i = 0; i < 3; i++)
        cell_text(cells, NULL);
}

static void write_listeners(const struct worker *worker, struct buf *cells)
{
    struct fd_row row = {.task = "pooler"};
    struct address address;
    const char *path;
    size_t at = 0;
    row.address = &address;
    while (listen_next(worker, &at, &row.fd, &path)) {
        socket_local(row.fd, &address);
        write_row(worker, cells, &row);
    }
}

static void write_clients(const struct worker *worker, struct buf *cells)
{
    const struct client *client;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        struct fd_row row = {.fd = client->stream.fd,
                             .task = "client",
                             .user = client->user,
                             .database =
                                 client->part != NULL ? client->part->pool->database->name : NULL,
                             .address = &client->address,
                             .cancel_key = client->key,
                             .link = client->server != NULL ? client->server->stream.fd : 0,
                             .params = client->params};
        if (row.fd >= 0)
            write_row(worker, cells, &row);
    }
}

static void write_servers(const struct worker *worker, const struct server_list *list,
                          struct buf *cells)
{
    const struct server *server;
    TAILQ_FOREACH (server, list, entry) {
        const struct client *client = server->client;
        struct fd_row row = {.fd = server->stream.fd,
                             .task = "server",
                             .user = server->part->pool->user,
                             .database = server->part->pool->database->name,
                             .address = &server->address,
                             .cancel_key = server->key,
                             .link = client != NULL ? client->stream.fd : 0,
                             .params = server->params};
        if (row.fd >= 0)
            write_row(worker, cells, &row);
    }
}

static void ask_fds(struct worker *worker, struct buf *cells, const void *context)
{
    const struct part *part;
    write_listeners(worker, cells);
    write_clients(worker, cells);
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        write_servers(worker, &part->idle, cells);
        write_servers(worker, &part->others, cells);
    }
}

/* Keys to cancel anybody's statements do not go over a network. */
void show_fds(struct request *request)
{
    struct err err;
    if (!address_is_unix(&request->session->address)) {
        err_set(&err, SQLSTATE_INSUFFICIENT_PRIVILEGE,
                "SHOW FDS is allowed only over the unix socket");
        request_fail(request, &err);
        return;
    }
    survey_rows(request, ask_fds);
}
