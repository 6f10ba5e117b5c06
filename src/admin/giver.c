#include "admin/giver.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/door.h"
#include "admin/survey.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pidfile.h"
#include "base/systemd.h"
#include "net/channel.h"
#include "session/cancel.h"
#include "session/handover.h"
#include "session/listen.h"
#include "session/moving.h"

enum {
    WINDOW = 64, /* clients sent and not acknowledged: as many descriptors are in flight */
    GREETING_US = 5000000,
    PATIENCE_US = 30000000, /* for each next sign of life */
};

enum giver_state {
    GIVER_NONE,
    GIVER_GATHERING,
    GIVER_LENT,
    GIVER_SWEEPING,
    GIVER_GIVEN,
    GIVER_ALONE,
};

TAILQ_HEAD(move_list, client_move);

struct giver {
    struct control *control; /* borrowed */
    char *path;              /* owned: of the door's file; NULL: it has none */
    int door;                /* owned; -1: there is none */
    struct event *knock;
    enum giver_state state;
    bool connected; /* somebody is at the other end of the channel */
    struct channel channel;
    struct event *readable, *writable;
    struct deadline deadline;
    int to;                         /* process id */
    unsigned round;                 /* counts takeovers: answers for an earlier one are void */
    struct move_list waiting, sent; /* oldest first */
    unsigned n_waiting, n_sent, n_taken, n_first; /* n_first: COMMIT is when so many are taken */
    bool swept;
    struct moving_rest rest;
};

/* ---- the end of a takeover ---- */

static void nothing(void *context, struct buf *answers, size_t n_answers)
{
}

static void stop_moving(struct worker *worker, struct buf *answer, const void *context)
{
    moving_stop(worker, false);
}

static void go_on(struct worker *worker, struct buf *answer, const void *context)
{
    moving_stop(worker, true);
}

static void bring_back(struct move_list *list)
{
    struct client_move *move;
    while ((move = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, move, entry);
        moving_end(move, false);
    }
}

static void hang_up(struct giver *giver)
{
    if (!giver->connected)
        return;
    giver->connected = false;
    event_free(giver->readable);
    event_free(giver->writable);
    channel_close(&giver->channel);
    deadline_clear(giver->control->loop, &giver->deadline);
}

static void say_no(struct channel *channel, const char *reason)
{
    struct buf text = BUF_NONE;
    handover_write_text(&text, reason);
    channel_put(channel, HANDOVER_NO, &text, -1);
    channel_flush(channel); /* what does not go out now is not needed */
}

static bool take_taken(struct giver *giver)
{
    struct client_move *move = TAILQ_FIRST(&giver->sent);
    if (move == NULL)
        return false;
    TAILQ_REMOVE(&giver->sent, move, entry);
    giver->n_sent--;
    giver->n_taken++;
    moving_end(move, true);
    return true;
}

/* Which clients it has taken must be known before the others come back: what it says from now on does not
 * arrive, and it sees that. */
static void hear_last_words(struct giver *giver)
{
    struct channel_record record;
    bool more = shutdown(giver->channel.fd, SHUT_RD) == 0;
    while (more) {
        more = channel_fill(&giver->channel);
        while (channel_next(&giver->channel, &record) == CHANNEL_RECORD) {
            if (record.fd >= 0)
                close(record.fd);
            if (record.kind == HANDOVER_TAKEN)
                take_taken(giver);
        }
    }
}

/* The other process is gone, or goes.  The workers are told before their clients come back. */
static void end(struct giver *giver, const char *reason)
{
    struct control *control = giver->control;
    bool sweeping = giver->state == GIVER_SWEEPING, given = giver->state >= GIVER_GIVEN;
    if (giver->state == GIVER_GIVEN)
        log_info("process %d, which has taken over, has gone; who is left stays to the end",
                 giver->to);
    if (giver->state < GIVER_GIVEN && giver->state != GIVER_NONE) {
        log_warning("process %d does not take over: %s; all goes on as before", giver->to, reason);
        say_no(&giver->channel, reason);
    }
    if (giver->connected)
        hear_last_words(giver);
    hang_up(giver);
    giver->state = given ? GIVER_ALONE : GIVER_NONE;
    giver->round++;
    if (given)
        survey_start(control->proxy, control->loop, stop_moving, nothing, NULL);
    else if (sweeping)
        survey_start(control->proxy, control->loop, go_on, nothing, NULL);
    bring_back(&giver->sent);
    bring_back(&giver->waiting);
    giver->n_sent = giver->n_waiting = 0;
}

