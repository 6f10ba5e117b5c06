#include "admin/control.h"

#include <event2/event.h>
#include <signal.h>

#include "admin/descriptors.h"
#include "admin/giver.h"
#include "admin/retire.h"
#include "admin/session.h"
#include "admin/taker.h"
#include "base/container.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/descriptors.h"
#include "conf/logging.h"
#include "conf/report.h"
#include "conf/settings.h"
#include "net/resolve.h"
#include "pool/welcome.h"
#include "session/cancel.h"
#include "session/console.h"
#include "topology/catalogs.h"
#include "topology/topology.h"

enum { POLL_EVERY_US = 10000 };

void control_for_each_worker(struct control *control, void (*post)(struct worker *worker))
{
    for (unsigned i = 0; i < control->proxy->n_workers; i++)
        post(control->proxy->workers[i]);
}

/* ---- settings ---- */

bool control_use(struct control *control, struct settings *settings, struct err *err)
{
    if (!logging_apply(settings, err)) {
        settings_unref(settings);
        return false;
    }
    if (descriptors_needed(settings) > descriptors_needed(control->settings))
        descriptors_check(settings);
    settings_unref(control->settings);
    control->settings = settings;
    resolver_set_ttl(control->proxy->pools->resolver, settings->dns_max_ttl_us,
                     settings->dns_nxdomain_ttl_us);
    for (unsigned i = 0; i < control->proxy->n_workers; i++)
        worker_post_settings(control->proxy->workers[i], settings);
    topology_use(control->topology, settings);
    catalogs_use(control->catalogs, settings);
    stats_reload(control);
    return true;
}

/* What is wrong goes to the log. */
static struct settings *read_settings(struct control *control)
{
    struct conf_report report;
    conf_report_init(&report);
    struct settings *settings = settings_reload(control->settings, &report);
    for (size_t i = 0; i < report.n_notes; i++)
        log_line(report.notes[i].is_error ? LOG_ERROR : LOG_WARNING, "%s", report.notes[i].text);
    conf_report_done(&report);
    return settings;
}

bool control_reload(struct control *control, struct err *err)
{
    supervisor_reload_begins(control);
    struct settings *settings = read_settings(control);
    struct err cause;
    /* The log file may have been renamed: it is opened anew whatever the settings say. */
    bool good = settings != NULL ? control_use(control, settings, &cause)
                                 : logging_apply(control->settings, &cause);
    if (!good)
        log_error("%s", cause.message);
    supervisor_reload_ends(control);
    if (good && settings != NULL)
        return true;
    return err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                   "RELOAD failed, see logs for additional details");
}

/* ---- pauses ---- */

bool control_is_shutting_down(const struct control *control)
{
    return atomic_load(&control->proxy->shutdown) != SHUTDOWN_NONE;
}

static atomic_int *pause_of(struct control *control, struct database *database)
{
    return database != NULL ? &database->paused : &control->proxy->pools->paused;
}

static bool set_pause(struct control *control, struct database *database, enum pause pause,
                      struct err *err)
{
    atomic_int *present = pause_of(control, database);
    if (control_is_shutting_down(control))
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "pooler is shutting down");
    if (control->suspension.on || atomic_load(present) >= (int)pause)
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "already suspended/paused");
    atomic_store(present, pause);
    control_for_each_worker(control, worker_post_review);
    return true;
}

bool control_pause(struct control *control, struct database *database, struct err *err)
{
    return set_pause(control, database, PAUSE_WAIT, err);
}

bool control_drain(struct control *control, struct database *database, struct err *err)
{
    return set_pause(control, database, PAUSE_DRAIN, err);
}

bool control_kill(struct control *control, struct database *database, struct err *err)
{
    if (atomic_load(pause_of(control, database)) != PAUSE_NONE)
        return true;
    return control_pause(control, database, err);
}

