#include "admin/retire.h"

#include "admin/control.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "pool/pool.h"

enum { LOOK_EVERY_US = 1000000 };

static void free_all(struct control *control)
{
    struct pool *pool;
    while ((pool = control->retiring) != NULL) {
        control->retiring = pool->next;
        pool_free(pool);
    }
}

static void drop(struct worker *worker, struct buf *answer, const void *context)
{
    const struct control *control = context;
    for (struct pool *pool = control->retiring; pool != NULL; pool = pool->next)
        pool_worker_drop(&worker->pool, pool);
}

static void end_drop(void *context, struct buf *answers, size_t n_answers)
{
    struct control *control = context;
    if (!control->ended)
        free_all(control);
}

/* Mail that was on its way has come; what it has caused comes in the round after. */
static void end_second_round(void *context, struct buf *answers, size_t n_answers)
{
    struct control *control = context;
    if (!control->ended)
        survey_start(control->proxy, control->loop, drop, end_drop, control);
}

static void end_first_round(void *context, struct buf *answers, size_t n_answers)
{
    struct control *control = context;
    if (!control->ended)
        survey_start(control->proxy, control->loop, NULL, end_second_round, control);
}

static void on_look(struct deadline *deadline, struct loop *loop)
{
    struct control *control = CONTAINER_OF(deadline, struct control, retire);
    int64_t now_us = clock_now_us();
    deadline_set(loop, deadline, DEADLINE_OTHER, now_us + LOOK_EVERY_US);
    if (control->retiring != NULL)
        return;
    control->retiring = pools_retire(control->proxy->pools, control->settings, now_us);
    for (struct pool *pool = control->retiring; pool != NULL; pool = pool->next)
        log_info("cleaning up idle pool for user %s on db %s", pool->user, pool->database->name);
    if (control->retiring != NULL)
        survey_start(control->proxy, control->loop, NULL, end_first_round, control);
}

void retire_start(struct control *control)
{
    control->retire.expired = on_look;
    deadline_set(control->loop, &control->retire, DEADLINE_OTHER, clock_now_us() + LOOK_EVERY_US);
}

void retire_stop(struct control *control)
{
    deadline_clear(control->loop, &control->retire);
    free_all(control);
}