static void on_deadline(struct deadline *deadline, struct loop *loop)
{
    end(CONTAINER_OF(deadline, struct giver, deadline), "it does not answer");
}

static void be_patient(struct giver *giver, int64_t for_us)
{
    deadline_set(giver->control->loop, &giver->deadline, DEADLINE_OTHER, clock_now_us() + for_us);
}

/* If the other end is gone on_readable() will see that, behind the last words. */
static void flush(struct giver *giver)
{
    if (channel_flush(&giver->channel) && channel_has_output(&giver->channel))
        event_add(giver->writable, NULL);
}

static void put(struct giver *giver, enum handover_kind kind, struct buf *payload, int fd)
{
    channel_put(&giver->channel, kind, payload, fd);
}

static void put_empty(struct giver *giver, enum handover_kind kind)
{
    struct buf nil = BUF_NONE;
    put(giver, kind, &nil, -1);
}

/* ---- clients ---- */

static void close_listeners(struct worker *worker, struct buf *answer, const void *context)
{
    listen_close(worker, true);
}

static void close_door(struct giver *giver)
{
    if (giver->door < 0)
        return;
    event_free(giver->knock);
    close(giver->door);
    giver->door = -1;
    if (giver->path != NULL && !atomic_load(&giver->control->proxy->files_are_lent))
        unlink(giver->path);
}

/* From here on there is no way back. */
static void commit(struct giver *giver)
{
    struct control *control = giver->control;
    const struct moving_rest *rest = &giver->rest;
    giver->state = GIVER_GIVEN;
    deadline_clear(control->loop, &giver->deadline);
    atomic_store(&control->proxy->files_are_lent, true);
    survey_start(control->proxy, control->loop, close_listeners, nothing, NULL);
    close_door(giver);
    log_info("process %d has taken over with %u clients; still here: %u at work, %u logging in, "
             "%u in session mode, %u of replication",
             giver->to, giver->n_taken, rest->busy, rest->login, rest->session, rest->replication);
    supervisor_hand_over(control, giver->to);
    control_wait_for_last(control);
    put_empty(giver, HANDOVER_COMMIT);
}

static void send_clients(struct giver *giver)
{
    struct client_move *move;
    while (giver->n_sent < WINDOW && (move = TAILQ_FIRST(&giver->waiting)) != NULL) {
        TAILQ_REMOVE(&giver->waiting, move, entry);
        TAILQ_INSERT_TAIL(&giver->sent, move, entry);
        giver->n_waiting--;
        giver->n_sent++;
        put(giver, HANDOVER_CLIENT, &move->record, move->fd);
    }
    if (giver->state == GIVER_SWEEPING && giver->swept && giver->n_taken >= giver->n_first)
        commit(giver);
    flush(giver);
}

static void move_free(struct client_move *move)
{
    buf_done(&move->record);
    mem_free(move);
}

static void deliver_move(struct mail *mail, struct loop *loop)
{
    struct client_move *move = (struct client_move *)mail;
    struct control *control = move->worker->proxy->console_context;
    struct giver *giver = control->giver;
    if (control->ended) {
        move_free(move); /* its worker is no more */
        return;
    }
    if (giver->state != GIVER_SWEEPING && giver->state != GIVER_GIVEN) {
        moving_end(move, false);
        return;
    }
    TAILQ_INSERT_TAIL(&giver->waiting, move, entry);
    giver->n_waiting++;
    send_clients(giver);
}

