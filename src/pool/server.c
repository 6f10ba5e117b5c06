#include "pool/server.h"

#include <assert.h>
#include <string.h>

#include "auth/server_auth.h"
#include "base/container.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "conf/value.h"
#include "net/socket.h"
#include "pool/cancel.h"
#include "pool/clean.h"
#include "pool/login.h"
#include "pool/opening.h"
#include "pool/params.h"
#include "pool/part.h"
#include "pool/pool.h"
#include "pool/serverlog.h"
#include "pool/undo.h"
#include "pool/welcome.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/startup.h"
#include "topology/view.h"

/* A look-up under way; outlives its server if that is closed before. */
struct lookup {
    struct resolve_request request; /* first: the resolver finds us by it */
    struct server *server;          /* borrowed; NULL once it has been closed */
    int port;
};

/* What only a connection that is being made needs. */
struct attempt {
    struct server_login *login; /* owned; NULL until connected */
    struct lookup *lookup;      /* borrowed from the resolver; NULL when none is under way */
    struct address addresses[RESOLVE_MAX_ADDRESSES];
    size_t n_addresses, next; /* next: how many have been tried */
    size_t first;             /* which of them is tried first: each has its turn */
    struct err err;           /* of the last address */
    size_t bytes;             /* of messages during the login */
};

static const struct stream_events events;

static struct loop *loop_of(const struct server *server)
{
    return server->part->worker->loop;
}

static bool connecting(const struct server *server)
{
    return server->state == SERVER_CONNECTING || server->state == SERVER_LOGIN || server->starting;
}

/* ---- the end ---- */

static void deliver_free(struct mail *mail, struct loop *loop)
{
    struct server *server = CONTAINER_OF(mail, struct server, mail);
    pool_leave(server->part->pool);
    gauge_unref(server->gauge);
    mem_free(server->host);
    mem_free(server);
}

void server_free_if_unused(struct server *server)
{
    if (server->state != SERVER_CLOSED || server->cancels > 0)
        return;
    server->mail.deliver = deliver_free;
    loop_later(loop_of(server), &server->mail);
}

static void free_attempt(struct server *server)
{
    struct attempt *attempt = server->attempt;
    if (attempt == NULL)
        return;
    if (attempt->lookup != NULL)
        attempt->lookup->server = NULL;
    login_free(attempt->login);
    mem_free(attempt);
    server->attempt = NULL;
}

void server_close(struct server *server, const char *reason)
{
    struct part *part = server->part;
    struct pools *pools = part->pool->pools;
    bool was_connecting = connecting(server);
    if (server->state == SERVER_CLOSED)
        return;
    if (reason != NULL && part->worker->settings->log_disconnections)
        server_log(server, LOG_INFO, "closing because: %s (age=%llds)", reason,
                   (long long)((clock_now_us() - server->connected_us) / 1000000));
    /* PostgreSQL does not look whether anybody still waits for a statement. */
    if (server->replies.count > 0 && !server->stream.peer_closed && !part->worker->stopping &&
        !server->replies.copy_both)
        server_cancel(server, NULL, NULL);
    if (server->stream.fd >= 0 && !was_connecting && !server->stream.peer_closed &&
        server->stream.out.len == 0)
        stream_write(&server->stream, "X\0\0\0\4", 5);
    if (server->stream.peer_closed && !was_connecting)
        part_suspect(part);
    part_expect_no_more(server);
    part_disown(server);
    if (server->testing)
        part->n_testing--;
    server->testing = server->starting = false;
    server->state = SERVER_CLOSED;
    free_attempt(server);
    stream_close(&server->stream);
    deadline_clear(loop_of(server), &server->deadline);
    replies_done(&server->replies);
    statement_set_done(&server->prepared, pools->statements);
    params_unref(pools->params, server->params);
    buf_done(&server->stash);
    buf_done(&server->again);
    welcome_unref(part->pool, server->welcome);
    server->welcome = NULL;
    opening_unref(server->opening);
    server->opening = NULL;
    part_server_gone(server, was_connecting);
    if (server->listens)
        part_listener_gone(server);
    server_free_if_unused(server);
}

/* ---- connecting ---- */

/* With load_balance_hosts = disable all servers go to one host, until that fails. */
static void leave_host(struct server *server)
{
    const struct conf_database *db = server->part->db;
    unsigned index = server->host_index;
    if (db != NULL && db->balance_hosts == BALANCE_DISABLE)
        atomic_compare_exchange_strong(&server->part->pool->next_host, &index, index + 1);
}