bool control_resume(struct control *control, struct database *database, struct err *err)
{
    if (control_is_shutting_down(control))
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "pooler is shutting down");
    bool ended = database == NULL && control_end_suspension(control);
    if (atomic_exchange(pause_of(control, database), PAUSE_NONE) == PAUSE_NONE && !ended) {
        if (database != NULL)
            return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "database %s is not paused",
                           database->name);
        return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "pooler is not paused/suspended");
    }
    control_for_each_worker(control, worker_post_review);
    return true;
}

void control_reconnect(struct control *control, struct database *database)
{
    struct pools *pools = control->proxy->pools;
    atomic_fetch_add(database != NULL ? &database->epoch : &pools->epoch, 1);
    for (struct pool *pool = pools_first(pools); pool != NULL; pool = pool_next(pools, pool)) {
        if (database == NULL || pool->database == database)
            welcome_replace(pool, NULL);
    }
    control_for_each_worker(control, worker_post_review);
}

void control_disable(struct control *control, struct database *database, bool disabled)
{
    atomic_store(&database->disabled, disabled);
}

bool control_is_paused(struct control *control)
{
    struct pools *pools = control->proxy->pools;
    struct database *database = pools_first_database(pools);
    while (database != NULL && atomic_load(&database->paused) == PAUSE_NONE)
        database = database_next(pools, database);
    return database != NULL || atomic_load(&pools->paused) != PAUSE_NONE;
}

static bool has_servers(struct control *control, struct database *database)
{
    struct pools *pools = control->proxy->pools;
    if (database != NULL)
        return atomic_load(&database->quota.n_servers) > 0;
    for (database = pools_first_database(pools); database != NULL;
         database = database_next(pools, database)) {
        if (atomic_load(&database->quota.n_servers) > 0)
            return true;
    }
    return false;
}

/* The tag promises that no server is left; who resumes takes that from whoever still waits. */
static void end_pause(struct request *request, bool resumed)
{
    if (resumed)
        request_fail_ended(request, "the pause was ended by RESUME");
    else
        request_done(request, "PAUSE");
}

static void answer_pauses(struct control *control)
{
    struct request *request, *next;
    for (request = TAILQ_FIRST(&control->pausing); request != NULL; request = next) {
        next = TAILQ_NEXT(request, entry);
        bool resumed = atomic_load(pause_of(control, request->database)) == PAUSE_NONE;
        if (!resumed && !request_is_orphan(request) && has_servers(control, request->database))
            continue;
        TAILQ_REMOVE(&control->pausing, request, entry);
        end_pause(request, resumed);
    }
}

static void poll_again(struct control *control)
{
    if (control->poll.at_us == 0)
        deadline_set(control->loop, &control->poll, DEADLINE_OTHER, clock_now_us() + POLL_EVERY_US);
}

static void cancel_pause(struct request *request)
{
    struct err ignored; /* somebody else was quicker */
    control_resume(request->control, request->database, &ignored);
}

void control_wait_paused(struct control *control, struct request *request)
{
    request->cancel = cancel_pause;
    TAILQ_INSERT_TAIL(&control->pausing, request, entry);
    poll_again(control);
}

void control_ask_again(struct control *control, struct request *request)
{
    TAILQ_INSERT_TAIL(&control->asking, request, entry);
    poll_again(control);
}

static void ask_again(struct control *control)
{
    struct request *request;
    while ((request = TAILQ_FIRST(&control->asking)) != NULL) {
        TAILQ_REMOVE(&control->asking, request, entry);
        request->again(request);
    }
}

/* ---- the end ---- */

static void stop(struct control *control)
{
    if (control->ended)
        return;
    control->ended = true;
    if (!control->draining)
        supervisor_shutdown_begins(control);
    event_base_loopbreak(control->loop->base);
}

static bool has_drained(struct control *control)
{
    if (giver_is_done(control->giver)) {
        log_info("the last client has left, exiting");
        return true;
    }
    switch (atomic_load(&control->proxy->shutdown)) {
    case SHUTDOWN_WAIT_FOR_SERVERS:
        if (has_servers(control, NULL))
            return false;
        log_info("server connections dropped, exiting");
        return true;
    case SHUTDOWN_WAIT_FOR_CLIENTS:
        if (atomic_load(&control->proxy->n_clients) > 0)
            return false;
        log_info("client connections dropped, exiting");
        return true;
    default:
        return false;
    }
}

