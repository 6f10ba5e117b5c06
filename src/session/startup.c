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
#include "pool/opening.h"
#include "pool/params.h"
#include "pool/server.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/response.h"
#include "proto/startup.h"
#include "session/cancel.h"
#include "session/client.h"
#include "session/console.h"
#include "session/greet.h"
#include "session/login.h"
#include "session/worker.h"

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

static void free_param(struct startup_param *param)
{
    mem_free((char *)param->name);
    mem_free((char *)param->value);
}

void startup_free(struct client *client)
{
    struct client_login *login = client->login;
    if (login == NULL)
        return;
    client->worker->n_login--;
    for (size_t i = 0; i < PARAMS_MAX; i++)
        mem_free(login->raw[i]);
    for (size_t i = 0; i < login->n_extra; i++)
        free_param(&login->extra[i]);
    mem_free(login->extra);
    opening_unref(login->opening);
    client->waiter.opening = NULL;
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

/* ---- into the database ---- */

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
    if (!atomic_exchange(&database->used, true) && conf_find_database(settings, name) == NULL)
        log_info("registered new auto-database: %s", name);
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
        pools_enter(pools, name, db->user != NULL ? db->user : client->user, db->user != NULL);
    client->part = part_get(&client->worker->pool, pool);
    client->part->n_clients++;
    const struct scram_keys *keys =
        client->login->auth != NULL ? client_auth_keys(client->login->auth) : NULL;
    if (keys != NULL && db->user == NULL)
        pool_keep_keys(pool, keys);
    return login_has_been_failing(client, err);
}

static const char *const replication_words[] = {[STARTUP_NO_REPLICATION] = "no",
                                                [STARTUP_PHYSICAL_REPLICATION] = "yes",
                                                [STARTUP_LOGICAL_REPLICATION] = "database"};

static void log_login(const struct client *client)
{
    if (settings_of(client)->log_connections)
        client_log(client, LOG_INFO, "login attempt: db=%s user=%s tls=no replication=%s",
                   client->login->database, client->user, replication_words[client->replication]);
}

void startup_log_failure(const struct client *client)
{
    const struct client_login *login = client->login;
    if (login != NULL && login->database != NULL && settings_of(client)->log_connections)
        client_log(client, LOG_INFO, "login failed: db=%s user=%s", login->database, client->user);
}

static void authenticated(struct client *client)
{
    struct err err;
    if (!enter_database(client, &err)) {
        client_fail(client, &err);
        return;
    }
    greet_begin(client);
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

/* What the session shall begin with: given to its server at the start, if it has one of its own, or carried
 * from one to another. */
static void begin_with(struct client *client, const char *name, const char *value)
{
    struct client_login *login = client->login;
    login->extra = mem_resize(login->extra, (login->n_extra + 1) * sizeof *login->extra);
    login->extra[login->n_extra++] =
        (struct startup_param){.name = mem_strdup(name), .value = mem_strdup(value)};
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
    if (client->login->session_mode) {
        begin_with(client, name, value);
        client->keeps_server = true;
        return true;
    }
    if (client->login->tracked) {
        begin_with(client, name, value);
        return true;
    }
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
    bool with_options = startup->options != NULL && !conf_list_has_nocase(ignored, "options", 7);
    if (with_options && client->login->session_mode) {
        begin_with(client, "options", startup->options);
        client->keeps_server = true;
    } else if (with_options && !startup_options_parse(startup->options, keep_option, client, err)) {
        return false;
    }
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

/* In the mode that its pool has now; for replication there is no other. */
static bool wants_session_mode(const struct client *client)
{
    const struct settings *settings = settings_of(client);
    const char *name = client->login->database;
    if (client->replication != STARTUP_NO_REPLICATION)
        return true;
    if (console_is_name(name))
        return false;
    const struct conf_database *db = conf_database_for(settings, name);
    const char *user = db != NULL && db->user != NULL ? db->user : client->user;
    return conf_pool_mode(settings, db, conf_find_user(settings, user)) == POOL_SESSION;
}

static bool wants_tracking(const struct client *client)
{
    const struct settings *settings = settings_of(client);
    const struct conf_database *db = conf_database_for(settings, client->login->database);
    const char *user = db != NULL && db->user != NULL ? db->user : client->user;
    return !client->login->session_mode &&
           conf_session_state(settings, db, conf_find_user(settings, user)) != STATE_OFF;
}

/* What its server shall begin with.  application_name is left to SET, so that servers can be used
 * again; a walsender takes no SET. */
static bool choose_opening(struct client *client, struct err *err)
{
    struct client_login *login = client->login;
    const struct params_table *table = client->worker->proxy->pools->params;
    bool replicates = client->replication != STARTUP_NO_REPLICATION;
    size_t len = 0;
    for (size_t i = 0; i < params_count(table); i++) {
        if (login->raw[i] == NULL ||
            (!replicates && strcmp(params_name(table, i), "application_name") == 0))
            continue;
        begin_with(client, params_name(table, i), login->raw[i]);
        mem_free(login->raw[i]);
        login->raw[i] = NULL;
    }
    for (size_t i = 0; i < login->n_extra; i++)
        len += strlen(login->extra[i].name) + strlen(login->extra[i].value) + 2;
    if (len > LIMIT_SERVER_STARTUP)
        return err_set(err, SQLSTATE_PROGRAM_LIMIT_EXCEEDED,
                       "startup parameters of %zu bytes are more than a server takes", len);
    login->opening = opening_new(login->extra, login->n_extra, client->replication);
    client->waiter.opening = login->opening;
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
    client->replication = (uint8_t)replication;
    client->keeps_server = replication != STARTUP_NO_REPLICATION;
    if (client->keeps_server)
        begin_with(client, "replication", startup->replication);
    client->login->session_mode = wants_session_mode(client);
    client->login->tracked = wants_tracking(client);
    if (!admit(client, err) || !keep_parameters(client, startup, err))
        return false;
    add_host(client);
    if (client->login->session_mode && !choose_opening(client, err))
        return false;
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
    if (client->state != CLIENT_CLOSED && client->stash.len == 0) {
        if (client->stash.data != NULL)
            mem_wipe(client->stash.data, client->stash.cap); /* a password was in it */
        buf_done(&client->stash);
    }
}
