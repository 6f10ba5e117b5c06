#include "session/worker.h"
#include "sql/cache.h"

#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "base/mem.h"
#include "pool/server.h"
#include "session/client.h"
#include "session/functions.h"
#include "session/listen.h"
#include "session/moving.h"
#include "session/state.h"
#include "session/suspend.h"
#include "topology/catalog_set.h"
#include "topology/view.h"

enum { VERDICTS_MAX = 2 << 20 }; /* bytes for what is known of statements */

/* Does anybody's query or transaction have a time limit? */
static bool any_query_timeouts(const struct settings *settings)
{
    if (settings->query_timeout_us > 0 || settings->idle_transaction_timeout_us > 0 ||
        settings->transaction_timeout_us > 0 || settings->pin_idle_timeout_us > 0)
        return true;
    for (const struct conf_user *user = NULL; (user = conf_next_user(settings, user)) != NULL;) {
        if (user->query_timeout_us > 0 || user->idle_transaction_timeout_us > 0 ||
            user->transaction_timeout_us > 0)
            return true;
    }
    return false;
}

/* The longest text that is parsed may have changed, and so what its facts are. */
static void take_settings(struct worker *worker, const struct settings *settings)
{
    worker->has_query_timeouts = any_query_timeouts(settings);
    sql_cache_free(worker->verdicts);
    worker->verdicts = sql_cache_new(VERDICTS_MAX, (size_t)settings->max_parse_length);
    worker->random = (uint64_t)clock_now_us() * 2 + 1;
}

enum { WATCH_EVERY_US = 1000000 };

void worker_watch(struct worker *worker)
{
    if (worker->watch.at_us == 0)
        deadline_set(worker->loop, &worker->watch, DEADLINE_OTHER, clock_now_us() + WATCH_EVERY_US);
}

static void on_watch(struct deadline *deadline, struct loop *loop)
{
    struct worker *worker = CONTAINER_OF(deadline, struct worker, watch);
    struct client *client, *next;
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        bool in_part = (client->state == CLIENT_IDLE && client->stash.len > 0) ||
                       client->state == CLIENT_REFUSING;
        if (in_part && stream_look(&client->stream))
            client_close(client, "client unexpected eof");
        else if (in_part)
            worker_watch(worker);
    }
}

struct worker *worker_new(struct proxy *proxy, unsigned index, struct settings *settings)
{
    struct worker *worker = mem_new(sizeof *worker);
    worker->proxy = proxy;
    worker->loop = loop_new();
    worker->watch.expired = on_watch;
    TAILQ_INIT(&worker->clients);
    TAILQ_INIT(&worker->peer_pools);
    pool_worker_init(&worker->pool, proxy->pools, index, worker->loop, settings,
                     &client_pool_events);
    take_settings(worker, settings);
    worker->functions = functions_new();
    return worker;
}

static void close_all(struct worker *worker)
{
    struct err err;
    struct client *client;
    err_set(&err, SQLSTATE_ADMIN_SHUTDOWN, "pooler is shutting down");
    listen_close(worker, true);
    worker->pool.stopping = true;
    moving_end_all(worker);
    while ((client = TAILQ_FIRST(&worker->clients)) != NULL)
        client_fail(client, &err);
    peers_end_all(worker);
    pool_worker_done(&worker->pool);
}

void worker_close(struct worker *worker)
{
    close_all(worker);
    loop_drain(worker->loop); /* servers and sockets that were on their way */
    close_all(worker);
}

void worker_free(struct worker *worker)
{
    loop_free(worker->loop);
    pool_worker_free_parts(&worker->pool);
    map_done(&worker->by_key);
    sql_cache_free(worker->verdicts);
    functions_free(worker->functions);
    mem_free(worker);
}

/* ---- mail from the control thread ---- */

struct worker_mail {
    struct mail mail;
    struct worker *worker;
    struct settings *settings;    /* counted; of a reload */
    struct topology_view *view;   /* counted; of new primaries */
    struct catalog_set *catalogs; /* counted; new ones */
    bool unix_too;
};

static void post(struct worker *worker, void (*deliver)(struct mail *, struct loop *),
                 struct worker_mail what)
{
    struct worker_mail *mail = mem_dup(&what, sizeof what);
    mail->mail.deliver = deliver;
    mail->worker = worker;
    loop_post(worker->loop, &mail->mail);
}