static void on_poll(struct deadline *deadline, struct loop *loop)
{
    struct control *control = CONTAINER_OF(deadline, struct control, poll);
    answer_pauses(control);
    ask_again(control);
    if (control->draining && has_drained(control)) {
        stop(control);
        return;
    }
    if (control->draining || !TAILQ_EMPTY(&control->pausing))
        poll_again(control);
}

static void close_tcp(struct worker *worker)
{
    worker_post_close_listeners(worker, false);
}

void control_wait_for_last(struct control *control)
{
    control->draining = true;
    poll_again(control);
}

void control_shutdown(struct control *control, enum shutdown_mode mode)
{
    giver_shut(control->giver);
    if (mode == SHUTDOWN_NONE) {
        stop(control);
        return;
    }
    control_end_suspension(control);
    atomic_store(&control->proxy->shutdown, mode);
    if (!control->draining)
        supervisor_shutdown_begins(control);
    control->draining = true;
    control_for_each_worker(control, close_tcp);
    control_for_each_worker(control, worker_post_review);
    poll_again(control);
}

/* ---- signals ---- */

static void reload(struct control *control)
{
    struct err err;
    log_info("got SIGHUP, re-reading config");
    if (!control_reload(control, &err))
        log_error("%s", err.message);
}

static void pause_or_resume(struct control *control, bool pause)
{
    const char *name = pause ? "SIGUSR1" : "SIGUSR2";
    struct err err;
    if (pause ? control_pause(control, NULL, &err) : control_resume(control, NULL, &err))
        log_info("got %s, %s", name, pause ? "pausing all activity" : "continuing from PAUSE");
    else
        log_info("got %s, but %s", name, err.message);
}

static const char *name_of(int number)
{
    return number == SIGTERM ? "SIGTERM" : number == SIGINT ? "SIGINT" : "SIGQUIT";
}

static void end_by_signal(struct control *control, int number)
{
    if (control_is_shutting_down(control)) {
        log_info("got %s while shutting down, fast exit", name_of(number));
        control_shutdown(control, SHUTDOWN_NONE);
    } else if (number == SIGQUIT) {
        log_info("got SIGQUIT, fast exit");
        control_shutdown(control, SHUTDOWN_NONE);
    } else if (number == SIGTERM) {
        log_info("got SIGTERM, shutting down, waiting for all clients disconnect");
        control_shutdown(control, SHUTDOWN_WAIT_FOR_CLIENTS);
    } else {
        log_info("got SIGINT, shutting down, waiting for all servers to be released");
        control_shutdown(control, SHUTDOWN_WAIT_FOR_SERVERS);
    }
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct control *control = arg;
    switch ((int)number) {
    case SIGHUP:
        reload(control);
        break;
    case SIGUSR1:
        pause_or_resume(control, true);
        break;
    case SIGUSR2:
        pause_or_resume(control, false);
        break;
    default:
        end_by_signal(control, (int)number);
        break;
    }
}

/* ---- life ---- */

static void deliver_seat(struct mail *mail, struct loop *loop)
{
    struct console_seat *seat = (struct console_seat *)mail;
    struct control *control = seat->context;
    if (control->ended)
        console_seat_free(seat);
    else
        session_open(control, seat);
}

/* On a worker's thread. */
static void seat_console(void *context, struct console_seat *seat)
{
    struct control *control = context;
    seat->context = control;
    seat->mail.deliver = deliver_seat;
    loop_post(control->loop, &seat->mail);
}

static void deliver_cancel(struct mail *mail, struct loop *loop)
{
    struct cancel_request *request = (struct cancel_request *)mail;
    struct control *control = request->proxy->console_context;
    struct session *session, *found = NULL;
    if (control->ended) { /* whoever waited for it is gone */
        mem_free(request);
        return;
    }
    TAILQ_FOREACH (session, &control->sessions, entry) {
        if (cancel_is_key(request, session->key, control->settings->peer_id))
            found = session;
    }
    if (found != NULL) {
        request->reason = "cancel request for console client";
        session_cancel(found);
    }
    cancel_finish(request);
}

