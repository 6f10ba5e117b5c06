/*
 * test/unit/pool/model_steps.h - what can happen: each step is one thing, on the thread of one worker
 */
#ifndef MODEL_STEPS_H
#define MODEL_STEPS_H

#include "model_check.h"

/* ---- loops, driven by hand ---- */

static bool has_mail(const struct loop *loop)
{
    return atomic_load(&loop->mailbox) != NULL || loop->later != NULL;
}

/* Takes the oldest mail out of the box: others may do something between two of them. */
static void deliver_one(struct loop *loop)
{
    struct mail *before = NULL, *mail = atomic_load(&loop->mailbox);
    if (mail == NULL) {
        loop_drain(loop);
        return;
    }
    for (; mail->next != NULL; mail = mail->next)
        before = mail;
    if (before != NULL)
        before->next = NULL;
    else
        atomic_store(&loop->mailbox, NULL);
    mail->deliver(mail, loop);
}

/* In an order that no loop can rely on. */
static void drain_all(struct model *model, struct worker *worker)
{
    enum { ROUNDS_MAX = 2000 };
    unsigned first = chance(worker, model->n_workers), idle = 0;
    for (unsigned i = first; idle < model->n_workers; i++) {
        struct loop *loop = model->workers[i % model->n_workers].pool.loop;
        MUST(model, i < ROUNDS_MAX, "mail goes round for ever");
        idle = has_mail(loop) ? 0 : idle + 1;
        if (chance(worker, 4) > 0)
            loop_drain(loop);
        else if (has_mail(loop))
            deliver_one(loop);
    }
}

static void expire_deadlines(struct loop *loop)
{
    int64_t now_us = clock_now_us();
    for (int i = 0; i < DEADLINE_CLASSES; i++) {
        struct deadline *first;
        while ((first = TAILQ_FIRST(&loop->deadlines[i])) != NULL && first->at_us <= now_us) {
            deadline_clear(loop, first);
            first->expired(first, loop);
        }
    }
}

static void pass_time(int64_t us)
{
    atomic_fetch_add(&fake.now_us, us);
}

/* ---- clients and servers ---- */

static struct client *random_client(struct worker *worker, enum client_state state)
{
    unsigned first = chance(worker, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &worker->clients[(first + i) % CLIENTS];
        if (client->state == state)
            return client;
    }
    return NULL;
}

static void let_come(struct worker *worker)
{
    struct client *client = random_client(worker, CLIENT_GONE);
    if (client != NULL && !worker->pool.stopping)
        client_come(worker, client);
}

static void let_want(struct worker *worker)
{
    struct client *client = random_client(worker, CLIENT_IDLE);
    if (client != NULL)
        client_want(client);
}

static void let_leave(struct worker *worker)
{
    enum client_state state = (enum client_state)(1 + chance(worker, 3));
    struct client *client = random_client(worker, state);
    if (client != NULL)
        client_leave(client);
}

static void let_release(struct worker *worker)
{
    struct client *client = random_client(worker, CLIENT_ACTIVE);
    bool again = chance(worker, 2) == 0;
    if (client == NULL)
        return;
    client_release(client);
    if (again && client->state == CLIENT_IDLE)
        client_want(client);
}

/* Any; or one that does not just wait to be used. */
static struct server *random_server(struct worker *worker, bool any)
{
    struct server *server, *found = NULL;
    struct part *part;
    unsigned n = 0;
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        TAILQ_FOREACH (server, &part->others, entry) {
            if ((any || server->client == NULL) && chance(worker, ++n) == 0)
                found = server;
        }
        TAILQ_FOREACH (server, &part->idle, entry) {
            if (any && chance(worker, ++n) == 0)
                found = server;
        }
    }
    return found;
}

static void let_advance(struct worker *worker)
{
    struct server *server = random_server(worker, false);
    if (server == NULL)
        return;
    say(worker->model, "server %llu goes on from state %d", (unsigned long long)server->id,
        server->state);
    fake_advance(server, chance(worker, 4) == 0);
}

