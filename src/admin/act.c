/* Commands that change something. */
#include <string.h>
#include <strings.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/settings.h"
#include "proto/message.h"
#include "session/console.h"
#include "topology/topology.h"

void act_begin(struct request *request)
{
    request_set_transaction(request, TXN_OPEN);
    request_done(request, "BEGIN");
}

void act_end(struct request *request)
{
    request_set_transaction(request, TXN_IDLE);
    request_done(request, request->command.verb->name);
}

void act_set_variable(struct request *request)
{
    request_notice(request, "SET ignored", NULL);
    request_done(request, "SET");
}

/* The workers have got the settings when each of them has answered an empty question. */
static void end_reload(void *context, struct buf *answers, size_t n_answers)
{
    request_done(context, "RELOAD");
}

void act_reload(struct request *request)
{
    struct control *control = request->control;
    struct err err;
    if (!control_reload(control, &err)) {
        request_fail(request, &err);
        return;
    }
    survey_start(control->proxy, control->loop, NULL, end_reload, request);
}

static void end_set(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    char *tag = mem_printf("SET %s=%s", request->command.argument, request->command.value);
    request_done(request, tag);
    mem_free(tag);
}

void act_set(struct request *request)
{
    struct control *control = request->control;
    struct err err;
    struct settings *settings =
        settings_set(control->settings, request->command.argument, request->command.value, &err);
    if (settings == NULL || !control_use(control, settings, &err)) {
        request_fail(request, &err);
        return;
    }
    survey_start(control->proxy, control->loop, NULL, end_set, request);
}

bool request_find_database(struct request *request, struct err *err)
{
    const char *name = request->command.argument;
    struct control *control = request->control;
    if (name[0] == '\0')
        return true;
    if (console_is_name(name))
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "cannot do this with the admin database");
    if (conf_database_for(control->settings, name) == NULL)
        return err_set(err, SQLSTATE_INVALID_CATALOG_NAME, "no such database: %s", name);
    request->database = pools_database(control->proxy->pools, name);
    return true;
}

void act_pause(struct request *request)
{
    struct control *control = request->control;
    struct err err;
    log_info("PAUSE '%s' command issued", request->command.argument);
    if (!request_find_database(request, &err) || !control_pause(control, request->database, &err))
        request_fail(request, &err);
    else
        control_wait_paused(control, request);
}

/* Unlike PAUSE it does not wait, and it does not wait for sessions to end; WAIT_CLOSE waits for it. */
void act_drain(struct request *request)
{
    struct err err;
    log_info("DRAIN '%s' command issued", request->command.argument);
    if (!request_find_database(request, &err) ||
        !control_drain(request->control, request->database, &err))
        request_fail(request, &err);
    else
        request_done(request, "DRAIN");
}

void act_resume(struct request *request)
{
    struct err err;
    log_info("RESUME '%s' command issued", request->command.argument);
    if (!request_find_database(request, &err) ||
        !control_resume(request->control, request->database, &err))
        request_fail(request, &err);
    else
        request_done(request, "RESUME");
}

static void set_ejected(struct request *request, bool ejected)
{
    struct err err;
    if (topology_eject(request->control->topology, request->command.argument, ejected, &err))
        request_done(request, request->command.verb->name);
    else
        request_fail(request, &err);
}

void act_eject(struct request *request)
{
    set_ejected(request, true);
}

void act_admit(struct request *request)
{
    set_ejected(request, false);
}

static void set_disabled(struct request *request, bool disabled)
{
    struct err err;
    if (!request_find_database(request, &err)) {
        request_fail(request, &err);
        return;
    }
    control_disable(request->control, request->database, disabled);
    request_done(request, request->command.verb->name);
}

void act_disable(struct request *request)
{
    set_disabled(request, true);
}

void act_enable(struct request *request)
{
    set_disabled(request, false);
}

void act_shutdown(struct request *request)
{
    struct control *control = request->control;
    const char *how = request->command.argument;
    struct err err;
    if (how[0] == '\0') {
        log_info("SHUTDOWN command issued");
        control_shutdown(control, SHUTDOWN_NONE);
        request_done(request, "SHUTDOWN");
    } else if (strcasecmp(how, "wait_for_servers") == 0) {
        log_info("SHUTDOWN WAIT_FOR_SERVERS command issued");
        control_shutdown(control, SHUTDOWN_WAIT_FOR_SERVERS);
        request_done(request, "SHUTDOWN");
    } else if (strcasecmp(how, "wait_for_clients") == 0) {
        log_info("SHUTDOWN WAIT_FOR_CLIENTS command issued");
        control_shutdown(control, SHUTDOWN_WAIT_FOR_CLIENTS);
        request_done(request, "SHUTDOWN");
    } else {
        err_set(&err, SQLSTATE_SYNTAX_ERROR, "invalid command 'SHUTDOWN %s', use SHOW HELP;", how);
        request_fail(request, &err);
    }
}

void act_reconnect(struct request *request)
{
    struct err err;
    log_info("RECONNECT '%s' command issued", request->command.argument);
    if (!request_find_database(request, &err)) {
        request_fail(request, &err);
        return;
    }
    control_reconnect(request->control, request->database);
    request_done(request, "RECONNECT");
}
