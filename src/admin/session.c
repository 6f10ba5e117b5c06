#include "admin/session.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "admin/control.h"
#include "admin/portals.h"
#include "admin/selection.h"
#include "base/container.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "conf/settings.h"
#include "net/peerlog.h"
#include "proto/build.h"
#include "proto/message.h"
#include "proto/response.h"
#include "session/console.h"

enum {
    MESSAGE_MAX = 65536, /* longest message of a client */
    READ_STEP = 8192,
    SEND_STEP = 32768,    /* output is sent once it is that long */
    PENDING_MAX = 262144, /* who does not read gets no more answers */
    STEPS_AT_ONCE = 64,   /* then the others have their turn */
};

static void session_work(struct session *session);

static void session_log(const struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void session_log(const struct session *session, const char *format, ...)
{
    struct peer peer = {.kind = 'C',
                        .ptr = session,
                        .database = "pgbouncer",
                        .user = session->user,
                        .address = &session->address};
    va_list args;
    va_start(args, format);
    peer_log(&peer, LOG_INFO, format, args);
    va_end(args);
}

/* ---- output ---- */

static void flush(struct session *session)
{
    if (session->closed)
        return;
    session->control->stats.console.sent += session->output.len;
    stream_write(&session->stream, session->output.data, session->output.len);
    buf_done(&session->output);
    if (session->stream.broken)
        session_close(session, "client unexpected eof");
}

/* Outside of a transaction portals last until here. */
static void ready(struct session *session)
{
    if (session->txn == TXN_IDLE)
        portals_close_all(session->portals);
    message_ready(&session->output, session->txn);
}

void session_fail(struct session *session, const struct err *err)
{
    response_error(&session->output, "FATAL", err);
    flush(session);
    session_close(session, err->message);
}

/* The protocol is broken, and with it the connection. */
static void fatal(struct session *session, const char *text)
{
    struct err err;
    err_set(&err, SQLSTATE_PROTOCOL_VIOLATION, "%s", text);
    session_fail(session, &err);
}

/* Of the extended protocol: then everything up to Sync is thrown away. */
static void extended_error(struct session *session, const struct err *err)
{
    response_error(&session->output, "ERROR", err);
    session->skipping = true;
}

/* ---- requests ---- */

static void free_request(struct request *request)
{
    command_done(&request->command);
    table_done(&request->table);
    mem_free(request);
}

bool request_is_orphan(const struct request *request)
{
    return request->session == NULL;
}

static void end_script(struct session *session)
{
    mem_free(session->script);
    session->script = NULL;
    ready(session);
}

static void send_portal(struct session *session, struct portal *portal)
{
    struct buf *out = &session->output;
    table_send(&portal->table, out, portal_formats(portal), portal->max_rows);
    if (!table_at_end(&portal->table))
        message_empty(out, BE_PORTAL_SUSPENDED);
    else
        message_command_complete(out, portal->tag);
}

static void answer_portal(struct session *session, struct request *request, const char *tag)
{
    struct portal *portal = request->portal;
    portal->table = request->table;
    request->table = (struct table){0};
    portal->tag = mem_strdup(tag);
    portal->executed = true;
    send_portal(session, portal);
}

static void answer_query(struct session *session, struct request *request, const char *tag)
{
    const struct table_formats text = {0};
    if (request->table.columns != NULL) {
        table_describe(&request->table, &session->output, text);
        table_send(&request->table, &session->output, text, 0);
    }
    message_command_complete(&session->output, tag);
}

void request_done(struct request *request, const char *tag)
{
    struct session *session = request->session;
    if (session != NULL) {
        session->request = NULL;
        if (request->command.selection != NULL)
            selection_apply(request->command.selection, &request->table.cells);
        if (request->portal != NULL)
            answer_portal(session, request, tag);
        else
            answer_query(session, request, tag);
    }
    free_request(request);
    if (session != NULL)
        session_work(session);
}

void request_fail(struct request *request, const struct err *err)
{
    struct session *session = request->session;
    if (session != NULL) {
        session->request = NULL;
        if (request->portal != NULL) {
            extended_error(session, err);
        } else {
            response_error(&session->output, "ERROR", err);
            end_script(session);
        }
    }
    free_request(request);
    if (session != NULL)
        session_work(session);
}

void request_fail_ended(struct request *request, const char *why)
{
    struct err err;
    err_set(&err, SQLSTATE_QUERY_CANCELED, "%s",
            request->canceled ? "canceling statement due to user request" : why);
    request_fail(request, &err);
}

void session_cancel(struct session *session)
{
    struct request *request = session->request;
    if (request == NULL)
        return; /* what it was for has been answered */
    request->canceled = true;
    if (request->cancel != NULL)
        request->cancel(request);
}

void request_set_transaction(struct request *request, char txn)
{
    if (request->session != NULL)
        request->session->txn = txn;
}

void request_notice(struct request *request, const char *message, const char *detail)
{
    if (request->session != NULL)
        response_notice(&request->session->output, "NOTICE", "00000", message, detail);
}

/* The one place where rights are checked.  The command is taken over. */
static void start_request(struct session *session, struct command command, struct portal *portal)
{
    struct request *request = mem_new(sizeof *request);
    struct err err;
    request->session = session;
    request->control = session->control;
    request->command = command;
    request->portal = portal;
    request->table.columns = command_columns(&command, &request->table.n_columns);
    session->request = request;
    session->requested_us = clock_now_us();
    session->control->stats.console.queries++;
    if (command.verb->right == RIGHT_CHANGE && !session->admin) {
        err_set(&err, SQLSTATE_INSUFFICIENT_PRIVILEGE, "admin access needed");
        request_fail(request, &err);
        return;
    }
    command.verb->run(request);
}

/* ---- the simple protocol ---- */

static void take_query(struct session *session, struct reader *body)
{
    const char *text = read_cstr(body);
    if (body->bad || reader_left(body) > 0) {
        fatal(session, "invalid message format");
        return;
    }
    portals_close_prepared(session->portals, "");
    portals_close(session->portals, "");
    session->script = mem_strdup(text);
    session->script_at = session->script;
}

static void continue_script(struct session *session)
{
    struct command command;
    struct err err;
    bool first = session->script_at == session->script;
    switch (command_next(&session->script_at, &command, &err)) {
    case COMMAND_END:
        if (first)
            message_empty(&session->output, BE_EMPTY_QUERY_RESPONSE);
        end_script(session);
        break;
    case COMMAND_INVALID:
        response_error(&session->output, "ERROR", &err);
        end_script(session);
        break;
    case COMMAND_FOUND:
        start_request(session, command, NULL);
        break;
    }
}

/* ---- the extended protocol ---- */

static void take_parse(struct session *session, struct reader *body)
{
    struct err err;
    if (portals_parse(session->portals, body, &err))
        message_empty(&session->output, BE_PARSE_COMPLETE);
    else
        extended_error(session, &err);
}

static void take_bind(struct session *session, struct reader *body)
{
    struct err err;
    if (portals_bind(session->portals, body, &err))
        message_empty(&session->output, BE_BIND_COMPLETE);
    else
        extended_error(session, &err);
}

static void describe_command(struct session *session, const struct command *command, bool empty,
                             struct table_formats formats)
{
    struct table table = {0};
    if (!empty)
        table.columns = command_columns(command, &table.n_columns);
    if (table.columns == NULL)
        message_empty(&session->output, BE_NO_DATA);
    else
        table_describe(&table, &session->output, formats);
}

static void describe_prepared(struct session *session, const char *name)
{
    struct err err;
    const struct prepared *prepared = portals_get_prepared(session->portals, name, &err);
    if (prepared == NULL) {
        extended_error(session, &err);
        return;
    }
    size_t mark = message_begin(&session->output, BE_PARAMETER_DESCRIPTION);
    buf_append_u16(&session->output, 0);
    message_end(&session->output, mark);
    describe_command(session, &prepared->command, prepared->empty, (struct table_formats){0});
}

static void describe_portal(struct session *session, const char *name)
{
    struct err err;
    const struct portal *portal = portals_get(session->portals, name, &err);
    if (portal == NULL)
        extended_error(session, &err);
    else
        describe_command(session, &portal->command, portal->empty, portal_formats(portal));
}

static void take_describe(struct session *session, struct reader *body)
{
    char what = (char)read_u8(body);
    const char *name = read_cstr(body);
    if (body->bad || reader_left(body) > 0 || (what != 'S' && what != 'P'))
        fatal(session, "invalid message format");
    else if (what == 'S')
        describe_prepared(session, name);
    else
        describe_portal(session, name);
}

static void take_close(struct session *session, struct reader *body)
{
    char what = (char)read_u8(body);
    const char *name = read_cstr(body);
    if (body->bad || reader_left(body) > 0 || (what != 'S' && what != 'P')) {
        fatal(session, "invalid message format");
        return;
    }
    if (what == 'S')
        portals_close_prepared(session->portals, name);
    else
        portals_close(session->portals, name);
    message_empty(&session->output, BE_CLOSE_COMPLETE);
}

static void execute(struct session *session, struct portal *portal)
{
    struct err err;
    if (portal->empty) {
        message_empty(&session->output, BE_EMPTY_QUERY_RESPONSE);
    } else if (!portal->executed) {
        start_request(session, command_copy(&portal->command), portal);
    } else if (portal->table.columns != NULL) {
        send_portal(session, portal);
    } else {
        err_set(&err, SQLSTATE_OBJECT_NOT_IN_STATE, "portal \"%.200s\" cannot be run",
                portal->name);
        extended_error(session, &err);
    }
}

static void take_execute(struct session *session, struct reader *body)
{
    struct err err;
    const char *name = read_cstr(body);
    uint32_t max_rows = read_u32(body);
    if (body->bad || reader_left(body) > 0) {
        fatal(session, "invalid message format");
        return;
    }
    struct portal *portal = portals_get(session->portals, name, &err);
    if (portal == NULL) {
        extended_error(session, &err);
        return;
    }
    portal->max_rows = max_rows <= INT32_MAX ? max_rows : 0;
    execute(session, portal);
}

static void take_sync(struct session *session)
{
    session->skipping = false;
    ready(session);
}

static void take_function_call(struct session *session)
{
    struct err err;
    err_set(&err, SQLSTATE_FEATURE_NOT_SUPPORTED, "function calls are not supported");
    response_error(&session->output, "ERROR", &err);
    ready(session);
}

/* ---- input ---- */

static void take_message(struct session *session, enum fe_kind kind, struct reader *body)
{
    if (session->skipping && kind != FE_SYNC && kind != FE_TERMINATE)
        return;
    switch (kind) {
    case FE_QUERY:
        take_query(session, body);
        break;
    case FE_PARSE:
        take_parse(session, body);
        break;
    case FE_BIND:
        take_bind(session, body);
        break;
    case FE_DESCRIBE:
        take_describe(session, body);
        break;
    case FE_EXECUTE:
        take_execute(session, body);
        break;
    case FE_CLOSE:
        take_close(session, body);
        break;
    case FE_SYNC:
        take_sync(session);
        break;
    case FE_FUNCTION_CALL:
        take_function_call(session);
        break;
    case FE_TERMINATE:
        session_close(session, "client close request");
        break;
    case FE_FLUSH: /* every answer is sent at the end of the turn */
    case FE_COPY_DATA:
    case FE_COPY_DONE:
    case FE_COPY_FAIL: /* outside of COPY without effect, as in PostgreSQL */
        break;
    case FE_PASSWORD:
        fatal(session, "unexpected authentication message");
        break;
    }
}

/* Is there a whole message, or one that will never be good? */
static bool next_message(struct session *session)
{
    struct buf *input = &session->input;
    if (input->len < MESSAGE_HEADER)
        return false;
    uint8_t kind = (uint8_t)input->data[0];
    uint32_t length = load_u32(input->data + 1);
    if (!fe_kind_known(kind) || length < 4 || !fe_length_ok(kind, length)) {
        fatal(session, "bad packet");
        return true;
    }
    if (length > MESSAGE_MAX) {
        fatal(session, "message of the admin console is too long");
        return true;
    }
    if (input->len - 1 < length)
        return false;
    struct reader body = reader_of(input->data + MESSAGE_HEADER, length - 4);
    take_message(session, (enum fe_kind)kind, &body);
    buf_consume(input, 1 + (size_t)length);
    return true;
}

/* More input; false: there is none now. */
static bool fill(struct session *session)
{
    if (!session->stream.readable)
        return false;
    char *into = buf_reserve(&session->input, READ_STEP);
    ssize_t got = stream_read(&session->stream, into, READ_STEP);
    if (got < 0) {
        session_close(session, "client unexpected eof");
        return false;
    }
    session->input.len += (size_t)got;
    session->control->stats.console.received += (uint64_t)got;
    return got > 0 || session->stream.readable;
}

/* Does one thing; false: there is nothing to do now. */
static bool step(struct session *session)
{
    if (session->output.len >= SEND_STEP)
        flush(session);
    if (session->closed || session->request != NULL ||
        stream_pending(&session->stream) > PENDING_MAX)
        return false;
    if (session->script != NULL) {
        continue_script(session);
        return true;
    }
    return next_message(session) || fill(session);
}

static void session_work(struct session *session)
{
    int steps = 0;
    if (session->working || session->closed)
        return;
    session->working = true;
    while (steps < STEPS_AT_ONCE && step(session))
        steps++;
    session->working = false;
    flush(session);
    if (steps == STEPS_AT_ONCE && !session->closed)
        stream_yield(&session->stream);
}

static void on_readable(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    /* Who has gone need not wait for the answer; PAUSE and the like go on without it. */
    if (session->request != NULL && stream->peer_closed)
        session_close(session, "client unexpected eof");
    else
        session_work(session);
}

static void on_drained(struct stream *stream)
{
    session_work((struct session *)stream);
}

static const struct stream_events events = {.readable = on_readable, .drained = on_drained};

/* ---- from the beginning to the end ---- */

static void welcome(struct session *session)
{
    static const char *const parameters[][2] = {
        {"server_version", "1.25.2/bouncer"}, /* tools tell a console by it */
        {"client_encoding", "UTF8"},
        {"server_encoding", "UTF8"},
        {"DateStyle", "ISO"},
        {"TimeZone", "GMT"},
        {"standard_conforming_strings", "on"},
        {"is_superuser", "on"},
        {"integer_datetimes", "on"},
    };
    struct buf *out = &session->output;
    message_auth_ok(out);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        message_parameter_status(out, parameters[i][0], parameters[i][1]);
    message_key_data(out, session->key);
    ready(session);
}

void session_open(struct control *control, struct console_seat *seat)
{
    struct session *session = mem_new(sizeof *session);
    session->control = control;
    session->portals = portals_new();
    session->txn = TXN_IDLE;
    session->address = seat->address;
    session->user = seat->user;
    session->admin = seat->admin;
    session->id = seat->id;
    memcpy(session->key, seat->key, sizeof session->key);
    session->connected_us = session->requested_us = seat->connected_us;
    session->input = seat->input;
    int fd = seat->fd;
    seat->fd = -1;
    seat->user = NULL;
    seat->input = (struct buf)BUF_NONE;
    console_seat_free(seat);
    TAILQ_INSERT_TAIL(&control->sessions, session, entry);
    control->n_sessions++;
    control->stats.console.client_logins++;
    stream_open(&session->stream, control->loop, fd, false, &events);
    session->stream.readable = true;
    welcome(session);
    session_work(session);
}

static void deliver_free(struct mail *mail, struct loop *loop)
{
    struct session *session = CONTAINER_OF(mail, struct session, mail);
    portals_free(session->portals);
    buf_done(&session->input);
    buf_done(&session->output);
    mem_free(session->script);
    mem_free(session->user);
    mem_free(session);
}

void session_close(struct session *session, const char *reason)
{
    struct control *control = session->control;
    if (session->closed)
        return;
    session->closed = true;
    if (session->request != NULL)
        session->request->session = NULL;
    session->request = NULL;
    if (reason != NULL && control->settings->log_disconnections)
        session_log(session, "closing because: %s (age=%llds)", reason,
                    (long long)((clock_now_us() - session->connected_us) / 1000000));
    stream_close(&session->stream);
    TAILQ_REMOVE(&control->sessions, session, entry);
    control->n_sessions--;
    control_session_gone(control, session);
    session->mail.deliver = deliver_free;
    loop_later(control->loop, &session->mail);
}