/* What can go wrong with a server in each state. */
static void let_fail(struct worker *worker)
{
    static const char *const codes[] = {"28P01", "53300", "22023", "42704"};
    struct server *server = random_server(worker, true);
    const char *code = PICK(worker, codes);
    unsigned how = chance(worker, 3);
    if (server == NULL)
        return;
    say(worker->model, "server %llu fails in state %d", (unsigned long long)server->id,
        server->state);
    if (server->state == SERVER_CONNECTING || server->starting)
        fake_fail(server, "08001", false);
    else if (server->state == SERVER_LOGIN)
        fake_fail(server, how == 0 ? "57P03" : code, how > 0);
    else if (server->client != NULL)
        client_lose_server(server->client);
    else
        server_close(server, "server connection closed");
}

/* Of a pool the listening server is opened while one of its clients has a server: so there is always a place
 * left for those that do not listen. */
static void let_listen(struct worker *worker)
{
    struct client *client = random_client(worker, CLIENT_ACTIVE);
    if (client == NULL || client->part->listener != NULL)
        return;
    struct part *part = client->part;
    int size = atomic_load(&part->pool->size);
    part->n_hearing = 1;
    bool opened = part_open_listener(part);
    say(worker->model, PART_FORMAT " is to listen: %s", PART_ARGS(part), opened ? "yes" : "no");
    if (!opened)
        part->n_hearing = 0;
    MUST(worker->model, worker->model->n_workers > 1 || atomic_load(&part->pool->size) <= size,
         "a listening server is counted in pool_size");
}

/* Nobody hears it any more; it may be kept for a while. */
static void stop_listening(struct part *part, bool keep)
{
    if (part->listener == NULL)
        return;
    part->n_hearing = 0;
    if (keep)
        part_review_listener(part);
    else
        server_close(part->listener, "server idle timeout");
}

static void let_unlisten(struct worker *worker)
{
    struct part *part;
    TAILQ_FOREACH (part, &worker->pool.parts, entry)
        stop_listening(part, chance(worker, 3) == 0);
}

/* A cancel request has not ended in time. */
static void let_cancel_hang(struct worker *worker)
{
    struct client *client = random_client(worker, CLIENT_ACTIVE);
    if (client != NULL)
        client->server->closing_asked = true;
}

/* ---- time and mail ---- */

static void let_time_pass(struct worker *worker)
{
    static const int64_t spans_us[] = {100, 3000, 5000, 60000, 400000, 1100000, 6000000};
    int64_t span_us = PICK(worker, spans_us);
    say(worker->model, "%lld us pass", (long long)span_us);
    pass_time(span_us);
}

static void let_expire(struct worker *worker)
{
    say(worker->model, "timers of worker %u", worker->pool.index);
    expire_deadlines(worker->pool.loop);
}

static void let_one_mail_come(struct worker *worker)
{
    say(worker->model, "one mail for worker %u", worker->pool.index);
    deliver_one(worker->pool.loop);
}

static void let_mail_come(struct worker *worker)
{
    say(worker->model, "mail for worker %u", worker->pool.index);
    loop_drain(worker->pool.loop);
}

/* ---- what the control thread does ---- */

struct order {
    struct mail mail;
    struct worker *worker;
    struct settings *settings; /* counted; NULL: a review only */
    struct database *killed;
    bool stop;
    enum { KEEP, SUSPEND, END_SUSPENSION } suspension;
};

static void dismiss(struct worker *worker)
{
    for (struct client *client = worker->clients; client < worker->clients + CLIENTS; client++) {
        bool removed = client->part != NULL && client->part->db == NULL;
        if (client->state != CLIENT_GONE &&
            (removed || (client->state == CLIENT_WAITING && worker->pool.stopping)))
            client_leave(client);
    }
}

static void kill_all(struct worker *worker, const struct database *database)
{
    struct part *part;
    for (struct client *client = worker->clients; client < worker->clients + CLIENTS; client++) {
        if (client->state != CLIENT_GONE && client->part->pool->database == database)
            client_leave(client);
    }
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        if (part->pool->database == database)
            part_close_all(part, "database removed");
    }
}

