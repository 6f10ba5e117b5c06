#include "admin/taker.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control.h"
#include "admin/door.h"
#include "admin/giver.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pidfile.h"
#include "base/systemd.h"
#include "net/channel.h"
#include "pool/pool.h"
#include "session/handover.h"
#include "session/moving.h"
#include "session/worker.h"

enum { ANSWER_MS = 30000 };

enum taker_state {
    TAKER_ASKED,
    TAKER_LISTENING,
    TAKER_OWNER,
    TAKER_LEAVING,
};

/* A cancel request that the other process works on. */
struct passed_cancel {
    struct mail mail; /* first: the loop finds us by it */
    TAILQ_ENTRY(passed_cancel) entry;
    struct control *control;
    struct loop *back; /* borrowed */
    struct mail *then; /* for `back` */
    struct handover_cancel cancel;
};

struct taker {
    struct channel channel;
    enum taker_state state;
    int from;          /* process id */
    bool greeted;      /* it speaks our version */
    bool complete;     /* all is lent */
    int door, pidfile; /* owned; -1: none */
    struct inherited *sockets;
    size_t n_sockets;
    unsigned n_clients;
    TAILQ_HEAD(passed_list, passed_cancel) cancels;
    uint64_t last_cancel;
    struct control *control; /* borrowed; from taker_start() on */
    struct event *readable;  /* NULL once the channel is closed */
};

static bool replace_fd(int *slot, int fd)
{
    if (*slot >= 0)
        close(*slot);
    *slot = fd;
    return fd >= 0;
}

static void free_sockets(struct taker *taker)
{
    for (size_t i = 0; i < taker->n_sockets; i++) {
        if (taker->sockets[i].fd >= 0)
            close(taker->sockets[i].fd);
        mem_free(taker->sockets[i].path);
    }
    mem_free(taker->sockets);
    taker->sockets = NULL;
    taker->n_sockets = 0;
}

static void end_cancel(struct taker *taker, struct passed_cancel *passed)
{
    TAILQ_REMOVE(&taker->cancels, passed, entry);
    if (taker->control->ended)
        mem_free(passed->then); /* the workers are no more */
    else
        loop_post(passed->back, passed->then);
    mem_free(passed);
}

static void end_cancels(struct taker *taker)
{
    while (!TAILQ_EMPTY(&taker->cancels))
        end_cancel(taker, TAILQ_FIRST(&taker->cancels));
}

void taker_free(struct taker *taker)
{
    if (taker == NULL)
        return;
    end_cancels(taker);
    if (taker->readable != NULL)
        event_free(taker->readable);
    channel_close(&taker->channel);
    replace_fd(&taker->door, -1);
    replace_fd(&taker->pidfile, -1);
    free_sockets(taker);
    mem_free(taker);
}

/* ---- what is lent ---- */

static bool take_socket(struct taker *taker, const struct channel_record *record)
{
    const char *path;
    if (record->fd < 0 || !handover_read_text(record->payload, &path))
        return false;
    taker->sockets = mem_resize(taker->sockets, (taker->n_sockets + 1) * sizeof taker->sockets[0]);
    taker->sockets[taker->n_sockets++] =
        (struct inherited){.fd = dup(record->fd), .path = mem_strdup(path)};
    return true;
}

static bool take_supervisor(const struct channel_record *record)
{
    struct handover_supervisor supervisor;
    if (!handover_read_supervisor(record->payload, &supervisor) ||
        supervisor.watchdog_us > INT64_MAX)
        return false;
    systemd_inherit(supervisor.socket, (int64_t)supervisor.watchdog_us);
    return true;
}

static bool take_hello(struct taker *taker, const struct channel_record *record, struct err *err)
{
    uint32_t version;
    if (record->kind != HANDOVER_HELLO ||
        !handover_read_hello(record->payload, &version, &taker->from))
        return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "it does not answer as howdah would");
    if (version != HANDOVER_VERSION)
        return err_set(err, SQLSTATE_FEATURE_NOT_SUPPORTED,
                       "its version hands over in another way (%u, not %u)", version,
                       HANDOVER_VERSION);
    taker->greeted = true;
    return true;
}

static bool take_no(const struct channel_record *record, struct err *err)
{
    const char *reason;
    if (!handover_read_text(record->payload, &reason))
        reason = "no";
    return err_set(err, SQLSTATE_OBJECT_NOT_IN_STATE, "%.500s", reason);
}

static bool take_lent(struct taker *taker, struct channel_record *record, struct err *err)
{
    bool good;
    if (record->kind == HANDOVER_NO)
        return take_no(record, err);
    if (!taker->greeted)
        return take_hello(taker, record, err);
    switch ((enum handover_kind)record->kind) {
    case HANDOVER_SUPERVISOR:
        good = take_supervisor(record);
        break;
    case HANDOVER_PIDFILE:
        good = replace_fd(&taker->pidfile, dup(record->fd));
        break;
    case HANDOVER_DOOR:
        good = replace_fd(&taker->door, dup(record->fd));
        break;
    case HANDOVER_LISTENER:
        good = take_socket(taker, record);
        break;
    case HANDOVER_INHERITED:
        good = taker->complete = taker->n_sockets > 0;
        break;
    default:
        good = false;
    }
    return good || err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "it lends what is of no use");
}