void giver_take_move(void *context, struct client_move *move)
{
    struct control *control = context;
    move->mail.deliver = deliver_move;
    loop_post(control->loop, &move->mail);
}

/* ---- cancel requests for clients that are still here ---- */

struct asked_cancel {
    struct mail mail; /* first: the loop finds us by it */
    struct giver *giver;
    unsigned round;
    uint64_t id;
};

static void deliver_canceled(struct mail *mail, struct loop *loop)
{
    struct asked_cancel *asked = (struct asked_cancel *)mail;
    struct giver *giver = asked->giver;
    struct buf payload = BUF_NONE;
    if (giver->connected && asked->round == giver->round) {
        handover_write_canceled(&payload, asked->id);
        put(giver, HANDOVER_CANCELED, &payload, -1);
        flush(giver);
    }
    mem_free(asked);
}

static bool take_cancel(struct giver *giver, struct slice payload)
{
    struct handover_cancel cancel;
    if (!handover_read_cancel(payload, &cancel))
        return false;
    struct asked_cancel *asked = mem_new(sizeof *asked);
    asked->mail.deliver = deliver_canceled;
    asked->giver = giver;
    asked->round = giver->round;
    asked->id = cancel.id;
    cancel_for_successor(giver->control->proxy, cancel.key, giver->control->loop, &asked->mail);
    return true;
}

/* ---- answers of the workers ---- */

struct round {
    struct giver *giver;
    unsigned round;
};

static struct round *new_round(struct giver *giver)
{
    struct round *round = mem_new(sizeof *round);
    *round = (struct round){.giver = giver, .round = giver->round};
    return round;
}

static bool end_round(struct round *round)
{
    bool valid = round->round == round->giver->round;
    mem_free(round);
    return valid;
}

static void ask_begin(struct worker *worker, struct buf *answer, const void *context)
{
    struct moving_rest rest = {0};
    moving_begin(worker, &rest);
    buf_append(answer, &rest, sizeof rest);
}

static void on_swept(void *context, struct buf *answers, size_t n_answers)
{
    struct giver *giver = ((struct round *)context)->giver;
    if (!end_round(context))
        return;
    giver->rest = (struct moving_rest){0};
    for (size_t i = 0; i < n_answers; i++) {
        struct moving_rest rest;
        memcpy(&rest, answers[i].data, sizeof rest);
        giver->rest.session += rest.session;
        giver->rest.replication += rest.replication;
        giver->rest.busy += rest.busy;
        giver->rest.login += rest.login;
    }
    giver->swept = true;
    giver->n_first = giver->n_taken + giver->n_sent + giver->n_waiting;
    send_clients(giver);
}

static void put_keys(struct giver *giver)
{
    struct pools *pools = giver->control->proxy->pools;
    for (struct pool *pool = pools_first(pools); pool != NULL; pool = pool_next(pools, pool)) {
        struct handover_keys keys = {.database = pool->database->name, .user = pool->user};
        struct buf payload = BUF_NONE;
        pthread_mutex_lock(&pool->mutex);
        bool has_keys = pool->has_keys;
        keys.keys = pool->keys;
        pthread_mutex_unlock(&pool->mutex);
        if (!has_keys)
            continue;
        handover_write_keys(&payload, &keys);
        put(giver, HANDOVER_KEYS, &payload, -1);
        mem_wipe(&keys, sizeof keys);
    }
}

static void sweep(struct giver *giver)
{
    struct control *control = giver->control;
    giver->state = GIVER_SWEEPING;
    giver->swept = false;
    giver->n_taken = 0;
    put_keys(giver);
    survey_start(control->proxy, control->loop, ask_begin, on_swept, new_round(giver));
    be_patient(giver, PATIENCE_US);
    flush(giver);
}

/* ---- what is lent ---- */

struct lent {
    int fd;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
};