static void deliver_order(struct mail *mail, struct loop *loop)
{
    struct order *order = (struct order *)mail;
    struct worker *worker = order->worker;
    atomic_fetch_sub(&worker->n_orders, 1);
    worker->pool.stopping |= order->stop;
    if (order->suspension != KEEP)
        worker->pool.suspended = order->suspension == SUSPEND;
    if (order->settings != NULL)
        pool_worker_reload(&worker->pool, order->settings);
    else
        pool_worker_review(&worker->pool);
    if (order->killed != NULL)
        kill_all(worker, order->killed);
    dismiss(worker);
    mem_free(order);
}

static void order_all(struct model *model, const struct order *what)
{
    for (unsigned i = 0; i < model->n_workers; i++) {
        struct order *order = mem_dup(what, sizeof *what);
        order->mail.deliver = deliver_order;
        order->worker = &model->workers[i];
        if (what->settings != NULL)
            settings_ref(what->settings);
        atomic_fetch_add(&order->worker->n_orders, 1);
        loop_post(order->worker->pool.loop, &order->mail);
    }
}

static void reload(struct worker *worker)
{
    struct model *model = worker->model;
    if (model->steady)
        return;
    struct order order = {.settings = random_settings(model, worker)};
    say(model, "reload: removed are%s%s%s", model->removed[0] ? " a" : "",
        model->removed[1] ? " b" : "", model->removed[2] ? " c" : "");
    order_all(model, &order);
    settings_unref(order.settings);
}

static void let_reload(struct worker *worker)
{
    reload(worker);
}

static void let_remove(struct worker *worker)
{
    bool *removed = &worker->model->removed[chance(worker, DATABASES)];
    *removed ^= !worker->model->steady;
    reload(worker);
}

/* A database, or NULL for all. */
static struct database *random_database(struct worker *worker)
{
    unsigned i = chance(worker, DATABASES + 1);
    return i < DATABASES ? pools_database(worker->pool.pools, database_names[i]) : NULL;
}

static void let_pause(struct worker *worker)
{
    struct database *database = random_database(worker);
    atomic_int *flag = database != NULL ? &database->paused : &worker->pool.pools->paused;
    bool paused = !atomic_load(flag);
    say(worker->model, "%s %s", paused ? "PAUSE" : "RESUME",
        database != NULL ? database->name : "all");
    atomic_store(flag, paused);
    order_all(worker->model, &(struct order){.worker = NULL});
}

static void resume_all(struct model *model)
{
    atomic_store(&model->pools->paused, false);
    for (unsigned i = 0; i < DATABASES; i++)
        atomic_store(&pools_database(model->pools, database_names[i])->paused, false);
    order_all(model, &(struct order){.suspension = END_SUSPENSION});
    order_all(model, &(struct order){.worker = NULL}); /* when all have heard of the end */
}

static void let_suspend(struct worker *worker)
{
    say(worker->model, "SUSPEND");
    order_all(worker->model, &(struct order){.suspension = SUSPEND});
}

static void let_resume(struct worker *worker)
{
    say(worker->model, "RESUME of all that is paused");
    resume_all(worker->model);
}

static void let_reconnect(struct worker *worker)
{
    struct database *database = random_database(worker);
    say(worker->model, "RECONNECT %s", database != NULL ? database->name : "all");
    atomic_fetch_add(database != NULL ? &database->epoch : &worker->pool.pools->epoch, 1);
    order_all(worker->model, &(struct order){.worker = NULL});
}

static void let_kill(struct worker *worker)
{
    struct order order = {.killed = random_database(worker)};
    if (order.killed == NULL)
        return;
    say(worker->model, "KILL %s", order.killed->name);
    atomic_store(&order.killed->paused, true);
    order_all(worker->model, &order);
}

static void let_stop(struct worker *worker)
{
    if (chance(worker, 10) != 0)
        return;
    say(worker->model, "SHUTDOWN WAIT_FOR_SERVERS");
    order_all(worker->model, &(struct order){.stop = true});
}