static void fail_attempt(struct server *server, const struct err *err, bool refused_login)
{
    struct err copy = *err; /* the attempt, which may hold it, goes first */
    if (refused_login)
        server_log(server, LOG_WARNING, "server login failed: FATAL %s", copy.message);
    else
        server_log(server, LOG_WARNING, "%s", copy.message);
    leave_host(server);
    part_connect_failed(server, &copy, refused_login);
    server_close(server, refused_login ? "login failed" : "connect failed");
}

/* Whether the server will say the same again: not if it is only starting or shutting down, or if
 * somebody has ended the backend (class 57P). */
static bool is_lasting(const struct err *err)
{
    return strncmp(err->sqlstate, "57P", 3) != 0;
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    struct server *server = CONTAINER_OF(deadline, struct server, deadline);
    struct err err;
    if (!connecting(server)) {
        server_close(server, server->testing ? "test query failed"
                                             : "client disconnect while server was not ready");
        return;
    }
    if (!server->starting && server->attempt->err.sqlstate[0] != '\0' && server->stream.fd < 0) {
        fail_attempt(server, &server->attempt->err, false);
        return;
    }
    err_set(&err, SQLSTATE_CANNOT_CONNECT, "connect timeout");
    fail_attempt(server, &err, false);
}

static void try_next_address(struct server *server)
{
    struct attempt *attempt = server->attempt;
    bool pending = false;
    while (attempt->next < attempt->n_addresses) {
        server->address =
            attempt->addresses[(attempt->first + attempt->next++) % attempt->n_addresses];
        int fd = socket_connect(&server->address, server->part->worker->settings, &pending,
                                &attempt->err);
        if (fd >= 0) {
            /* A socket that is connected already is writable at once: one path for both. */
            stream_open(&server->stream, loop_of(server), fd, true, &events);
            return;
        }
    }
    /* Told from the loop, never from within server_connect(): its caller counts attempts. */
    deadline_set(loop_of(server), &server->deadline, DEADLINE_CONNECT, clock_now_us());
}

static void deliver_addresses(struct mail *mail, struct loop *loop)
{
    struct lookup *lookup = (struct lookup *)mail;
    struct server *server = lookup->server;
    if (server != NULL) {
        struct attempt *attempt = server->attempt;
        attempt->lookup = NULL;
        attempt->n_addresses = lookup->request.n_addresses;
        memcpy(attempt->addresses, lookup->request.addresses, sizeof attempt->addresses);
        for (size_t i = 0; i < attempt->n_addresses; i++)
            address_set_port(&attempt->addresses[i], lookup->port);
        attempt->first = server->host_index;
        if (attempt->n_addresses == 0)
            err_set(&attempt->err, SQLSTATE_CANNOT_CONNECT, "server DNS lookup failed: %s",
                    lookup->request.error);
        try_next_address(server);
    }
    mem_free(lookup);
}

static void look_up(struct server *server, int port)
{
    struct lookup *lookup = mem_new(sizeof *lookup);
    lookup->server = server;
    lookup->port = port;
    lookup->request.mail.deliver = deliver_addresses;
    lookup->request.loop = loop_of(server);
    size_t len = strlen(server->host);
    if (len >= sizeof lookup->request.host)
        len = sizeof lookup->request.host - 1;
    memcpy(lookup->request.host, server->host, len);
    server->attempt->lookup = lookup;
    resolver_ask(server->part->pool->pools->resolver, &lookup->request);
}

/* Of a list, the next; and a name with several addresses begins with another each time. */
static void choose_host(struct server *server, const struct part *part)
{
    const struct conf_database *db = part->db;
    const char *hosts = part->hosts != NULL ? part->hosts : "",
               *dir = part->worker->settings->unix_socket_dir;
    atomic_uint *next = &part->pool->next_host;
    struct slice host = {NULL, 0};
    unsigned n = 0;
    server->host_index =
        db->balance_hosts == BALANCE_DISABLE ? atomic_load(next) : atomic_fetch_add(next, 1);
    for (const char *at = hosts; conf_list_next(&at, &host);)
        n++;
    unsigned wanted = n > 0 ? server->host_index % n + 1 : 0;
    for (const char *at = hosts; wanted > 0 && conf_list_next(&at, &host);)
        wanted--;
    if (n > 0)
        server->host = mem_strndup(host.ptr, host.len);
    else
        server->host = mem_strdup(dir[0] != '\0' ? dir : "/tmp");
}