/* On a worker's thread. */
static void cancel_console(void *context, struct cancel_request *request)
{
    struct control *control = context;
    request->mail.deliver = deliver_cancel;
    loop_post(control->loop, &request->mail);
}

static void publish_view(void *context, struct topology_view *view)
{
    struct control *control = context;
    topology_view_unref(control->view);
    control->view = topology_view_ref(view);
    catalogs_take_view(control->catalogs, view);
    for (unsigned i = 0; i < control->proxy->n_workers; i++)
        worker_post_view(control->proxy->workers[i], view);
}

static void publish_catalogs(void *context, struct catalog_set *catalogs)
{
    struct control *control = context;
    for (unsigned i = 0; i < control->proxy->n_workers; i++)
        worker_post_catalogs(control->proxy->workers[i], catalogs);
}

struct control *control_new(struct proxy *proxy, struct settings *settings)
{
    static const int numbers[CONTROL_SIGNALS] = {SIGHUP,  SIGINT,  SIGTERM,
                                                 SIGQUIT, SIGUSR1, SIGUSR2};
    struct control *control = mem_new(sizeof *control);
    control->loop = loop_new();
    control->proxy = proxy;
    control->settings = settings;
    control->poll.expired = on_poll;
    TAILQ_INIT(&control->sessions);
    TAILQ_INIT(&control->pausing);
    TAILQ_INIT(&control->asking);
    for (int i = 0; i < CONTROL_SIGNALS; i++) {
        control->signals[i] = evsignal_new(control->loop->base, numbers[i], on_signal, control);
        event_add(control->signals[i], NULL);
    }
    proxy->console_context = control;
    proxy->seat_console = seat_console;
    proxy->cancel_console = cancel_console;
    proxy->take_move = giver_take_move;
    proxy->pass_cancel = taker_pass_cancel;
    control->giver = giver_new(control);
    resolver_set_ttl(proxy->pools->resolver, settings->dns_max_ttl_us,
                     settings->dns_nxdomain_ttl_us);
    control->catalogs =
        catalogs_new(control->loop, proxy->pools->resolver, publish_catalogs, control);
    proxy->pools->catalogs = control->catalogs;
    proxy->pools->want_catalog = catalogs_want;
    proxy->pools->renew_catalog = catalogs_are_old;
    catalogs_use(control->catalogs, settings);
    control->topology = topology_new(control->loop, proxy->pools->resolver, publish_view, control);
    proxy->pools->topology = control->topology;
    proxy->pools->hurry = topology_hurry;
    topology_use(control->topology, settings);
    return control;
}

int control_run(struct control *control, struct taker *taker)
{
    control->taker = taker;
    stats_start(control);
    retire_start(control);
    supervisor_start(control);
    if (taker != NULL)
        taker_start(taker, control);
    else
        giver_open(control->giver, -1);
    loop_run(control->loop);
    return 0;
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    control->ended = true;
    /* Before the answers of the workers come: a session would go on to its next command and ask
     * workers that are no more. */
    while (!TAILQ_EMPTY(&control->sessions))
        session_close(TAILQ_FIRST(&control->sessions), NULL);
    topology_stop(control->topology);
    catalogs_stop(control->catalogs);
    giver_end(control->giver);
    loop_drain(control->loop); /* answers, for orphans now, and clients on their way */
    answer_pauses(control);
    struct request *request;
    while ((request = TAILQ_FIRST(&control->asking)) != NULL) {
        TAILQ_REMOVE(&control->asking, request, entry);
        request_done(request, request->command.verb->tag);
    }
    stats_stop(control);
    retire_stop(control);
    supervisor_stop(control);
    for (int i = 0; i < CONTROL_SIGNALS; i++)
        event_free(control->signals[i]);
    giver_free(control->giver);
    taker_free(control->taker);
    topology_free(control->topology);
    catalogs_free(control->catalogs);
    topology_view_unref(control->view);
    loop_free(control->loop);
    settings_unref(control->settings);
    mem_free(control);
}
