#include "net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { TIMER_STEP_US = 10000 };

static void deliver_list(struct loop *loop, struct mail *last)
{
    struct mail *first = NULL;
    while (last != NULL) { /* newest first: turn the list round */
        struct mail *next = last->next;
        last->next = first;
        first = last;
        last = next;
    }
    while (first != NULL) {
        struct mail *mail = first;
        first = mail->next;
        mail->deliver(mail, loop);
    }
}

static void deliver_all(struct loop *loop)
{
    deliver_list(loop, atomic_exchange(&loop->mailbox, NULL));
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    struct mail *last = loop->later;
    loop->later = NULL;
    deliver_list(loop, last);
}

void loop_later(struct loop *loop, struct mail *mail)
{
    mail->next = loop->later;
    loop->later = mail;
    if (mail->next == NULL)
        event_active(loop->later_event, EV_TIMEOUT, 1);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0)
        count = 0; /* somebody else's wake-up was enough */
    deliver_all(arg);
}

void loop_post(struct loop *loop, struct mail *mail)
{
    uint64_t one = 1;
    struct mail *top = atomic_load(&loop->mailbox);
    do
        mail->next = top;
    while (!atomic_compare_exchange_weak(&loop->mailbox, &top, mail));
    /* Whoever puts the first mail into an empty box wakes the loop. */
    if (top == NULL && write(loop->wake_fd, &one, sizeof one) < 0)
        log_error("could not wake an event loop");
}

static void arm(struct loop *loop, int64_t at_us)
{
    int64_t wait_us = at_us - clock_now_us();
    if (wait_us < TIMER_STEP_US)
        wait_us = TIMER_STEP_US;
    struct timeval wait = {.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
    loop->armed_us = at_us;
    evtimer_add(loop->timer, &wait);
}

static void arm_for_earliest(struct loop *loop)
{
    int64_t earliest = 0;
    for (int i = 0; i < DEADLINE_CLASSES; i++) {
        const struct deadline *first = TAILQ_FIRST(&loop->deadlines[i]);
        if (first != NULL && (earliest == 0 || first->at_us < earliest))
            earliest = first->at_us;
    }
    loop->armed_us = 0;
    if (earliest != 0)
        arm(loop, earliest);
}

static void expire(struct loop *loop, struct deadline_list *list, int64_t now_us)
{
    struct deadline *first;
    while ((first = TAILQ_FIRST(list)) != NULL && first->at_us <= now_us) {
        deadline_clear(loop, first);
        first->expired(first, loop);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    int64_t now_us = clock_now_us();
    for (int i = 0; i < DEADLINE_CLASSES; i++)
        expire(loop, &loop->deadlines[i], now_us);
    arm_for_earliest(loop);
}

void deadline_set(struct loop *loop, struct deadline *deadline, enum deadline_class class,
                  int64_t at_us)
{
    struct deadline_list *list = &loop->deadlines[class];
    deadline_clear(loop, deadline);
    deadline->at_us = at_us;
    deadline->class = (uint8_t) class;
    struct deadline *before = TAILQ_LAST(list, deadline_list);
    while (before != NULL && before->at_us > at_us)
        before = TAILQ_PREV(before, deadline_list, entry);
    if (before != NULL)
        TAILQ_INSERT_AFTER(list, before, deadline, entry);
    else
        TAILQ_INSERT_HEAD(list, deadline, entry);
    if (loop->armed_us == 0 || at_us < loop->armed_us)
        arm(loop, at_us);
}

void deadline_clear(struct loop *loop, struct deadline *deadline)
{
    if (deadline->at_us == 0)
        return;
    TAILQ_REMOVE(&loop->deadlines[deadline->class], deadline, entry);
    deadline->at_us = 0;
}

static struct event_base *new_base(void)
{
    /* No locks: no event of one loop is ever touched from another thread. */
    struct event_config *config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_new(sizeof *loop);
    for (int i = 0; i < DEADLINE_CLASSES; i++)
        TAILQ_INIT(&loop->deadlines[i]);
    loop->base = new_base();
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->base == NULL || loop->wake_fd < 0) {
        log_fatal("could not create an event loop");
        exit(1);
    }
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop->timer = evtimer_new(loop->base, on_timer, loop);
    loop->later_event = evtimer_new(loop->base, on_later, loop);
    event_add(loop->wake, NULL);
    return loop;
}

void loop_drain(struct loop *loop)
{
    while (atomic_load(&loop->mailbox) != NULL || loop->later != NULL) {
        deliver_all(loop);
        on_later(-1, 0, loop);
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_drain(loop);
    event_free(loop->wake);
    event_free(loop->later_event);
    event_free(loop->timer);
    event_base_free(loop->base);
    close(loop->wake_fd);
    mem_free(loop);
}

void loop_run(struct loop *loop)
{
    event_base_dispatch(loop->base);
}

struct stop_mail {
    struct mail mail;
};

static void deliver_stop(struct mail *mail, struct loop *loop)
{
    mem_free(mail);
    event_base_loopbreak(loop->base);
}

void loop_stop(struct loop *loop)
{
    struct stop_mail *stop = mem_new(sizeof *stop);
    stop->mail.deliver = deliver_stop;
    loop_post(loop, &stop->mail);
}