/* A counted reference; NULL: it is of no cluster. */
static struct node_gauge *gauge_of(const struct part *part)
{
    const struct cluster_view *cluster = part->cluster;
    if (part->node != NULL)
        return gauge_ref(part->node->gauge);
    return cluster != NULL && cluster->primary >= 0
               ? gauge_ref(cluster->nodes[cluster->primary].gauge)
               : NULL;
}

static struct server *make(struct part *part)
{
    struct server *server = mem_new(sizeof *server);
    server->id = atomic_fetch_add(&part->pool->pools->last_id, 1) + 1;
    atomic_fetch_add(&part->pool->n_holders, 1);
    server->target = part->target;
    server->home = part->home;
    server->epoch = part_epoch(part);
    server->connected_us = clock_now_us();
    server->stream.fd = -1;
    server->txn = TXN_IDLE;
    server->params = params_empty(part->pool->pools->params);
    server->gauge = gauge_of(part);
    choose_host(server, part);
    server->attempt = mem_new(sizeof *server->attempt);
    server->deadline.expired = on_deadline;
    statement_set_init(&server->prepared);
    return server;
}

static void begin(struct server *server)
{
    struct part *part = server->part;
    int64_t timeout_us = part->worker->settings->server_connect_timeout_us;
    if (timeout_us > 0)
        deadline_set(loop_of(server), &server->deadline, DEADLINE_CONNECT,
                     server->connected_us + timeout_us);
    if (!address_parse(server->host, part->port, &server->attempt->addresses[0])) {
        look_up(server, part->port);
        return;
    }
    server->attempt->n_addresses = 1;
    try_next_address(server);
}

void server_connect(struct part *part, struct waiter *waiter)
{
    struct server *server = make(part);
    if (waiter != NULL) {
        server->opening = opening_ref(waiter->opening);
        server->waiter = waiter;
        waiter->coming = server;
    }
    part_enlist(part, server, SERVER_CONNECTING);
    begin(server);
}

void server_connect_listener(struct part *part)
{
    struct server *server = make(part);
    server->listens = true;
    part->listener = server;
    part_enlist(part, server, SERVER_CONNECTING);
    begin(server);
}

static struct server_login *begin_login(struct server *server)
{
    struct part *part = server->part;
    struct pool *pool = part->pool;
    struct server_credentials credentials = {.user = pool->user, .secret = part->db->password};
    struct pool *keeper = pool->home != NULL ? pool->home : pool;
    struct scram_keys keys;
    pthread_mutex_lock(&keeper->mutex);
    if (keeper->has_keys) {
        keys = keeper->keys;
        credentials.keys = &keys;
    }
    pthread_mutex_unlock(&keeper->mutex);
    if (credentials.secret == NULL)
        credentials.secret = conf_find_secret(part->worker->settings, pool->user);
    struct server_login *login = login_new(&credentials, pool->pools->scram_cache);
    mem_wipe(&keys, sizeof keys);
    return login;
}

static void send_startup(struct server *server)
{
    const struct part *part = server->part;
    const struct conf_database *db = part->db;
    const struct opening *opening = server->opening;
    size_t n = 0, n_own = opening != NULL ? opening->n : 0;
    struct startup_param *params = mem_new_array(6 + n_own, sizeof *params);
    params[n++] = (struct startup_param){"user", part->pool->user};
    params[n++] = (struct startup_param){
        "database", db->dbname != NULL ? db->dbname : part->pool->database->name};
    if (db->client_encoding != NULL)
        params[n++] = (struct startup_param){"client_encoding", db->client_encoding};
    if (db->datestyle != NULL)
        params[n++] = (struct startup_param){"datestyle", db->datestyle};
    if (db->timezone != NULL)
        params[n++] = (struct startup_param){"timezone", db->timezone};
    if (db->application_name != NULL)
        params[n++] = (struct startup_param){"application_name", db->application_name};
    /* Of a parameter given twice the last one counts: the client's. */
    for (size_t i = 0; i < n_own; i++)
        params[n++] = opening->params[i];
    struct buf out = BUF_NONE;
    message_startup(&out, params, n);
    stream_write(&server->stream, out.data, out.len);
    buf_done(&out);
    mem_free(params);
}

static void connected(struct server *server)
{
    int code = socket_error(server->stream.fd);
    if (code == 0 && server->part->db == NULL) {
        server_close(server, "database removed");
        return;
    }
    if (code != 0) {
        err_set(&server->attempt->err, SQLSTATE_CANNOT_CONNECT, "connect failed: %s",
                strerror(code));
        stream_close(&server->stream);
        try_next_address(server);
        return;
    }
    server->stream.connecting = false;
    server->state = SERVER_LOGIN;
    socket_local(server->stream.fd, &server->local);
    server->attempt->login = begin_login(server);
    send_startup(server);
}

