/* From a client's first byte to its first ReadyForQuery. */
#include <string.h>
#include <strings.h>

#include "auth/client_auth.h"
#include "base/clock.h"
#include "base/count.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/reader.h"
#include "conf/value.h"
#include "net/socket.h"
#include "pool/canon.h"
#include "pool/params.h"
#include "pool/server.h"
#include "pool/welcome.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/response.h"
#include "proto/startup.h"
#include "session/cancel.h"
#include "session/client.h"
#include "session/console.h"
#include "session/worker.h"

/* What only a client that logs in needs. */
struct client_login {
    bool ssl_asked, gss_asked; /* each may be asked once */
    char *database;            /* owned: as the client named it */
    char *raw[PARAMS_MAX];     /* owned: followed parameters as the client gave them, or NULL */
    struct client_auth *auth;  /* owned */
};

static const struct settings *settings_of(const struct client *client)
{
    return client->worker->pool.settings;
}

void startup_begin(struct client *client)
{
    client->login = mem_new(sizeof *client->login);
    client->worker->n_login++;
    client->state = CLIENT_STARTUP;
    client_set_deadline(client);
}

void startup_free(struct client *client)
{
    struct client_login *login = client->login;
    if (login == NULL)
        return;
    client->worker->n_login--;
    for (size_t i = 0; i < PARAMS_MAX; i++)
        mem_free(login->raw[i]);
    mem_free(login->database);
    client_auth_free(login->auth);
    mem_free(login);
    client->login = NULL;
}

static void send_buf(struct client *client, struct buf *out)
{
    stream_write(&client->stream, out->data, out->len);
    buf_done(out);
}

/* ---- the end of the login ---- */

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
 * The result is owned by the caller. */
static char *canonical(struct client *client, size_t i, const char *raw)
{
    struct params_table *table = client->worker->proxy->pools->params;
    const char *name = params_name(table, i);
    if (strcmp(name, "application_name") == 0 && ascii_name(raw))
        return mem_strdup(raw);
    return canon_find(client->part->pool, name, raw);
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
        const char *raw = client->login->raw[i], *value = raw;
        char *spelt = raw != NULL ? canonical(client, i, raw) : NULL;
        for (size_t k = 0; raw == NULL && k < welcome->n; k++) {
            if (strcasecmp(welcome->params[k].name, params_name(table, i)) == 0)
                value = welcome->params[k].value;
        }
        if (raw != NULL && spelt == NULL)
            *known = false;
        if (spelt != NULL)
            value = spelt;
        if (value != NULL) {
            params_set(table, &params, i, value);
        }
        mem_free(spelt);
    }
    return params;
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

static void finish(struct client *client, const struct welcome *welcome)
{
    const char *notice = settings_of(client)->login_notify_message;
    struct buf out = BUF_NONE;
    cancel_new_key(client);
    message_auth_ok(&out);
    send_parameters(client, welcome, &out);
    message_key_data(&out, client->key);
    if (notice[0] != '\0')
        response_notice(&out, "NOTICE", "00000", notice, NULL);
    message_ready(&out, TXN_IDLE);
    send_buf(client, &out);
    startup_free(client);
    client->part->stats.client_logins++;
    client->stalled = client->stash.len > 0; /* it has not waited for its welcome */
    client_turn_idle(client);
}

/* Welcomes the client if all that it must be told is known. */
static bool try_to_finish(struct client *client)
{
    struct pool *pool = client->part->pool;
    struct params_table *table = client->worker->proxy->pools->params;
    struct welcome *welcome = welcome_of(pool);
    bool known = false;
    if (welcome == NULL)
        return false;
    params_unref(table, client->params);
    client->params = initial_params(client, welcome, &known);
    if (known)
        finish(client, welcome);
    welcome_unref(pool, welcome);
    return known;
}

static void ask_server(struct client *client)
{
    struct server *server = client->server;
    struct params_table *table = client->worker->proxy->pools->params;
    struct buf sql = BUF_NONE;
    if (!params_difference(table, server->params, client->params, &sql)) {
        startup_parameters_set(client);
        return;
    }
    buf_append_u8(&sql, '\0');
    client->used = true;
    server_send_query(server, sql.data, REPLY_INJECT, &client_replies, client, NULL);
    buf_done(&sql);
}