static bool wait_for_more(struct taker *taker, bool *alive, struct err *err)
{
    struct pollfd look = {.fd = taker->channel.fd, .events = POLLIN};
    if (!*alive)
        return err_set(err, SQLSTATE_CANNOT_CONNECT, "it has gone");
    if (poll(&look, 1, ANSWER_MS) <= 0)
        return err_set(err, SQLSTATE_CANNOT_CONNECT, "it does not answer");
    *alive = channel_fill(&taker->channel); /* it may have said something before it went */
    return true;
}

static bool borrow(struct taker *taker, struct err *err)
{
    struct channel_record record;
    bool alive = true;
    while (!taker->complete) {
        enum channel_step step = channel_next(&taker->channel, &record);
        if (step == CHANNEL_BROKEN)
            return err_set(err, SQLSTATE_PROTOCOL_VIOLATION, "it does not answer as howdah would");
        if (step == CHANNEL_MORE) {
            if (!wait_for_more(taker, &alive, err))
                return false;
            continue;
        }
        bool good = take_lent(taker, &record, err);
        if (record.fd >= 0)
            close(record.fd);
        if (!good)
            return false;
    }
    return true;
}

static int knock(const struct sockaddr_un *address, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, len) == 0)
        return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

static bool begin(struct taker *taker, struct err *err)
{
    struct buf hello = BUF_NONE;
    int maker; /* of the door: a process that may have been taken over long ago */
    if (!door_trusts(taker->channel.fd, &maker))
        return err_set(err, SQLSTATE_INVALID_AUTHORIZATION, "it belongs to another user");
    handover_write_hello(&hello, getpid());
    channel_put(&taker->channel, HANDOVER_HELLO, &hello, -1);
    channel_flush(&taker->channel);
    return borrow(taker, err);
}

enum taker_answer taker_ask(const struct settings *settings, struct taker **result, struct err *err)
{
    struct sockaddr_un address;
    struct err cause;
    socklen_t len;
    if (!door_address(settings, &address, &len, err))
        return TAKER_REFUSED;
    int fd = knock(&address, len);
    if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
        return TAKER_NOBODY;
    if (fd < 0) {
        err_set(err, SQLSTATE_CANNOT_CONNECT, "could not ask the running process: %s",
                strerror(errno));
        return TAKER_REFUSED;
    }
    struct taker *taker = mem_new(sizeof *taker);
    taker->door = taker->pidfile = -1;
    TAILQ_INIT(&taker->cancels);
    channel_init(&taker->channel, fd);
    if (begin(taker, &cause)) {
        *result = taker;
        return TAKER_LENT;
    }
    err_set(err, cause.sqlstate, "the running process does not hand over: %.600s", cause.message);
    taker_free(taker);
    return TAKER_REFUSED;
}

void taker_lend(struct taker *taker, struct proxy *proxy)
{
    proxy->inherited = taker->sockets;
    proxy->n_inherited = taker->n_sockets;
    atomic_store(&proxy->files_are_lent, true); /* until it is clear that they are ours */
}

struct pidfile *taker_pidfile(struct taker *taker, const char *path)
{
    if (taker->pidfile < 0)
        return NULL;
    int fd = taker->pidfile;
    taker->pidfile = -1;
    return pidfile_inherit(path, fd);
}

/* ---- clients ---- */

static void hang_up(struct taker *taker)
{
    event_free(taker->readable);
    taker->readable = NULL;
    channel_close(&taker->channel);
    atomic_store(&taker->control->proxy->has_predecessor, false);
    end_cancels(taker);
}

/* The service is ours now, whatever the other process still does. */
static void own(struct taker *taker)
{
    struct control *control = taker->control;
    struct proxy *proxy = control->proxy;
    struct err err;
    taker->state = TAKER_OWNER;
    atomic_store(&proxy->files_are_lent, false);
    if (proxy->pidfile != NULL && !pidfile_update(proxy->pidfile, &err))
        log_error("%s", err.message);
    giver_open(control->giver, taker->door);
    taker->door = -1;
    supervisor_reload_ends(control);
    log_info("took over %u clients from process %d", taker->n_clients, taker->from);
}

static void leave(struct taker *taker, const char *reason)
{
    log_error(
        "process %d does not hand over any more: %s; ending when those clients have left that "
        "have come",
        taker->from, reason);
    taker->state = TAKER_LEAVING;
    hang_up(taker);
    control_shutdown(taker->control, SHUTDOWN_WAIT_FOR_CLIENTS);
}

static bool take_keys(struct taker *taker, struct slice payload)
{
    struct pools *pools = taker->control->proxy->pools;
    struct handover_keys keys;
    if (!handover_read_keys(payload, &keys))
        return false;
    const struct conf_database *db = conf_database_for(taker->control->settings, keys.database);
    if (db != NULL && db->user == NULL)
        pool_keep_keys(pools_get(pools, keys.database, keys.user, false), &keys.keys);
    mem_wipe(&keys, sizeof keys);
    return true;
}

