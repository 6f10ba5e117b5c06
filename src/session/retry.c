#include "session/retry.h"

#include <string.h>

#include "pool/server.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/client.h"

enum { KEPT_MAX = 8192 };

bool retry_is_possible(const struct client *client)
{
    const struct server *server = client->server;
    return server->replies.count == 0 && !server->replies.open && !server->replies.skipping &&
           server->txn == TXN_IDLE && client->remain == 0 && client->names.count > 0;
}

void retry_keep(struct client *client, const char *input, size_t len)
{
    struct server *server = client->server;
    bool again = client->retried;
    buf_clear(&server->again);
    client->retried = false;
    if (input == NULL || len > KEPT_MAX || again)
        return;
    buf_append(&server->again, input, len);
    server->again_replies = server->replies.count - replies_count_own_first(&server->replies);
}

/* The text of the error may be translated; the function that raises it is not. */
static bool is_stale_plan(const char *body, size_t len)
{
    const char *sqlstate = response_field(body, len, 'C');
    const char *routine = response_field(body, len, 'R');
    return sqlstate != NULL && routine != NULL && strcmp(sqlstate, "0A000") == 0 &&
           strcmp(routine, "RevalidateCachedQuery") == 0;
}

bool retry_take_error(struct client *client, const char *body, size_t len)
{
    struct server *server = client->server;
    const struct reply *head = replies_head(&server->replies);
    if (head == NULL || head->kind != REPLY_BIND || head->action != REPLY_FORWARD ||
        !is_stale_plan(body, len))
        return false;
    atomic_fetch_add(&client->part->pool->plan_epoch, 1);
    client->retries =
        server->again.len > 0 && server->again_replies == server->replies.count && !client->goodbye;
    return client->retries;
}

void retry_begin(struct client *client)
{
    struct buf input = client->server->again;
    client->server->again = (struct buf)BUF_NONE;
    buf_append(&input, client->stash.data, client->stash.len);
    buf_done(&client->stash);
    client->stash = input;
    client->retries = false;
    client->retried = true;
    client->stalled = true; /* there is input that no event tells of */
}