/* Our statement has set the parameters of the session: now it is known how they are spelt. */
void startup_parameters_set(struct client *client)
{
    struct pool *pool = client->part->pool;
    struct params_table *table = client->worker->proxy->pools->params;
    struct server *server = client->server;
    struct welcome *welcome = welcome_of(pool);
    for (size_t i = 0; i < params_count(table); i++) {
        const char *value = params_get(server->params, i), *raw = client->login->raw[i];
        if (raw != NULL && value != NULL)
            canon_add(pool, params_name(table, i), raw, value);
        if (value == NULL)
            continue;
        params_set(table, &client->params, i, value);
    }
    client->server = NULL;
    server_release(server);
    finish(client, welcome);
    welcome_unref(pool, welcome);
}

void startup_granted(struct client *client)
{
    struct server *server = client->server;
    if (client->stream.peer_closed) {
        client_close(client, "client unexpected eof");
        return;
    }
    client->server = NULL;
    if (try_to_finish(client)) {
        server_release(server);
        return;
    }
    client->server = server;
    ask_server(client);
}

static bool login_has_been_failing(struct client *client, struct err *err)
{
    struct pool *pool = client->part->pool;
    pthread_mutex_lock(&pool->mutex);
    bool failing = pool->login_refused && atomic_load(&pool->size) == 0;
    struct err cached = pool->failure;
    pthread_mutex_unlock(&pool->mutex);
    if (failing && atomic_load(&pool->retry_at_us) > clock_now_us())
        return err_set(err, cached.sqlstate,
                       "server login has been failing, cached error: %.800s (server_login_retry)",
                       cached.message);
    return true;
}

static bool enter_database(struct client *client, struct err *err)
{
    const struct settings *settings = settings_of(client);
    struct pools *pools = client->worker->proxy->pools;
    const char *name = client->login->database;
    const struct conf_database *db = conf_database_for(settings, name);
    if (db == NULL)
        return err_set(err, SQLSTATE_INVALID_CATALOG_NAME, "no such database: %s", name);
    if (settings->auth_type == AUTH_ANY && db->user == NULL)
        return err_set(err, SQLSTATE_INVALID_AUTHORIZATION, "bouncer config error");
    struct database *database = pools_database(pools, name);
    if (atomic_load(&database->disabled))
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "database \"%s\" is disabled", name);
    struct role *role = pools_role(pools, client->user);
    bool admin = conf_list_has(settings->admin_users, client->user, strlen(client->user));
    int user_limit =
        admin ? 0
              : conf_max_user_client_connections(settings, conf_find_user(settings, client->user));
    int db_limit = admin ? 0 : conf_max_db_client_connections(settings, db);
    if (!count_take(&role->n_clients, user_limit))
        return err_set(err, SQLSTATE_TOO_MANY_CONNECTIONS,
                       "client connections exceeded (max_user_client_connections)");
    client->role = role;
    if (!count_take(&database->n_clients, db_limit))
        return err_set(err, SQLSTATE_TOO_MANY_CONNECTIONS,
                       "client connections exceeded (max_db_client_connections)");
    struct pool *pool =
        pools_get(pools, name, db->user != NULL ? db->user : client->user, db->user != NULL);
    client->part = part_get(&client->worker->pool, pool);
    client->part->n_clients++;
    const struct scram_keys *keys =
        client->login->auth != NULL ? client_auth_keys(client->login->auth) : NULL;
    if (keys != NULL && db->user == NULL)
        pool_keep_keys(pool, keys);
    return login_has_been_failing(client, err);
}

static void log_login(const struct client *client)
{
    if (settings_of(client)->log_connections)
        client_log(client, LOG_INFO, "login attempt: db=%s user=%s tls=no replication=no",
                   client->login->database, client->user);
}

static void authenticated(struct client *client)
{
    struct err err;
    if (!enter_database(client, &err)) {
        client_fail(client, &err);
        return;
    }
    client->state = CLIENT_WELCOME;
    client_set_deadline(client);
    if (!try_to_finish(client))
        client_want_server(client);
}

static void to_console(struct client *client)
{
    const struct settings *settings = settings_of(client);
    struct err err;
    size_t len = strlen(client->user);
    bool admin = conf_list_has(settings->admin_users, client->user, len);
    bool stats =
        conf_list_has(settings->stats_users, client->user, len) || settings->auth_type == AUTH_ANY;
    if (!admin && !stats) {
        err_set(&err, SQLSTATE_INVALID_AUTHORIZATION, "not allowed");
        client_fail(client, &err);
        return;
    }
    console_take_seat(client, admin);
}

static void step(struct client *client, enum auth_step step, struct buf *out, struct err *err)
{
    send_buf(client, out);
    switch (step) {
    case AUTH_CONTINUE:
        client->state = CLIENT_AUTH;
        break;
    case AUTH_FAILED:
        client_fail(client, err);
        break;
    case AUTH_OK:
        if (console_is_name(client->login->database))
            to_console(client);
        else
            authenticated(client);
        break;
    }
}

