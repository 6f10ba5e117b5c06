#include "admin/supervisor.h"

#include "admin/control.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/systemd.h"

static bool may_tell(const struct control *control)
{
    return !control->supervisor.silent;
}

static void on_ready(void *context, struct buf *answers, size_t n_answers)
{
    if (may_tell(context))
        systemd_notify("READY=1");
}

static void schedule_beat(struct control *control)
{
    struct supervisor *supervisor = &control->supervisor;
    deadline_set(control->loop, &supervisor->beat, DEADLINE_OTHER,
                 clock_now_us() + supervisor->every_us);
}

static void on_alive(void *context, struct buf *answers, size_t n_answers)
{
    struct control *control = context;
    if (control->ended || !may_tell(control))
        return;
    systemd_notify("WATCHDOG=1");
    schedule_beat(control);
}

/* A worker that does not answer stops the beat, and that is what the watchdog is for. */
static void on_beat(struct deadline *deadline, struct loop *loop)
{
    struct control *control = CONTAINER_OF(deadline, struct control, supervisor.beat);
    survey_start(control->proxy, loop, NULL, on_alive, control);
}

void supervisor_start(struct control *control)
{
    struct supervisor *supervisor = &control->supervisor;
    survey_start(control->proxy, control->loop, NULL, on_ready, control);
    supervisor->beat.expired = on_beat;
    supervisor->every_us = systemd_watchdog_us() / 2;
    if (supervisor->every_us > 0)
        schedule_beat(control);
}

void supervisor_stop(struct control *control)
{
    deadline_clear(control->loop, &control->supervisor.beat);
}

void supervisor_reload_begins(const struct control *control)
{
    if (may_tell(control))
        systemd_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_now_us());
}

void supervisor_reload_ends(struct control *control)
{
    survey_start(control->proxy, control->loop, NULL, on_ready, control);
}

void supervisor_shutdown_begins(const struct control *control)
{
    if (may_tell(control))
        systemd_notify("STOPPING=1");
}

void supervisor_status(const struct control *control, const char *line)
{
    if (may_tell(control))
        systemd_notify("STATUS=%s", line);
}

void supervisor_hand_over(struct control *control, int pid)
{
    systemd_notify("MAINPID=%d", pid);
    control->supervisor.silent = true;
}
