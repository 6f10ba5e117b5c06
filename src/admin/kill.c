/* WAIT_CLOSE, KILL, KILL_CLIENT and KILL_SERVER: what must be looked for on every worker. */
#include <stdlib.h>
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/settings.h"
#include "pool/server.h"
#include "session/client.h"
#include "session/console.h"

static bool concerns(const struct request *request, const struct part *part)
{
    return request->database == NULL || part->pool->database == request->database;
}

/* ---- WAIT_CLOSE ---- */

static void count_stale(struct worker *worker, struct buf *answer, const void *context)
{
    const struct request *request = context;
    const struct part *part;
    const struct server *server;
    int count = 0;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        if (!concerns(request, part))
            continue;
        TAILQ_FOREACH (server, &part->others, entry)
            count += part_is_stale(part, server);
    }
    buf_append(answer, &count, sizeof count);
}

static void end_count(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct control *control = request->control;
    if (request->canceled)
        request_fail_ended(request, "");
    else if (survey_sum(answers, n_answers) == 0 || request_is_orphan(request) || control->ended)
        request_done(request, "WAIT_CLOSE");
    else
        control_ask_again(control, request);
}

static void ask_stale(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, count_stale, end_count, request);
}

void act_wait_close(struct request *request)
{
    struct err err;
    if (!request_find_database(request, &err))
        request_fail(request, &err);
    else {
        request->again = ask_stale;
        ask_stale(request);
    }
}

/* ---- KILL ---- */

static void kill_all(struct worker *worker, struct buf *answer, const void *context)
{
    const struct request *request = context;
    struct client *client, *next;
    struct part *part;
    struct err err;
    err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "database removed");
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        if (client->part != NULL && concerns(request, client->part))
            client_fail(client, &err);
    }
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        if (concerns(request, part))
            part_close_all(part, "database removed");
    }
}

static void end_kill(void *context, struct buf *answers, size_t n_answers)
{
    request_done(context, "KILL");
}

void act_kill(struct request *request)
{
    struct control *control = request->control;
    struct err err;
    log_info("KILL '%s' command issued", request->command.argument);
    if (!request_find_database(request, &err) || !control_kill(control, request->database, &err))
        request_fail(request, &err);
    else
        survey_start(control->proxy, control->loop, kill_all, end_kill, request);
}

/* ---- KILL_CLIENT and KILL_SERVER ---- */

/* 0, which nobody has: it is no number. */
static uint64_t wanted_id(const struct request *request)
{
    const char *id = request->command.argument;
    return id[strspn(id, "0123456789")] == '\0' ? strtoull(id, NULL, 10) : 0;
}

static void ask_for_one(struct request *request, const char *what, survey_ask *ask, survey_end *end)
{
    struct err err;
    log_info("%s '%s' command issued", request->command.verb->name, request->command.argument);
    if (wanted_id(request) != 0) {
        survey_start(request->control->proxy, request->control->loop, ask, end, request);
        return;
    }
    err_set(&err, SQLSTATE_INVALID_PARAMETER_VALUE, "invalid %s pointer supplied", what);
    request_fail(request, &err);
}

static void answer_for_one(struct request *request, const char *what, int count)
{
    struct err err;
    if (count > 0) {
        request_done(request, request->command.verb->tag);
        return;
    }
    err_set(&err, SQLSTATE_UNDEFINED_OBJECT, "%s not found", what);
    request_fail(request, &err);
}

static void kill_client(struct worker *worker, struct buf *answer, const void *context)
{
    struct client *client;
    struct err err;
    int count = 0;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        if (client->id != wanted_id(context))
            continue;
        err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "admin forced disconnect");
        client_fail(client, &err);
        count = 1;
        break;
    }
    buf_append(answer, &count, sizeof count);
}

static void end_kill_client(void *context, struct buf *answers, size_t n_answers)
{
    answer_for_one(context, "client", survey_sum(answers, n_answers));
}

static struct session *find_session(const struct control *control, uint64_t id)
{
    struct session *session;
    TAILQ_FOREACH (session, &control->sessions, entry) {
        if (session->id == id)
            return session;
    }
    return NULL;
}

void act_kill_client(struct request *request)
{
    struct session *session = find_session(request->control, wanted_id(request));
    struct err err;
    if (session != NULL) { /* of the console: ours, and perhaps the one that asks */
        err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "admin forced disconnect");
        session_fail(session, &err);
        request_done(request, request->command.verb->tag);
        return;
    }
    ask_for_one(request, "client", kill_client, end_kill_client);
}

static struct server *find_in(const struct server_list *list, uint64_t id)
{
    struct server *server;
    TAILQ_FOREACH (server, list, entry) {
        if (server->id == id)
            return server;
    }
    return NULL;
}

static struct server *find_server(const struct worker *worker, uint64_t id)
{
    const struct part *part;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        struct server *server = find_in(&part->idle, id);
        if (server == NULL)
            server = find_in(&part->others, id);
        if (server != NULL)
            return server;
    }
    return NULL;
}

/* A client that has it cannot go on: what it has done on this server is lost. */
static void kill_server(struct worker *worker, struct buf *answer, const void *context)
{
    struct server *server = find_server(worker, wanted_id(context));
    struct err err;
    int count = server != NULL;
    err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "admin forced disconnect");
    if (server != NULL && server->client != NULL)
        client_fail_with_server(server->client, &err);
    else if (server != NULL)
        server_close(server, err.message);
    buf_append(answer, &count, sizeof count);
}

static void end_kill_server(void *context, struct buf *answers, size_t n_answers)
{
    answer_for_one(context, "server", survey_sum(answers, n_answers));
}

void act_kill_server(struct request *request)
{
    ask_for_one(request, "server", kill_server, end_kill_server);
}
