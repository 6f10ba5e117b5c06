/* WAIT_CLOSE, KILL and KILL_CLIENT: what must be looked for on every worker. */
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

static int sum(const struct buf *answers, size_t n_answers)
{
    int total = 0;
    for (size_t i = 0; i < n_answers; i++) {
        int count;
        memcpy(&count, answers[i].data, sizeof count);
        total += count;
    }
    return total;
}

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
    if (sum(answers, n_answers) == 0 || request_is_orphan(request) || control->ended)
        request_done(request, "WAIT_CLOSE");
    else
        control_ask_again(control, request);
}

void wait_close_ask(struct request *request)
{
    survey_start(request->control->proxy, request->control->loop, count_stale, end_count, request);
}

void act_wait_close(struct request *request)
{
    struct err err;
    if (!request_find_database(request, &err))
        request_fail(request, &err);
    else
        wait_close_ask(request);
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

/* ---- KILL_CLIENT ---- */

static void kill_client(struct worker *worker, struct buf *answer, const void *context)
{
    const struct request *request = context;
    uint64_t id = strtoull(request->command.argument, NULL, 10);
    struct client *client;
    struct err err;
    int count = 0;
    TAILQ_FOREACH (client, &worker->clients, entry) {
        if (client->id != id)
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
    struct request *request = context;
    struct err err;
    if (sum(answers, n_answers) > 0) {
        request_done(request, "KILL_CLIENT");
        return;
    }
    err_set(&err, SQLSTATE_UNDEFINED_OBJECT, "client not found");
    request_fail(request, &err);
}

void act_kill_client(struct request *request)
{
    const char *id = request->command.argument;
    struct err err;
    if (id[0] == '\0' || strspn(id, "0123456789") != strlen(id)) {
        err_set(&err, SQLSTATE_INVALID_PARAMETER_VALUE, "invalid client pointer supplied");
        request_fail(request, &err);
        return;
    }
    survey_start(request->control->proxy, request->control->loop, kill_client, end_kill_client,
                 request);
}
