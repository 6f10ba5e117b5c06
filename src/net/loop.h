/*
 * net/loop.h - a thread's event loop, its mailbox, and its deadlines
 *
 * Threads talk by mail only: a mail is a struct of the sender's that names a function, which the
 * receiving loop calls on its own thread.  Deadlines are kept in lists in order of time; one timer
 * stands for all of them, so that setting and clearing one costs no call into the event library.
 *
 * Ownership:  mail belongs to the loop from loop_post() until its function is called, which then
 *             owns it; deadlines are embedded in objects of the loop's thread
 * Threading:  loop_post() and loop_stop() from any thread; all else on the loop's own thread, or
 *             before it runs
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct loop;

struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail, struct loop *loop);
};

/* One list per class: deadlines of a class are usually set in the order in which they end. */
enum deadline_class {
    DEADLINE_LOGIN,       /* clients that have not logged in */
    DEADLINE_CONNECT,     /* servers being connected to */
    DEADLINE_WAIT,        /* clients waiting for a server */
    DEADLINE_CLIENT_IDLE, /* idle clients, in or out of a transaction */
    DEADLINE_QUERY,       /* running statements and transactions */
    DEADLINE_SERVER,      /* idle servers */
    DEADLINE_CANCEL,      /* cancel requests on their way */
    DEADLINE_OTHER,
    DEADLINE_CLASSES
};

struct deadline {
    TAILQ_ENTRY(deadline) entry;
    int64_t at_us; /* 0: not set */
    void (*expired)(struct deadline *deadline, struct loop *loop);
    uint8_t class;
};

TAILQ_HEAD(deadline_list, deadline);

enum { LOOP_SCRATCH = 65536 };

struct loop {
    struct event_base *base; /* owned */
    _Atomic(struct mail *) mailbox;
    int wake_fd; /* owned: an eventfd */
    struct event *wake;
    struct mail *later; /* newest first */
    struct event *later_event;
    struct event *timer;
    int64_t armed_us; /* when the timer fires; 0 for never */
    struct deadline_list deadlines[DEADLINE_CLASSES];
    char scratch[LOOP_SCRATCH]; /* input of whichever connection is at work */
};

struct loop *loop_new(void);
void loop_free(struct loop *loop); /* accepts NULL; undelivered mail is delivered first */
void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop);
void loop_drain(struct loop *loop); /* delivers all mail that is there; the loop does not run */
void loop_post(struct loop *loop, struct mail *mail);

/* On the loop's own thread: delivers after the events of this turn, without a system call.  An
 * object that closes itself in a callback is freed this way. */
void loop_later(struct loop *loop, struct mail *mail);

/* Sets or moves a deadline; at_us on clock_now_us()'s clock.  Kept to within 20 ms. */
void deadline_set(struct loop *loop, struct deadline *deadline, enum deadline_class class,
                  int64_t at_us);
void deadline_clear(struct loop *loop, struct deadline *deadline);

#endif