static void ask_listeners(struct worker *worker, struct buf *answer, const void *context)
{
    size_t at = 0;
    const char *path;
    struct lent lent;
    while (listen_next(worker, &at, &lent.fd, &path)) {
        memset(lent.path, 0, sizeof lent.path);
        strncpy(lent.path, path, sizeof lent.path - 1);
        buf_append(answer, &lent, sizeof lent);
    }
}

static void put_listeners(struct giver *giver, const struct buf *answer)
{
    struct lent lent;
    for (size_t at = 0; at < answer->len; at += sizeof lent) {
        struct buf payload = BUF_NONE;
        memcpy(&lent, answer->data + at, sizeof lent);
        handover_write_text(&payload, lent.path);
        put(giver, HANDOVER_LISTENER, &payload, lent.fd);
    }
}

static void on_gathered(void *context, struct buf *answers, size_t n_answers)
{
    struct giver *giver = ((struct round *)context)->giver;
    if (!end_round(context))
        return;
    for (size_t i = 0; i < n_answers; i++)
        put_listeners(giver, &answers[i]);
    put_empty(giver, HANDOVER_INHERITED);
    giver->state = GIVER_LENT;
    be_patient(giver, PATIENCE_US);
    flush(giver);
}

static void begin(struct giver *giver)
{
    struct control *control = giver->control;
    struct buf payload = BUF_NONE;
    handover_write_hello(&payload, getpid());
    put(giver, HANDOVER_HELLO, &payload, -1);
    struct handover_supervisor supervisor = {.socket = systemd_socket(),
                                             .watchdog_us = (uint64_t)systemd_watchdog_us()};
    handover_write_supervisor(&payload, &supervisor);
    put(giver, HANDOVER_SUPERVISOR, &payload, -1);
    if (control->proxy->pidfile != NULL) {
        struct buf nil = BUF_NONE;
        put(giver, HANDOVER_PIDFILE, &nil, pidfile_descriptor(control->proxy->pidfile));
    }
    struct buf door = BUF_NONE;
    put(giver, HANDOVER_DOOR, &door, giver->door);
    giver->state = GIVER_GATHERING;
    log_info("process %d takes over", giver->to);
    survey_start(control->proxy, control->loop, ask_listeners, on_gathered, new_round(giver));
    flush(giver);
}

static bool any_pause(const struct control *control)
{
    struct pools *pools = control->proxy->pools;
    struct database *database = pools_first_database(pools);
    while (database != NULL && !atomic_load(&database->paused))
        database = database_next(pools, database);
    return database != NULL || atomic_load(&pools->paused);
}

/* NULL: none. */
static const char *reason_for_no(const struct control *control, uint32_t version)
{
    if (version != HANDOVER_VERSION)
        return "this version cannot hand over to that one";
    if (control_is_shutting_down(control))
        return "pooler is shutting down";
    if (any_pause(control))
        return "pooler is paused: RESUME it first";
    return NULL;
}

static bool greet(struct giver *giver, const struct channel_record *record)
{
    uint32_t version;
    int pid; /* what the kernel says is surer */
    if (record->kind != HANDOVER_HELLO || !handover_read_hello(record->payload, &version, &pid))
        return false;
    const char *reason = reason_for_no(giver->control, version);
    if (reason != NULL) {
        log_warning("process %d asks to take over: %s", giver->to, reason);
        say_no(&giver->channel, reason);
        return false;
    }
    begin(giver);
    return true;
}

/* ---- the channel ---- */

static bool take(struct giver *giver, const struct channel_record *record)
{
    if (record->fd >= 0) {
        close(record->fd); /* none is awaited */
        return false;
    }
    switch (giver->state) {
    case GIVER_NONE:
        return greet(giver, record);
    case GIVER_LENT:
        if (record->kind != HANDOVER_LISTENING)
            return false;
        sweep(giver);
        return true;
    case GIVER_SWEEPING:
    case GIVER_GIVEN:
        if (record->kind == HANDOVER_CANCEL)
            return take_cancel(giver, record->payload);
        if (record->kind != HANDOVER_TAKEN || !take_taken(giver))
            return false;
        if (giver->state == GIVER_SWEEPING)
            be_patient(giver, PATIENCE_US);
        send_clients(giver);
        return true;
    case GIVER_GATHERING:
    case GIVER_ALONE:
        break;
    }
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct giver *giver = arg;
    struct channel_record record;
    bool alive = channel_fill(&giver->channel);
    enum channel_step step = CHANNEL_MORE;
    while (giver->connected && (step = channel_next(&giver->channel, &record)) == CHANNEL_RECORD) {
        if (!take(giver, &record)) {
            step = CHANNEL_BROKEN;
            break;
        }
    }
    if (giver->connected && (step == CHANNEL_BROKEN || !alive))
        end(giver, alive ? "it has broken the rules" : "it has gone");
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    flush(arg);
}