static void review_leases(struct worker *worker)
{
    struct client *client, *next;
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        relay_review(client);
    }
}

/* Clients of databases that are no more, and those that will get no server any more. */
static void dismiss_clients(struct worker *worker)
{
    struct client *client, *next;
    struct err err;
    for (client = TAILQ_FIRST(&worker->clients); client != NULL; client = next) {
        next = TAILQ_NEXT(client, entry);
        if (client->part == NULL)
            continue;
        bool waits = client->state == CLIENT_WAITING || client->state == CLIENT_WELCOME;
        bool removed = client->part->db == NULL;
        if ((waits || removed) && !client_may_wait(client, &err))
            client_fail(client, &err);
    }
}

static void deliver_settings(struct mail *mail, struct loop *loop)
{
    struct worker_mail *news = (struct worker_mail *)mail;
    struct worker *worker = news->worker;
    struct client *client;
    TAILQ_FOREACH (client, &worker->clients, entry)
        state_before_reload(client);
    take_settings(worker, news->settings);
    pool_worker_reload(&worker->pool, news->settings);
    TAILQ_FOREACH (client, &worker->clients, entry)
        state_after_reload(client);
    peers_reload(worker);
    dismiss_clients(worker);
    mem_free(news);
}

void worker_post_settings(struct worker *worker, struct settings *settings)
{
    post(worker, deliver_settings, (struct worker_mail){.settings = settings_ref(settings)});
}

static void deliver_view(struct mail *mail, struct loop *loop)
{
    struct worker_mail *news = (struct worker_mail *)mail;
    pool_worker_take_view(&news->worker->pool, news->view);
    mem_free(news);
}

void worker_post_view(struct worker *worker, struct topology_view *view)
{
    post(worker, deliver_view, (struct worker_mail){.view = topology_view_ref(view)});
}

static void deliver_catalogs(struct mail *mail, struct loop *loop)
{
    struct worker_mail *news = (struct worker_mail *)mail;
    pool_worker_take_catalogs(&news->worker->pool, news->catalogs);
    mem_free(news);
}

void worker_post_catalogs(struct worker *worker, struct catalog_set *catalogs)
{
    post(worker, deliver_catalogs, (struct worker_mail){.catalogs = catalog_set_ref(catalogs)});
}

static void deliver_review(struct mail *mail, struct loop *loop)
{
    struct worker *worker = ((struct worker_mail *)mail)->worker;
    mem_free(mail);
    if (atomic_load(&worker->proxy->shutdown) == SHUTDOWN_WAIT_FOR_SERVERS)
        worker->pool.stopping = true;
    pool_worker_review(&worker->pool);
    review_leases(worker);
    dismiss_clients(worker);
}

void worker_post_review(struct worker *worker)
{
    post(worker, deliver_review, (struct worker_mail){0});
}

static void deliver_resume(struct mail *mail, struct loop *loop)
{
    suspend_end(((struct worker_mail *)mail)->worker);
    mem_free(mail);
}

void worker_post_resume(struct worker *worker)
{
    post(worker, deliver_resume, (struct worker_mail){0});
}

static void deliver_close_listeners(struct mail *mail, struct loop *loop)
{
    struct worker_mail *close = (struct worker_mail *)mail;
    listen_close(close->worker, close->unix_too);
    mem_free(close);
}

void worker_post_close_listeners(struct worker *worker, bool unix_too)
{
    post(worker, deliver_close_listeners, (struct worker_mail){.unix_too = unix_too});
}

struct task_mail {
    struct mail mail;
    struct worker *worker;
    struct worker_task *task;
};

static void deliver_done(struct mail *mail, struct loop *loop)
{
    struct worker_task *task = (struct worker_task *)mail;
    task->done(task);
}

static void deliver_task(struct mail *mail, struct loop *loop)
{
    struct task_mail *order = (struct task_mail *)mail;
    struct worker_task *task = order->task;
    task->run(task, order->worker);
    mem_free(order);
    task->mail.deliver = deliver_done;
    loop_post(task->back, &task->mail);
}

void worker_post_task(struct worker *worker, struct worker_task *task)
{
    struct task_mail *order = mem_new(sizeof *order);
    order->mail.deliver = deliver_task;
    order->worker = worker;
    order->task = task;
    loop_post(worker->loop, &order->mail);
}
