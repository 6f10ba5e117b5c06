#include "session/console.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "session/client.h"
#include "session/worker.h"

bool console_is_name(const char *database)
{
    return strcmp(database, "pgbouncer") == 0;
}

void console_seat_free(struct console_seat *seat)
{
    if (seat->fd >= 0)
        close(seat->fd);
    buf_done(&seat->input);
    mem_free(seat->user);
    mem_free(seat);
}

void console_take_seat(struct client *client, bool admin)
{
    struct proxy *proxy = client->worker->proxy;
    struct console_seat *seat = mem_new(sizeof *seat);
    stream_detach(&client->stream);
    seat->fd = client->stream.fd;
    client->stream.fd = -1;
    seat->address = client->address;
    seat->input = client->stash;
    client->stash = (struct buf)BUF_NONE;
    seat->user = mem_strdup(client->user);
    seat->admin = admin;
    cancel_draw_key(seat->key, client->worker->pool.settings->peer_id);
    seat->id = client->id;
    seat->connected_us = client->connected_us;
    client->state = CLIENT_CLOSED;
    stream_close(&client->stream);
    client_detach(client);
    proxy->seat_console(proxy->console_context, seat);
}