/* ---- the startup packet ---- */

static enum client_auth_method method_of(const struct settings *settings)
{
    switch (settings->auth_type) {
    case AUTH_PLAIN:
        return CLIENT_AUTH_PLAIN;
    case AUTH_MD5:
        return CLIENT_AUTH_MD5;
    case AUTH_SCRAM:
        return CLIENT_AUTH_SCRAM;
    default:
        return CLIENT_AUTH_TRUST;
    }
}

/* Who runs howdah may command it, as the user "pgbouncer" of its unix socket. */
static bool is_own_admin(const struct client *client)
{
    return console_is_name(client->login->database) && console_is_name(client->user) &&
           address_is_unix(&client->address) && socket_peer_is_us(client->stream.fd);
}

static void begin_auth(struct client *client)
{
    const struct settings *settings = settings_of(client);
    struct client_login *login = client->login;
    struct buf out = BUF_NONE;
    struct err err;
    if (is_own_admin(client)) {
        console_take_seat(client, true);
        return;
    }
    if (settings->auth_type == AUTH_ANY) {
        step(client, AUTH_OK, &out, &err);
        return;
    }
    login->auth =
        client_auth_new(method_of(settings), client->user, conf_find_secret(settings, client->user),
                        settings->scram_iterations, client->worker->proxy->mock_key,
                        client->worker->proxy->pools->scram_cache);
    enum auth_step first = client_auth_start(login->auth, &out, &err);
    step(client, first, &out, &err);
}

static bool keep_parameter(const char *name, const char *value, void *arg, struct err *err)
{
    struct client *client = arg;
    const struct params_table *table = client->worker->proxy->pools->params;
    int index = params_index(table, name);
    if (index >= 0) {
        mem_free(client->login->raw[index]);
        client->login->raw[index] = mem_strdup(value);
        return true;
    }
    if (conf_list_has_nocase(settings_of(client)->ignore_startup_parameters, name, strlen(name)))
        return true;
    return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE, "unsupported startup parameter: %.200s",
                   name);
}

static bool keep_option(const char *name, const char *value, void *arg, struct err *err)
{
    if (keep_parameter(name, value, arg, err))
        return true;
    return err_set(err, SQLSTATE_INVALID_PARAMETER_VALUE,
                   "unsupported startup parameter in options: %.200s", name);
}

static bool keep_parameters(struct client *client, const struct startup *startup, struct err *err)
{
    const char *ignored = settings_of(client)->ignore_startup_parameters;
    if (console_is_name(client->login->database))
        return true; /* it has no session that they could be for: drivers may send what they do */
    if (startup->options != NULL && !conf_list_has_nocase(ignored, "options", 7) &&
        !startup_options_parse(startup->options, keep_option, client, err))
        return false;
    for (size_t i = 0; i < startup->n_params; i++) {
        if (!keep_parameter(startup->params[i].name, startup->params[i].value, client, err))
            return false;
    }
    return true;
}

static void add_host(struct client *client)
{
    struct params_table *table = client->worker->proxy->pools->params;
    int index = params_index(table, "application_name");
    char address[80];
    if (!settings_of(client)->application_name_add_host || index < 0)
        return;
    int port = address_print(&client->address, address, sizeof address);
    char *old = client->login->raw[index];
    client->login->raw[index] = mem_printf("%s - %s:%d", old != NULL ? old : "app", address, port);
    mem_free(old);
}

/* Whether another client may come in; the console is always open. */
static bool admit(struct client *client, struct err *err)
{
    struct proxy *proxy = client->worker->proxy;
    if (console_is_name(client->login->database))
        return true;
    if (atomic_load(&proxy->shutdown) != SHUTDOWN_NONE)
        return err_set(err, SQLSTATE_ADMIN_SHUTDOWN, "pooler is shutting down");
    if (!count_take(&proxy->n_clients, settings_of(client)->max_client_conn))
        return err_set(err, SQLSTATE_TOO_MANY_CONNECTIONS,
                       "no more connections allowed (max_client_conn)");
    client->counted = true;
    return true;
}

static bool begin_session(struct client *client, const struct startup *startup, struct err *err)
{
    enum startup_replication replication;
    const char *database = startup->database != NULL ? startup->database : startup->user;
    client->user = mem_strdup(startup->user);
    client->login->database = mem_strdup(database);
    if (!startup_replication_of(startup, &replication, err))
        return false;
    if (replication != STARTUP_NO_REPLICATION)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "replication connections are not supported yet by this version");
    if (!admit(client, err) || !keep_parameters(client, startup, err))
        return false;
    add_host(client);
    log_login(client);
    struct buf out = BUF_NONE;
    startup_negotiate_version(&out, startup);
    send_buf(client, &out);
    return true;
}

