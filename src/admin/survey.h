/*
 * admin/survey.h - asks all workers for something, each on its own thread
 *
 * Also a barrier: what was posted to the workers before has been taken by all when `end` is called.
 *
 * Ownership:  answers are lent to `end` for its call; context is the caller's
 * Threading:  survey_start() and `end` on the loop that asks, `ask` on each worker's thread
 */
#ifndef ADMIN_SURVEY_H
#define ADMIN_SURVEY_H

#include <stddef.h>

struct buf;
struct loop;
struct proxy;
struct request;
struct worker;

/* NULL: nothing to ask. */
typedef void survey_ask(struct worker *worker, struct buf *answer, const void *context);
typedef void survey_end(void *context, struct buf *answers, size_t n_answers);

/* One behind the other; the caller's. */
struct buf survey_join(const struct buf *answers, size_t n_answers);
/* Of answers that are an int each. */
int survey_sum(const struct buf *answers, size_t n_answers);

void survey_start(struct proxy *proxy, struct loop *back, survey_ask *ask, survey_end *end,
                  void *context);

/* What the workers answer are rows, and they are the end of the answer to the request. */
void survey_rows(struct request *request, survey_ask *ask);

#endif
