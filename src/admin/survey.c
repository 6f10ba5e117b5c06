#include "admin/survey.h"

#include <string.h>

#include "admin/control.h"
#include "admin/session.h"
#include "base/buf.h"
#include "base/mem.h"
#include "session/worker.h"

struct survey;

struct survey_task {
    struct worker_task task; /* first: the worker finds us by it */
    struct survey *survey;
    size_t index;
};

struct survey {
    survey_ask *ask;
    survey_end *end;
    void *context;
    size_t n, left;
    struct buf *answers; /* owned: one for each worker, which alone writes to it */
    struct survey_task tasks[];
};

static void run(struct worker_task *task, struct worker *worker)
{
    struct survey_task *mine = (struct survey_task *)task;
    struct survey *survey = mine->survey;
    if (survey->ask != NULL)
        survey->ask(worker, &survey->answers[mine->index], survey->context);
}

static void done(struct worker_task *task)
{
    struct survey *survey = ((struct survey_task *)task)->survey;
    if (--survey->left > 0)
        return;
    survey->end(survey->context, survey->answers, survey->n);
    for (size_t i = 0; i < survey->n; i++)
        buf_done(&survey->answers[i]);
    mem_free(survey->answers);
    mem_free(survey);
}

struct buf survey_join(const struct buf *answers, size_t n_answers)
{
    struct buf all = BUF_NONE;
    for (size_t i = 0; i < n_answers; i++)
        buf_append(&all, answers[i].data, answers[i].len);
    return all;
}

int survey_sum(const struct buf *answers, size_t n_answers)
{
    int total = 0;
    for (size_t i = 0; i < n_answers; i++) {
        int count;
        memcpy(&count, answers[i].data, sizeof count);
        total += count;
    }
    return total;
}

void survey_start(struct proxy *proxy, struct loop *back, survey_ask *ask, survey_end *end,
                  void *context)
{
    size_t n = proxy->n_workers;
    struct survey *survey = mem_new(sizeof *survey + n * sizeof survey->tasks[0]);
    survey->ask = ask;
    survey->end = end;
    survey->context = context;
    survey->n = survey->left = n;
    survey->answers = mem_new_array(n, sizeof *survey->answers);
    for (size_t i = 0; i < n; i++) {
        struct survey_task *mine = &survey->tasks[i];
        mine->task.run = run;
        mine->task.done = done;
        mine->task.back = back;
        mine->survey = survey;
        mine->index = i;
        worker_post_task(proxy->workers[i], &mine->task);
    }
}

static void end_rows(void *context, struct buf *answers, size_t n_answers)
{
    struct request *request = context;
    for (size_t i = 0; i < n_answers; i++)
        buf_append(&request->table.cells, answers[i].data, answers[i].len);
    request_done(request, "SHOW");
}

void survey_rows(struct request *request, survey_ask *ask)
{
    survey_start(request->control->proxy, request->control->loop, ask, end_rows, request);
}