/* ---- looking ---- */

static bool any_due(struct model *model)
{
    for (unsigned i = 0; i < model->n_workers; i++) {
        for (int k = 0; k < DEADLINE_CLASSES; k++) {
            struct deadline *first = TAILQ_FIRST(&model->workers[i].pool.loop->deadlines[k]);
            if (first != NULL && first->at_us <= clock_now_us())
                return true;
        }
    }
    return false;
}

/* Until there is neither mail nor a deadline to be met. */
static void come_to_rest(struct worker *worker)
{
    struct model *model = worker->model;
    drain_all(model, worker);
    while (any_due(model)) {
        for (unsigned i = 0; i < model->n_workers; i++)
            expire_deadlines(model->workers[i].pool.loop);
        drain_all(model, worker);
    }
}

static void look(struct worker *worker)
{
    say(worker->model, "all come to rest");
    come_to_rest(worker);
    check_quiet(worker->model);
}

static void calm_worker(struct worker *worker)
{
    struct server *server, *next;
    struct part *part;
    struct client *client;
    while ((client = random_client(worker, CLIENT_ACTIVE)) != NULL)
        client_release(client);
    TAILQ_FOREACH (part, &worker->pool.parts, entry) {
        part->n_hearing = 0; /* then it gives way to whoever waits for its place */
        for (server = TAILQ_FIRST(&part->others); server != NULL; server = next) {
            next = TAILQ_NEXT(server, entry);
            fake_advance(server, false);
        }
    }
}

static bool anybody_waits(struct model *model)
{
    for (unsigned i = 0; i < model->n_workers; i++) {
        if (random_client(&model->workers[i], CLIENT_WAITING) != NULL)
            return true;
    }
    return false;
}

/* From now on nothing fails and nobody comes: then all who wait are served. */
static void serve_all(struct worker *worker)
{
    enum { ROUNDS_MAX = 1000, ROUND_US = 100000 };
    struct model *model = worker->model;
    say(model, "all goes well");
    model->calm = true;
    resume_all(model);
    come_to_rest(worker);
    for (int round = 0; anybody_waits(model); round++) {
        MUST(model, round < ROUNDS_MAX, "a client is never served");
        for (unsigned i = 0; i < model->n_workers; i++)
            calm_worker(&model->workers[i]);
        come_to_rest(worker);
        pass_time(ROUND_US);
        come_to_rest(worker);
    }
    check_quiet(model);
    model->calm = false;
}

/* ---- the choice ---- */

enum where {
    ANYWHERE,
    CONTROL, /* where there are threads: one of them only, so that all get orders in one order */
    ALONE,   /* the other workers stand still */
};

static const struct step {
    unsigned weight;
    enum where where;
    void (*run)(struct worker *worker);
} step_table[] = {
    {300, ANYWHERE, let_come},      {250, ANYWHERE, let_want},
    {60, ANYWHERE, let_leave},      {250, ANYWHERE, let_release},
    {450, ANYWHERE, let_advance},   {60, ANYWHERE, let_fail},
    {5, ANYWHERE, let_cancel_hang}, {100, ANYWHERE, let_time_pass},
    {80, ANYWHERE, let_expire},     {100, ALONE, let_one_mail_come},
    {100, ANYWHERE, let_mail_come}, {8, CONTROL, let_reload},
    {8, CONTROL, let_remove},       {12, CONTROL, let_pause},
    {5, CONTROL, let_suspend},      {15, CONTROL, let_resume},
    {8, CONTROL, let_reconnect},    {3, CONTROL, let_kill},
    {1, CONTROL, let_stop},         {60, ALONE, look},
    {3, ALONE, serve_all},          {40, ANYWHERE, let_listen},
    {30, ANYWHERE, let_unlisten},
};

static const struct step *random_step(struct worker *worker)
{
    const struct step *step = step_table;
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof step_table / sizeof *step_table; i++)
        sum += step_table[i].weight;
    unsigned at = chance(worker, sum);
    for (; at >= step->weight; step++)
        at -= step->weight;
    return step;
}

#endif
