/* Clients that come from another process. */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "pool/params.h"
#include "pool/pool.h"
#include "session/cancel.h"
#include "session/client.h"
#include "session/handover.h"
#include "session/moving.h"
#include "session/names.h"
#include "session/worker.h"

struct arrival {
    struct mail mail; /* first: the loop finds us by it */
    struct worker *worker;
    int fd;
    struct buf record;
};

/* Limits are not looked at: the client is in. */
static bool enter(struct client *client, const char *name, struct err *err)
{
    const struct settings *settings = client->worker->pool.settings;
    struct pools *pools = client->worker->proxy->pools;
    const struct conf_database *db = conf_database_for(settings, name);
    if (db == NULL)
        return err_set(err, SQLSTATE_ADMIN_SHUTDOWN, "database removed");
    if (settings->auth_type != AUTH_ANY && conf_find_secret(settings, client->user) == NULL)
        return err_set(err, SQLSTATE_INVALID_AUTHORIZATION, "no such user: %s", client->user);
    if (settings->auth_type == AUTH_ANY && db->user == NULL)
        return err_set(err, SQLSTATE_INVALID_AUTHORIZATION, "bouncer config error");
    struct database *database = pools_database(pools, name);
    atomic_store(&database->used, true);
    client->role = pools_role(pools, client->user);
    atomic_fetch_add(&client->role->n_clients, 1);
    atomic_fetch_add(&database->n_clients, 1);
    struct pool *pool =
        pools_enter(pools, name, db->user != NULL ? db->user : client->user, db->user != NULL);
    client->part = part_get(&client->worker->pool, pool);
    client->part->n_clients++;
    client->resumed = true;
    return true;
}

/* What this process does not follow it carries, even if it does not look after sessions itself. */
static struct params *take_params(struct client *client, struct slice list)
{
    struct params_table *table = client->worker->proxy->pools->params;
    struct reader in = reader_of(list.ptr, list.len);
    const char *name, *value;
    struct params *params = params_empty(table);
    while (handover_next_param(&in, &name, &value))
        params_put(table, &params, name, value);
    return params;
}

static void take_statements(struct client *client, const struct handover_client *from)
{
    struct reader in = reader_of(from->statements.ptr, from->statements.len);
    const char *name;
    struct slice body;
    while (handover_next_statement(&in, &name, &body))
        names_add(client, name, body.ptr, body.len);
    if (from->unnamed.len > 0)
        names_keep_unnamed(client, from->unnamed.ptr, from->unnamed.len);
}

static void go_on(struct client *client, const struct handover_client *from)
{
    struct err err;
    client->state = CLIENT_IDLE;
    client->counted = true; /* by moving_arrive() */
    client->user = mem_strdup(from->user);
    stream_write(&client->stream, from->output.ptr, from->output.len);
    if (!enter(client, from->database, &err)) {
        client_fail(client, &err);
        return;
    }
    client->params = take_params(client, from->params);
    if (from->wishes.len > 0)
        client->wishes = take_params(client, from->wishes);
    client->changes_strings = true; /* as far as is known here */
    take_statements(client, from);
    cancel_keep_key(client, from->key);
    buf_append(&client->stash, from->input.ptr, from->input.len);
    client->stalled = from->input.len > 0;
    client_turn_idle(client);
}

static void deliver(struct mail *mail, struct loop *loop)
{
    struct arrival *arrival = (struct arrival *)mail;
    struct worker *worker = arrival->worker;
    struct slice record = {arrival->record.data, arrival->record.len};
    struct handover_client from;
    atomic_fetch_sub(&worker->n_sockets, 1); /* was counted when it was sent */
    if (handover_read_client(record, &from))
        go_on(client_resume(worker, arrival->fd, &from.address,
                            clock_now_us() - (int64_t)from.age_us),
              &from);
    buf_done(&arrival->record);
    mem_free(arrival);
}

static struct worker *emptiest(const struct proxy *proxy)
{
    struct worker *found = proxy->workers[0];
    for (unsigned i = 1; i < proxy->n_workers; i++) {
        if (atomic_load(&proxy->workers[i]->n_sockets) < atomic_load(&found->n_sockets))
            found = proxy->workers[i];
    }
    return found;
}

void moving_arrive(struct proxy *proxy, struct slice record, int fd)
{
    struct arrival *arrival = mem_new(sizeof *arrival);
    arrival->mail.deliver = deliver;
    arrival->worker = emptiest(proxy);
    arrival->fd = fd;
    buf_append(&arrival->record, record.ptr, record.len);
    atomic_fetch_add(&proxy->n_clients, 1);
    atomic_fetch_add(&arrival->worker->n_sockets, 1);
    loop_post(arrival->worker->loop, &arrival->mail);
}
