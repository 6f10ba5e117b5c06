/* SUSPEND, and its end. */
#include <string.h>

#include "admin/control.h"
#include "admin/handlers.h"
#include "admin/session.h"
#include "admin/survey.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/settings.h"
#include "session/suspend.h"

/* A server or a client on its way from one worker to another is in no list.  Nobody sends one when it
 * is suspended, and mail keeps its order, so the round after the first quiet one would see it. */
enum { QUIET_ROUNDS = 2 };

static void step(struct worker *worker, struct buf *answer, const void *context)
{
    const struct request *request = context;
    int left = suspend_step(worker, request->phase);
    buf_append(answer, &left, sizeof left);
}

static void answer(struct request *request)
{
    log_info("suspended");
    request->control->suspension.request = NULL;
    request_done(request, "SUSPEND");
}

/* Once all are at rest nobody may come in any more; who came just before comes to rest then. */
static void choose_phase(struct suspension *suspension, int left)
{
    bool late = suspension->drop_at_us != 0 && clock_now_us() >= suspension->drop_at_us;
    bool closed = suspension->phase == SUSPEND_CLOSE;
    suspension->quiet = left == 0 && closed ? suspension->quiet + 1 : 0;
    if (left == 0)
        suspension->phase = SUSPEND_CLOSE;
    else if (late)
        suspension->phase = SUSPEND_DROP;
}

static void end_step(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    struct suspension *suspension = &request->control->suspension;
    int left = survey_sum(answers, n_answers);
    if (suspension->request != request) {
        request_fail_ended(request, "the suspension was ended by RESUME");
        return;
    }
    choose_phase(suspension, left);
    if (suspension->quiet >= QUIET_ROUNDS || request->control->ended)
        answer(request);
    else
        control_ask_again(request->control, request);
}

static void ask(struct request *request)
{
    struct control *control = request->control;
    if (control->suspension.request != request)
        request_fail_ended(request, "the suspension was ended by RESUME");
    else {
        request->phase = control->suspension.phase; /* that may change while the workers look */
        survey_start(control->proxy, control->loop, step, end_step, request);
    }
}

static bool may_suspend(struct control *control, struct err *err)
{
    if (control_is_shutting_down(control))
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "pooler is shutting down");
    if (control->suspension.on || control_is_paused(control))
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "already suspended/paused");
    return true;
}

static void cancel_suspend(struct request *request)
{
    if (request->control->suspension.request == request)
        control_end_suspension(request->control);
}

void act_suspend(struct request *request)
{
    struct control *control = request->control;
    int64_t timeout_us = control->settings->suspend_timeout_us;
    struct err err;
    log_info("SUSPEND command issued");
    if (!may_suspend(control, &err)) {
        request_fail(request, &err);
        return;
    }
    control->suspension =
        (struct suspension){.on = true,
                            .request = request,
                            .by = request->session,
                            .drop_at_us = timeout_us > 0 ? clock_now_us() + timeout_us : 0};
    request->again = ask;
    request->cancel = cancel_suspend;
    ask(request);
}

bool control_end_suspension(struct control *control)
{
    if (!control->suspension.on)
        return false;
    control->suspension = (struct suspension){.on = false};
    /* Who looks for servers asks the other workers: they must all be awake. */
    control_for_each_worker(control, worker_post_resume);
    control_for_each_worker(control, worker_post_review);
    return true;
}

void control_session_gone(struct control *control, const struct session *session)
{
    /* At the end there are no workers any more. */
    if (control->ended || !control->suspension.on || control->suspension.by != session)
        return;
    log_info("the admin who suspended has left, resuming");
    control_end_suspension(control);
}
