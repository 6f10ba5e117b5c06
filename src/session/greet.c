#include "session/greet.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "pool/canon.h"
#include "pool/opening.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/welcome.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/cancel.h"
#include "session/client.h"
#include "session/login.h"
#include "session/state.h"
#include "session/worker.h"

static const struct settings *settings_of(const struct client *client)
{
    return client->worker->pool.settings;
}

static bool ascii_name(const char *value)
{
    size_t len = 0;
    for (; value[len] != '\0'; len++) {
        if (value[len] < 32 || value[len] > 126)
            return false;
    }
    return len <= LIMIT_NAME;
}

/* How the server spells the value, as far as that is known without asking it; NULL: not known.
 * base: the value without the client's wish.  The result is owned by the caller. */
static char *canonical(struct client *client, const char *name, const char *base, const char *raw)
{
    if (strcmp(name, "application_name") == 0 && ascii_name(raw))
        return mem_strdup(raw);
    return base != NULL ? canon_find(client->part->pool, name, base, raw) : NULL;
}

/* Settings that no server reports are kept as the client spells them; known: a server has taken them
 * before. */
static void add_extra(struct client *client, struct params **params, bool *known)
{
    const struct client_login *login = client->login;
    for (size_t i = 0; login->opening == NULL && i < login->n_extra; i++) {
        const struct startup_param *extra = &login->extra[i];
        char *taken = canon_find(client->part->pool, extra->name, "", extra->value);
        *known &= taken != NULL;
        mem_free(taken);
        params_put(client->worker->proxy->pools->params, params, extra->name, extra->value);
    }
}

/* The parameters that the client begins with: what the server said at its login, and what the
 * client has asked for.  *known: all values are spelt as the server spells them. */
static struct params *initial_params(struct client *client, const struct welcome *welcome,
                                     bool *known)
{
    struct params_table *table = client->worker->proxy->pools->params;
    struct params *params = params_empty(table);
    *known = true;
    for (size_t i = 0; i < params_count(table); i++) {
        const char *name = params_name(table, i), *raw = client->login->raw[i];
        const char *base = welcome_value(welcome, name);
        char *spelt = raw != NULL ? canonical(client, name, base, raw) : NULL;
        if (raw != NULL && spelt == NULL)
            *known = false;
        const char *value = spelt != NULL ? spelt : raw != NULL ? raw : base;
        if (value != NULL)
            params_set(table, &params, i, value);
        mem_free(spelt);
    }
    add_extra(client, &params, known);
    return params;
}

/* What RESET goes back to, where it is not the server's default. */
static void keep_wishes(struct client *client)
{
    struct params_table *table = client->worker->proxy->pools->params;
    const struct client_login *login = client->login;
    struct params *wishes = params_empty(table), *none = params_ref(table, wishes);
    for (size_t i = 0; i < params_count(table); i++) {
        if (login->raw[i] != NULL)
            params_set(table, &wishes, i, login->raw[i]);
    }
    for (size_t i = 0; i < login->n_extra; i++)
        params_put(table, &wishes, login->extra[i].name, login->extra[i].value);
    if (wishes != none)
        client->wishes = params_ref(table, wishes);
    params_unref(table, wishes);
    params_unref(table, none);
}

static void send_parameters(struct client *client, const struct welcome *welcome, struct buf *out)
{
    struct params_table *table = client->worker->proxy->pools->params;
    for (size_t i = 0; i < welcome->n; i++) {
        const struct welcome_param *param = &welcome->params[i];
        int index = params_index(table, param->name);
        const char *value = index >= 0 ? params_get(client->params, (size_t)index) : NULL;
        message_parameter_status(out, param->name, value != NULL ? value : param->value);
    }
}

/* Has it begun with something that nobody could give to another server, as the server does not report
 * it? */
static bool began_with_more(const struct opening *opening, const struct welcome *welcome)
{
    for (size_t i = 0; opening != NULL && i < opening->n; i++) {
        if (welcome_value(welcome, opening->params[i].name) == NULL)
            return true;
    }
    return false;
}

/* The client has its server already in session mode; else it gets one for each transaction. */
static void finish(struct client *client, const struct welcome *welcome)
{
    const char *notice = settings_of(client)->login_notify_message;
    struct server *server = client->server;
    struct buf out = BUF_NONE;
    client->keeps_server |= began_with_more(client->login->opening, welcome);
    if (state_is_tracked(client))
        keep_wishes(client);
    cancel_new_key(client, server != NULL ? load_u32(server->key) : 0);
    message_auth_ok(&out);
    send_parameters(client, welcome, &out);
    message_key_data(&out, client->key);
    if (notice[0] != '\0')
        response_notice(&out, "NOTICE", "00000", notice, NULL);
    message_ready(&out, TXN_IDLE);
    stream_write(&client->stream, out.data, out.len);
    buf_done(&out);
    if (client->stream.broken) {
        client_close(client, "client unexpected eof"); /* it has not waited for its welcome */
        return;
    }
    startup_free(client);
    client->part->stats.client_logins++;
    client->stalled = client->stash.len > 0; /* it has not waited for its welcome */
    if (server == NULL) {
        client_turn_idle(client);
        return;
    }
    client->state = CLIENT_ACTIVE;
    client_set_deadline(client);
    if (server->stream.readable)
        stream_yield(&server->stream);
    forward_read(client);
    relay_review(client); /* a drain may have begun meanwhile */
}