static void connect_to(struct giver *giver, int fd)
{
    struct event_base *base = giver->control->loop->base;
    channel_init(&giver->channel, fd);
    giver->channel.record_max = HANDOVER_HELLO_MAX; /* it has nothing longer to say */
    giver->connected = true;
    giver->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, giver);
    giver->writable = event_new(base, fd, EV_WRITE, on_writable, giver);
    event_add(giver->readable, NULL);
    be_patient(giver, GREETING_US);
}

static void send_away(int fd, const char *reason)
{
    struct channel channel;
    channel_init(&channel, fd);
    say_no(&channel, reason);
    channel_close(&channel);
}

static void on_knock(evutil_socket_t door, short what, void *arg)
{
    struct giver *giver = arg;
    int pid, fd = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!door_trusts(fd, &pid)) {
        log_warning("process %d of another user asks to take over", pid);
        close(fd);
    } else if (giver->connected) {
        send_away(fd, "another process is about to take over");
    } else {
        giver->to = pid;
        connect_to(giver, fd);
    }
}

/* ---- the door ---- */

void giver_open(struct giver *giver, int fd)
{
    const struct control *control = giver->control;
    struct sockaddr_un address;
    struct err err;
    socklen_t len;
    bool known = door_address(control->settings, &address, &len, &err);
    if (known && fd < 0)
        fd = door_listen(&address, len, &err);
    if (fd < 0) {
        if (control->settings->unix_socket_dir[0] != '\0')
            log_warning("no other process can take over with -R: %s", err.message);
        return;
    }
    giver->door = fd;
    if (known && address.sun_path[0] != '\0')
        giver->path = mem_strdup(address.sun_path);
    giver->knock = event_new(control->loop->base, fd, EV_READ | EV_PERSIST, on_knock, giver);
    event_add(giver->knock, NULL);
}

/* ---- life ---- */

struct giver *giver_new(struct control *control)
{
    struct giver *giver = mem_new(sizeof *giver);
    giver->control = control;
    giver->door = -1;
    giver->deadline.expired = on_deadline;
    TAILQ_INIT(&giver->waiting);
    TAILQ_INIT(&giver->sent);
    return giver;
}

void giver_shut(struct giver *giver)
{
    if (giver->state >= GIVER_GIVEN)
        return;
    end(giver, "pooler is shutting down");
    close_door(giver);
}

static void free_moves(struct move_list *list)
{
    struct client_move *move;
    while ((move = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, move, entry);
        move_free(move);
    }
}

void giver_end(struct giver *giver)
{
    hang_up(giver);
    close_door(giver);
    giver->round++;
    free_moves(&giver->sent);
    free_moves(&giver->waiting);
}

void giver_free(struct giver *giver)
{
    mem_free(giver->path);
    mem_free(giver);
}

bool giver_has_given(const struct giver *giver)
{
    return giver->state >= GIVER_GIVEN;
}

bool giver_is_done(const struct giver *giver)
{
    const struct proxy *proxy = giver->control->proxy;
    if (!giver_has_given(giver) || (giver->connected && channel_has_output(&giver->channel)))
        return false;
    for (unsigned i = 0; i < proxy->n_workers; i++) {
        if (atomic_load(&proxy->workers[i]->n_sockets) > 0)
            return false;
    }
    return true;
}