/* ---- login ---- */

static void log_login(const struct server *server)
{
    char from[ADDRESS_TEXT];
    if (!server->part->worker->settings->log_connections)
        return;
    if (address_is_unix(&server->local))
        server_log(server, LOG_INFO, "new connection to server");
    else
        server_log(server, LOG_INFO, "new connection to server (from %s)",
                   address_text(&server->local, from));
}

static void logged_in(struct server *server)
{
    struct pool *pool = server->part->pool;
    struct params_table *table = pool->pools->params;
    struct welcome *welcome = login_take_welcome(server->attempt->login);
    memcpy(server->key, login_key(server->attempt->login), sizeof server->key);
    for (size_t i = 0; i < welcome->n; i++) {
        int index = params_index(table, welcome->params[i].name);
        if (index < 0)
            continue;
        params_set(table, &server->params, (size_t)index, welcome->params[i].value);
    }
    server->welcome = welcome;
    if (server->opening == NULL)
        welcome_replace(pool, welcome_ref(pool, welcome));
    free_attempt(server);
    log_login(server);
    const char *sql = server->part->db->connect_query;
    if (sql != NULL) {
        server_begin_connect_query(server, sql);
        return;
    }
    deadline_clear(loop_of(server), &server->deadline);
    server->state = SERVER_LEASED; /* nobody's yet: part_server_ready() places it */
    part_server_ready(server);
}

static enum login_state feed_login(struct server *server, const char *at, uint32_t length,
                                   struct err *err)
{
    struct buf out = BUF_NONE;
    enum login_state state = login_step(server->attempt->login, (uint8_t)at[0], at + MESSAGE_HEADER,
                                        length - 4, &out, err);
    stream_write(&server->stream, out.data, out.len);
    if (out.data != NULL)
        mem_wipe(out.data, out.len);
    buf_done(&out);
    return state;
}

/* Feeds the whole messages that are there; gives the bytes used. */
static size_t feed_all(struct server *server, const char *data, size_t len, enum login_state *state,
                       struct err *err)
{
    size_t at = 0;
    while (len - at >= MESSAGE_HEADER && *state < LOGIN_DONE) {
        uint32_t length = load_u32(data + at + 1);
        if (length < 4 || length > LIMIT_SERVER_SMALL) {
            err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "invalid message length from server");
            *state = LOGIN_FAILED;
            break;
        }
        if (len - at < 1 + (size_t)length)
            break;
        *state = feed_login(server, data + at, length, err);
        at += 1 + (size_t)length;
    }
    return at;
}

/* One read, and what it brought.  False: the login is over, one way or the other. */
static bool turn_login(struct server *server)
{
    struct err err = ERR_NONE;
    char *data;
    size_t len;
    ssize_t got = stream_fill(&server->stream, loop_of(server), &server->stash, &data, &len);
    enum login_state state = LOGIN_STARTING;
    size_t used = feed_all(server, data, len, &state, &err);
    server->attempt->bytes += used;
    bool more = used < len;
    stream_keep(&server->stash, data, len, used);
    if (state == LOGIN_FAILED) {
        fail_attempt(server, &err, is_lasting(&err));
        return false;
    }
    if (state == LOGIN_DONE && !more) {
        logged_in(server);
        return false;
    }
    if (got >= 0 && state != LOGIN_DONE && server->attempt->bytes <= LIMIT_SERVER_LOGIN)
        return true;
    /* Behind its ReadyForQuery nobody has asked it for anything: it is probably shutting down. */
    err_set(&err, SQLSTATE_CONNECTION_FAILURE, "server %s",
            got < 0 ? "closed the connection during login" : "said more than its login needs");
    fail_attempt(server, &err, false);
    return false;
}

static void read_login(struct server *server)
{
    enum { TURNS = 16 };
    for (int i = 0; i < TURNS && server->stream.readable; i++) {
        if (!turn_login(server))
            return;
    }
    if (server->stream.readable)
        stream_yield(&server->stream);
}

/* ---- what the socket has to say ---- */

static void on_readable(struct stream *stream)
{
    struct server *server = (struct server *)stream;
    switch (server->state) {
    case SERVER_LOGIN:
        read_login(server);
        break;
    case SERVER_LEASED:
        server->part->worker->events->readable(server);
        break;
    case SERVER_LISTENING:
        server->part->worker->events->heard(server);
        break;
    case SERVER_IDLE:
    case SERVER_CLEANING:
    case SERVER_CANCELED:
        server_clean_read(server);
        break;
    case SERVER_CONNECTING: /* an error: the writable edge reports it */
    case SERVER_FREE:
    case SERVER_MOVING:
    case SERVER_CLOSED:
        break;
    }
}