/* Welcomes the client if all that it must be told is known. */
static bool try_to_finish(struct client *client, const struct welcome *welcome)
{
    bool known = false;
    params_unref(client->worker->proxy->pools->params, client->params);
    client->params = initial_params(client, welcome, &known);
    if (known)
        finish(client, welcome);
    return known;
}

/* With what the pool knows, without a server. */
static bool try_without_server(struct client *client)
{
    struct pool *pool = client->part->pool;
    struct welcome *welcome = welcome_of(pool);
    bool finished = welcome != NULL && try_to_finish(client, welcome);
    welcome_unref(pool, welcome);
    return finished;
}

static bool needs_server(const struct client *client)
{
    return client_in_session_mode(client) || client->login->opening != NULL;
}

void greet_begin(struct client *client)
{
    client->state = CLIENT_WELCOME;
    client_set_deadline(client);
    if (needs_server(client) || !try_without_server(client))
        client_want_server(client);
}

/* What the session has where the client has no wish, and what it began with where it has one: a value
 * such as DateStyle's may say only a part, and leaves the rest as it was. */
static struct params *before_wishes(struct client *client)
{
    struct params_table *table = client->worker->proxy->pools->params;
    const struct server *server = client->server;
    struct params *params = params_ref(table, server->params);
    for (size_t i = 0; i < params_count(table); i++) {
        const char *value = welcome_value(server->welcome, params_name(table, i));
        if (client->login->raw[i] != NULL && value != NULL)
            params_set(table, &params, i, value);
    }
    return params;
}

static void ask_server(struct client *client)
{
    struct server *server = client->server;
    struct params_table *table = client->worker->proxy->pools->params;
    struct params *before = before_wishes(client);
    struct buf sql = BUF_NONE;
    bool differs = params_difference(table, server->params, before, &sql);
    differs |= params_difference(table, before, client->params, &sql);
    params_unref(table, before);
    if (!differs) {
        greet_parameters_set(client);
        return;
    }
    buf_append_u8(&sql, '\0');
    client->used = true;
    server->setting = true;
    server_send_query(server, sql.data, REPLY_INJECT, &client_replies, client, NULL);
    buf_done(&sql);
}

/* The server has taken the client's wish; value: as it reports it, or NULL if it does not. */
static void learn(struct client *client, size_t i, const char *raw, const char *value)
{
    struct pool *pool = client->part->pool;
    struct params_table *table = client->worker->proxy->pools->params;
    struct server *server = client->server;
    const char *name = params_name(table, i);
    const char *base = welcome_value(server->welcome, name);
    if (base == NULL)
        params_set(table, &server->params, i, raw);
    else if (value != NULL)
        canon_add(pool, name, base, raw, value);
}

static void learn_extra(struct client *client)
{
    const struct client_login *login = client->login;
    params_take_more(client->worker->proxy->pools->params, &client->server->params, client->params);
    for (size_t i = 0; login->opening == NULL && i < login->n_extra; i++)
        canon_add(client->part->pool, login->extra[i].name, "", login->extra[i].value,
                  login->extra[i].value);
}

/* Our statement has set the parameters of the session: now it is known how they are spelt. */
void greet_parameters_set(struct client *client)
{
    struct pool *pool = client->part->pool;
    struct params_table *table = client->worker->proxy->pools->params;
    struct server *server = client->server;
    struct welcome *welcome = welcome_ref(pool, server->welcome);
    server->setting = false;
    for (size_t i = 0; i < params_count(table); i++) {
        const char *raw = client->login->raw[i];
        if (raw != NULL)
            learn(client, i, raw, params_get(server->params, i));
        else if (params_get(client->params, i) == NULL)
            params_set(table, &server->params, i, NULL); /* it has been RESET, if it was set */
        const char *value = params_get(server->params, i);
        if (value != NULL)
            params_set(table, &client->params, i, value);
    }
    learn_extra(client);
    if (!needs_server(client)) {
        client->server = NULL;
        server_release(server);
    }
    finish(client, welcome);
    welcome_unref(pool, welcome);
}

void greet_granted(struct client *client)
{
    struct pool *pool = client->part->pool;
    struct server *server = client->server;
    if (client->stream.peer_closed) {
        client_close(client, "client unexpected eof");
        return;
    }
    bool keep = needs_server(client);
    struct welcome *welcome = welcome_ref(pool, server->welcome);
    if (!keep)
        client->server = NULL;
    bool finished = try_to_finish(client, welcome);
    welcome_unref(pool, welcome);
    if (finished && !keep) {
        server_release(server);
    } else if (!finished) {
        client->server = server;
        ask_server(client);
    }
}