/* It is ours once the other process can know it, and not before: until then nobody reads from it.  If that
 * does not listen any more it keeps the client, and we shall hear why. */
static bool take_client(struct taker *taker, struct channel_record *record)
{
    struct handover_client client;
    struct buf nil = BUF_NONE;
    if (record->fd < 0 || !handover_read_client(record->payload, &client))
        return false;
    channel_put(&taker->channel, HANDOVER_TAKEN, &nil, -1);
    if (!channel_flush(&taker->channel) || channel_has_output(&taker->channel))
        return true;
    moving_arrive(taker->control->proxy, record->payload, record->fd);
    record->fd = -1;
    taker->n_clients++;
    return true;
}

static bool take_canceled(struct taker *taker, struct slice payload)
{
    uint64_t id;
    if (!handover_read_canceled(payload, &id))
        return false;
    struct passed_cancel *passed = TAILQ_FIRST(&taker->cancels);
    while (passed != NULL && passed->cancel.id != id)
        passed = TAILQ_NEXT(passed, entry);
    if (passed != NULL)
        end_cancel(taker, passed);
    return passed != NULL;
}

static bool take(struct taker *taker, struct channel_record *record)
{
    const char *reason;
    switch ((enum handover_kind)record->kind) {
    case HANDOVER_KEYS:
        return take_keys(taker, record->payload);
    case HANDOVER_CLIENT:
        return take_client(taker, record);
    case HANDOVER_CANCELED:
        return take_canceled(taker, record->payload);
    case HANDOVER_COMMIT:
        if (taker->state == TAKER_LISTENING)
            own(taker);
        return true;
    case HANDOVER_NO:
        if (taker->state == TAKER_LISTENING && handover_read_text(record->payload, &reason))
            leave(taker, reason);
        return true;
    default:
        return false;
    }
}

static void end(struct taker *taker, bool broken)
{
    if (broken && taker->state == TAKER_LISTENING) {
        leave(taker, "what it says is of no use");
        return;
    }
    if (taker->state == TAKER_LISTENING) {
        log_warning("process %d has gone before all its clients had come", taker->from);
        own(taker);
    }
    log_info("process %d has ended; %u clients have come from it", taker->from, taker->n_clients);
    hang_up(taker);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct taker *taker = arg;
    struct channel_record record;
    bool alive = channel_fill(&taker->channel);
    enum channel_step step = CHANNEL_MORE;
    while (taker->readable != NULL &&
           (step = channel_next(&taker->channel, &record)) == CHANNEL_RECORD) {
        bool good = take(taker, &record);
        if (record.fd >= 0)
            close(record.fd);
        if (!good) {
            step = CHANNEL_BROKEN;
            break;
        }
    }
    if (taker->readable != NULL && (step == CHANNEL_BROKEN || !alive))
        end(taker, step == CHANNEL_BROKEN);
}

void taker_start(struct taker *taker, struct control *control)
{
    struct buf nil = BUF_NONE;
    free_sockets(taker); /* the workers have them */
    control->proxy->inherited = NULL;
    control->proxy->n_inherited = 0;
    taker->control = control;
    taker->state = TAKER_LISTENING;
    atomic_store(&control->proxy->has_predecessor, true);
    taker->readable =
        event_new(control->loop->base, taker->channel.fd, EV_READ | EV_PERSIST, on_readable, taker);
    event_add(taker->readable, NULL);
    channel_put(&taker->channel, HANDOVER_LISTENING, &nil, -1);
    channel_flush(&taker->channel);
    event_active(taker->readable, EV_READ, 1); /* it may have said more already */
}

/* ---- cancel requests ---- */

static void deliver_cancel(struct mail *mail, struct loop *loop)
{
    struct passed_cancel *passed = (struct passed_cancel *)mail;
    struct taker *taker = passed->control->taker;
    struct buf payload = BUF_NONE;
    TAILQ_INSERT_TAIL(&taker->cancels, passed, entry);
    if (passed->control->ended || taker->readable == NULL) {
        end_cancel(taker, passed);
        return;
    }
    passed->cancel.id = ++taker->last_cancel;
    handover_write_cancel(&payload, &passed->cancel);
    channel_put(&taker->channel, HANDOVER_CANCEL, &payload, -1);
    channel_flush(&taker->channel); /* if it has gone we are told so */
}

void taker_pass_cancel(void *context, const uint8_t key[HANDOVER_KEY_LEN], struct loop *back,
                       struct mail *then)
{
    struct control *control = context;
    struct passed_cancel *passed = mem_new(sizeof *passed);
    passed->mail.deliver = deliver_cancel;
    passed->control = control;
    passed->back = back;
    passed->then = then;
    memcpy(passed->cancel.key, key, HANDOVER_KEY_LEN);
    loop_post(control->loop, &passed->mail);
}