static void on_drained(struct stream *stream)
{
    struct server *server = (struct server *)stream;
    if (server->state == SERVER_CONNECTING)
        connected(server);
    else if (server->state == SERVER_LEASED)
        server->part->worker->events->drained(server);
}

static const struct stream_events events = {.readable = on_readable, .drained = on_drained};

/* ---- shared by those who talk to a server ---- */

void server_send_query(struct server *server, const char *sql, enum reply_action action,
                       const struct replies_events *reply_events, void *context, void *note)
{
    struct buf out = BUF_NONE;
    message_query(&out, sql);
    replies_expect(&server->replies, reply_events, context, REPLY_QUERY, action, note);
    stream_write(&server->stream, out.data, out.len);
    buf_done(&out);
}

int server_take_parameter(struct server *server, const char *body, size_t len)
{
    struct params_table *table = server->part->pool->pools->params;
    struct reader reader = reader_of(body, len);
    const char *name = read_cstr(&reader), *value = read_cstr(&reader);
    int index = reader.bad ? -1 : params_index(table, name);
    if (index < 0)
        return -1;
    params_set(table, &server->params, (size_t)index, value);
    return index;
}

/* Values that the server does not report are its defaults again. */
static void forget_unreported(struct server *server)
{
    struct params_table *table = server->part->pool->pools->params;
    struct params *empty = params_empty(table);
    params_take_more(table, &server->params, empty);
    params_unref(table, empty);
    for (size_t i = 0; i < params_count(table); i++) {
        if (params_get(server->params, i) != NULL &&
            welcome_value(server->welcome, params_name(table, i)) == NULL)
            params_set(table, &server->params, i, NULL);
    }
}

/* Does the next transaction belong to another client? */
static bool is_shared(const struct server *server)
{
    return server->part->mode != POOL_SESSION && server->opening == NULL;
}

/* Which settings a client has reset, for the rest of its transaction or longer, is not known here.  If its
 * session is tracked, PostgreSQL is asked for that anyway. */
static void take_reset(struct server *server)
{
    if (server->state != SERVER_LEASED || !is_shared(server))
        forget_unreported(server);
    else if (server->part->session_state == STATE_OFF)
        server->undo |= UNDO_SETTINGS;
}

/* Are prepared statements known by names of ours? */
static bool renames(const struct server *server)
{
    return is_shared(server) && server->part->worker->settings->max_prepared_statements > 0;
}

bool server_take_command(struct server *server, const char *body, size_t len)
{
    struct slice tag = {body, len > 0 ? len - 1 : 0};
    if (tag.len == 0 || (body[0] != 'D' && body[0] != 'P' && body[0] != 'L' && body[0] != 'R'))
        return false; /* most are none of these */
    if (slice_is(tag, "DISCARD ALL") || slice_is(tag, "RESET"))
        take_reset(server);
    if (slice_is(tag, "LISTEN") && is_shared(server))
        server->undo |= UNDO_LISTEN;
    const struct reply *head = replies_head(&server->replies);
    bool noted = head != NULL && head->note != NULL;
    if (renames(server) && !noted && (slice_is(tag, "PREPARE") || slice_is(tag, "DEALLOCATE")))
        server->undo |= UNDO_STATEMENTS;
    if (!slice_is(tag, "DISCARD ALL") && !slice_is(tag, "DEALLOCATE ALL"))
        return false;
    /* What stands behind it may rely on what is no more. */
    server->undo &= (uint8_t)~UNDO_STATEMENTS;
    if (renames(server) && !replies_only_syncs_follow(&server->replies))
        server->undo |= UNDO_STATEMENTS;
    struct statement_table *table = server->part->pool->pools->statements;
    if (server->state == SERVER_CLEANING)
        statement_set_done(&server->prepared, table); /* nobody waits for replies any more */
    else
        statement_set_clear(&server->prepared, table);
    return true;
}

/* ---- from worker to worker ---- */

static void deliver_server(struct mail *mail, struct loop *loop)
{
    struct server *server = CONTAINER_OF(mail, struct server, mail);
    stream_attach(&server->stream, loop);
    part_adopt(server->part, server);
}

void server_hand_over(struct server *server, struct part *to)
{
    server->state = SERVER_MOVING;
    stream_detach(&server->stream);
    server->part = to;
    server->mail.deliver = deliver_server;
    loop_post(to->worker->loop, &server->mail);
}