/* SSLRequest and GSSENCRequest: not here.  Nothing may follow before our answer: bytes that did
 * would be taken for what comes after a handshake. */
static bool decline(struct client *client, bool *asked, const char *what, size_t behind,
                    struct err *err)
{
    if (behind > 0)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "received unencrypted data after %s",
                       what);
    if (*asked)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.0");
    *asked = true;
    stream_write(&client->stream, "N", 1);
    return true;
}

static void take_packet(struct client *client, const char *packet, size_t len, size_t behind)
{
    struct client_login *login = client->login;
    struct startup startup;
    struct err err;
    if (!startup_parse(packet, len, &startup, &err)) {
        client_fail(client, &err);
        return;
    }
    bool good = true;
    switch (startup.kind) {
    case STARTUP_SSL_REQUEST:
        good = decline(client, &login->ssl_asked, "SSL request", behind, &err);
        break;
    case STARTUP_GSS_REQUEST:
        good = decline(client, &login->gss_asked, "GSSAPI encryption request", behind, &err);
        break;
    case STARTUP_CANCEL:
        cancel_request(client, startup.cancel_key);
        break;
    case STARTUP_SESSION:
        good = begin_session(client, &startup, &err);
        if (good)
            begin_auth(client);
        break;
    }
    startup_done(&startup);
    if (!good)
        client_fail(client, &err);
}

/* ---- input ---- */

/* Length of the packet or message at the front of the input; 0: not known yet; false: a length
 * that none can have. */
static bool next_length(struct client *client, const char *data, size_t len, size_t *length,
                        struct err *err)
{
    *length = 0;
    if (client->state == CLIENT_STARTUP) {
        if (len < 4)
            return true;
        *length = load_u32(data);
        if (startup_length_ok((uint32_t)*length))
            return true;
        client_log(client, LOG_DEBUG, "invalid length of startup packet");
        client_close(client, NULL);
        return true;
    }
    if (len < MESSAGE_HEADER)
        return true;
    if (data[0] == FE_TERMINATE) {
        client_close(client, "client close request");
        return true;
    }
    if (data[0] != FE_PASSWORD)
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION,
                       "expected password response, got message type %d", (uint8_t)data[0]);
    uint32_t word = load_u32(data + 1);
    if (word < 4 || word - 4 > client_auth_max_body(client->login->auth))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid password packet size");
    *length = 1 + (size_t)word;
    return true;
}

static void take_password(struct client *client, const char *message, size_t length)
{
    struct buf out = BUF_NONE;
    struct err err;
    enum auth_step next = client_auth_message(client->login->auth, message + MESSAGE_HEADER,
                                              length - MESSAGE_HEADER, &out, &err);
    step(client, next, &out, &err);
}

/* One packet or message; false: more input is needed, or the client has gone on or away. */
static bool take(struct client *client)
{
    struct buf *in = &client->stash;
    struct err err;
    size_t length;
    if (!next_length(client, in->data, in->len, &length, &err)) {
        client_fail(client, &err);
        return false;
    }
    if (client->state == CLIENT_CLOSED || length == 0 || in->len < length)
        return false;
    /* Out of the stash first: whoever takes it may go on to read what follows. */
    struct buf packet = BUF_NONE;
    buf_append(&packet, in->data, length);
    buf_consume(in, length);
    size_t behind = in->len;
    if (client->state == CLIENT_STARTUP)
        take_packet(client, packet.data, length, behind);
    else
        take_password(client, packet.data, length);
    mem_wipe(packet.data, packet.len);
    buf_done(&packet);
    return client->state == CLIENT_STARTUP || client->state == CLIENT_AUTH;
}

void startup_read(struct client *client)
{
    enum { STEP = 2048 };
    while ((client->state == CLIENT_STARTUP || client->state == CLIENT_AUTH) &&
           client->stream.readable) {
        char *into = buf_reserve(&client->stash, STEP);
        ssize_t got = stream_read(&client->stream, into, STEP);
        if (got < 0) {
            client_close(client, NULL);
            return;
        }
        client->stash.len += (size_t)got;
        while (client->stash.len > 0 && take(client))
            continue;
    }
    if (client->state != CLIENT_CLOSED && client->stash.len == 0)
        buf_done(&client->stash);
}
