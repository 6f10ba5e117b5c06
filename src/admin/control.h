/*
 * admin/control.h - the control thread: signals, settings, the console, and the end
 *
 * Runs the loop of the main thread.  Workers hand it the clients of the console; it asks them for
 * their data, and tells them of new settings, of pauses, and of the shutdown.
 *
 *   HUP    reload                        USR1  pause all databases
 *   INT    WAIT_FOR_SERVERS              USR2  resume them
 *   TERM   WAIT_FOR_CLIENTS              QUIT  stop at once
 *
 * A second INT or TERM stops at once.
 *
 * Ownership:  proxy is borrowed.  At the end: control_run() returns, the workers' threads are ended
 *             and joined, worker_close() and worker_free() for all, control_free(), pools_free().
 * Threading:  the main thread; made before the workers' threads are
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "admin/stats.h"
#include "admin/supervisor.h"
#include "net/loop.h"
#include "session/suspend.h"
#include "session/worker.h"

struct database;
struct err;
struct event;
struct giver;
struct request;
struct settings;
struct taker;
struct catalogs;
struct topology;
struct topology_view;

enum { CONTROL_SIGNALS = 6 };

/* From SUSPEND to RESUME. */
struct suspension {
    bool on;
    struct request *request; /* borrowed: the SUSPEND that has not been answered yet, or NULL */
    struct session *by;      /* borrowed: when it leaves, the suspension ends */
    int64_t drop_at_us;      /* suspend_timeout is over then; 0: never */
    enum suspend_phase phase;
    int quiet; /* how often in sequence the workers had nothing under way */
};

TAILQ_HEAD(session_list, session);
TAILQ_HEAD(request_list, request);

struct control {
    struct loop *loop;         /* owned */
    struct proxy *proxy;       /* borrowed */
    struct settings *settings; /* counted: what the workers have, or will have soon */
    struct session_list sessions;
    int n_sessions;
    struct request_list asking;  /* what asks the workers from time to time: WAIT_CLOSE, SUSPEND */
    struct request_list pausing; /* PAUSE, until no server is left */
    struct deadline poll;        /* looks whether one of them, or the shutdown, is done */
    struct suspension suspension;
    bool draining;          /* shutting down, and the workers know: it ends with the last one */
    bool ended;             /* the loop runs no more */
    struct deadline retire; /* looks for pools that nobody uses */
    struct pool *retiring;  /* owned list: out of the registry, but workers may know them */
    struct stats stats;
    struct supervisor supervisor;
    struct catalogs *catalogs;  /* owned */
    struct topology *topology;  /* owned */
    struct topology_view *view; /* counted: what the workers have, or will have soon */
    struct giver *giver;        /* owned: for a process that takes over from us */
    struct taker *taker;        /* owned: we take over from another, or have; NULL: we do not */
    struct event *signals[CONTROL_SIGNALS]; /* owned */
};

/* Takes a reference of settings, and the clients of the console, from now on. */
struct control *control_new(struct proxy *proxy, struct settings *settings);
void control_free(struct control *control); /* accepts NULL */

/* Until the shutdown is complete; the exit status.  taker is taken over; NULL: we do not take over. */
int control_run(struct control *control, struct taker *taker);

/* Reads the settings again.  False: the old ones stay, what is wrong has been logged. */
bool control_reload(struct control *control, struct err *err);

/* SHUTDOWN_NONE: at once.  Else whoever waits longer is overtaken by another, stricter call. */
void control_shutdown(struct control *control, enum shutdown_mode mode);

void control_for_each_worker(struct control *control, void (*post)(struct worker *worker));
/* Another process has taken over: the end comes when the last client has left. */
void control_wait_for_last(struct control *control);

/* For the commands of the console. */
/* Takes the counted reference.  False: the log cannot be opened, and the old settings stay. */
bool control_use(struct control *control, struct settings *settings, struct err *err);
/* database is NULL for all. */
bool control_pause(struct control *control, struct database *database, struct err *err);
/* As control_pause(), but sessions give their servers up; a pause becomes one of these. */
bool control_drain(struct control *control, struct database *database, struct err *err);
/* As control_pause(), but it may be paused already. */
bool control_kill(struct control *control, struct database *database, struct err *err);
bool control_resume(struct control *control, struct database *database, struct err *err);
void control_disable(struct control *control, struct database *database, bool disabled);
/* Servers that are in being now are closed when they become free, and the welcome of the pools is
 * forgotten. */
void control_reconnect(struct control *control, struct database *database);
/* For commands that ask the workers until the answer is right: request->again is called soon. */
void control_ask_again(struct control *control, struct request *request);
bool control_is_paused(struct control *control); /* anything of it */
/* suspend.c: false if there was none.  RESUME ends it, and so does the end of whose it was. */
bool control_end_suspension(struct control *control);
void control_session_gone(struct control *control, const struct session *session);
void control_wait_paused(struct control *control, struct request *request);
bool control_is_shutting_down(const struct control *control);

#endif
