#include "session/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/container.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/systemd.h"
#include "conf/value.h"
#include "net/socket.h"
#include "session/client.h"
#include "session/worker.h"

enum { ACCEPT_AT_ONCE = 64, ACCEPT_PAUSE_US = 100000 };

struct listener {
    struct event *event; /* owned */
    int fd;              /* owned */
    bool is_unix;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of a unix socket, to remove; or "" */
};

/* ---- accepting ---- */

struct passed_socket {
    struct mail mail;
    struct proxy *proxy;
    unsigned to;
    int fd;
    struct address address;
};

static void deliver_socket(struct mail *mail, struct loop *loop)
{
    struct passed_socket *passed = (struct passed_socket *)mail;
    struct worker *worker = passed->proxy->workers[passed->to];
    atomic_fetch_sub(&worker->n_sockets, 1); /* was counted when it was sent */
    client_open(worker, passed->fd, &passed->address);
    mem_free(passed);
}

static unsigned emptiest(const struct worker *worker)
{
    const struct proxy *proxy = worker->proxy;
    unsigned found = worker->pool.index;
    int least = atomic_load(&worker->n_sockets);
    for (unsigned i = 0; i < proxy->n_workers; i++) {
        int n = atomic_load(&proxy->workers[i]->n_sockets);
        if (n < least) {
            least = n;
            found = i;
        }
    }
    return found;
}

static void welcome_socket(struct worker *worker, int fd, const struct address *address)
{
    unsigned to = emptiest(worker);
    if (to == worker->pool.index) {
        client_open(worker, fd, address);
        return;
    }
    struct passed_socket *passed = mem_new(sizeof *passed);
    passed->mail.deliver = deliver_socket;
    passed->proxy = worker->proxy;
    passed->to = to;
    passed->fd = fd;
    passed->address = *address;
    atomic_fetch_add(&worker->proxy->workers[to]->n_sockets, 1);
    loop_post(worker->proxy->workers[to]->loop, &passed->mail);
}

static void set_accepting(struct worker *worker, bool on)
{
    for (size_t i = 0; i < worker->n_listeners; i++) {
        if (on)
            event_add(worker->listeners[i].event, NULL);
        else
            event_del(worker->listeners[i].event);
    }
}

static void on_accept_again(struct deadline *deadline, struct loop *loop)
{
    struct worker *worker = CONTAINER_OF(deadline, struct worker, accept_again);
    set_accepting(worker, true);
}

/* Out of file descriptors or memory: those who are in go on; the queue of the kernel waits. */
static void pause_accepting(struct worker *worker, int code)
{
    if (!worker->accept_failed)
        log_warning("accept() failed: %s; new clients wait", strerror(code));
    worker->accept_failed = true;
    set_accepting(worker, false);
    worker->accept_again.expired = on_accept_again;
    deadline_set(worker->loop, &worker->accept_again, DEADLINE_OTHER,
                 clock_now_us() + ACCEPT_PAUSE_US);
}

/* Nobody waits any more. */
static void note_success(struct worker *worker)
{
    if (worker->accept_failed)
        log_info("accepting clients again");
    worker->accept_failed = false;
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
    struct worker *worker = arg;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct address address = {.len = sizeof address.socket};
        int fd = accept4(listener, (struct sockaddr *)&address.socket, &address.len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                note_success(worker);
            else if (errno != EINTR && errno != ECONNABORTED)
                pause_accepting(worker, errno);
            return;
        }
        if (!address_is_unix(&address))
            socket_tune(fd, worker->pool.settings);
        welcome_socket(worker, fd, &address);
    }
}

/* ---- opening ---- */

/* path: to be removed at the end; "" for none. */
static void add(struct worker *worker, int fd, bool is_unix, const char *path)
{
    worker->listeners =
        mem_resize(worker->listeners, (worker->n_listeners + 1) * sizeof *worker->listeners);
    struct listener *listener = &worker->listeners[worker->n_listeners++];
    *listener = (struct listener){.fd = fd, .is_unix = is_unix};
    strncpy(listener->path, path, sizeof listener->path - 1);
    listener->event = event_new(worker->loop->base, fd, EV_READ | EV_PERSIST, on_accept, worker);
    event_add(listener->event, NULL);
}

static bool open_tcp(struct worker *worker, const struct address *address, struct err *err)
{
    bool first = worker->pool.index == 0;
    char text[ADDRESS_TEXT];
    address_text(address, text);
    int fd = socket_listen(address, worker->pool.settings, !first, err);
    if (fd < 0) {
        struct err cause = *err;
        return err_set(err, cause.sqlstate, "could not listen on %s: %s", text, cause.message);
    }
    add(worker, fd, false, "");
    if (first)
        log_info("listening on %s", text);
    return true;
}

static bool open_name(struct worker *worker, const char *name, struct err *err)
{
    int port = worker->pool.settings->listen_port;
    struct address address;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    if (address_parse(name, port, &address) && !address_is_unix(&address))
        return open_tcp(worker, &address, err);
    int rc = getaddrinfo(name, NULL, &hints, &list);
    if (rc != 0)
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "listen_addr \"%s\": %s", name,
                       gai_strerror(rc));
    bool good = true;
    for (struct addrinfo *at = list; at != NULL && good; at = at->ai_next) {
        memset(&address, 0, sizeof address);
        memcpy(&address.socket, at->ai_addr, at->ai_addrlen);
        address.len = at->ai_addrlen;
        address_set_port(&address, port);
        good = open_tcp(worker, &address, err);
    }
    freeaddrinfo(list);
    return good;
}

/* A machine without IPv6 still has all its addresses with "*". */
static bool open_all(struct worker *worker, struct err *err)
{
    struct err ignored;
    open_name(worker, "::", &ignored);
    return open_name(worker, "0.0.0.0", err);
}

static bool in_use(const struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = connect(fd, (const struct sockaddr *)&address->socket, address->len);
    bool used = rc == 0 || errno == EAGAIN || errno == EINPROGRESS;
    close(fd);
    return used;
}

static bool give_to_group(const char *path, const char *group, struct err *err)
{
    char *end;
    unsigned long gid = strtoul(group, &end, 10);
    struct group *entry = getgrnam(group);
    if (entry != NULL)
        gid = entry->gr_gid;
    else if (*end != '\0')
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "unix_socket_group \"%s\" does not exist",
                       group);
    if (chown(path, (uid_t)-1, (gid_t)gid) < 0)
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "could not set the group of \"%s\": %s",
                       path, strerror(errno));
    return true;
}

static bool open_unix(struct worker *worker, struct err *err)
{
    const struct settings *settings = worker->pool.settings;
    struct address address;
    address_parse(settings->unix_socket_dir, settings->listen_port, &address);
    const char *path = ((struct sockaddr_un *)&address.socket)->sun_path;
    bool abstract = path[0] == '\0';
    if (!abstract && in_use(&address))
        return err_set(err, SQLSTATE_CANNOT_CONNECT, "unix socket \"%s\" is in use", path);
    if (!abstract)
        unlink(path); /* what a crash has left */
    int fd = socket_listen(&address, settings, false, err);
    if (fd < 0) {
        struct err cause = *err;
        return err_set(err, cause.sqlstate, "could not listen on unix:%s: %s",
                       abstract ? settings->unix_socket_dir : path, cause.message);
    }
    add(worker, fd, true, abstract ? "" : path);
    if (!abstract) {
        if (chmod(path, (mode_t)settings->unix_socket_mode) < 0)
            return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "could not set the mode of \"%s\"",
                           path);
        if (settings->unix_socket_group[0] != '\0' &&
            !give_to_group(path, settings->unix_socket_group, err))
            return false;
    }
    log_info("listening on unix:%s", abstract ? settings->unix_socket_dir : path);
    return true;
}

static bool is_listener(int fd)
{
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

static void log_handed_over(const struct address *address)
{
    char text[ADDRESS_TEXT];
    const struct sockaddr_un *local = (const struct sockaddr_un *)&address->socket;
    if (!address_is_unix(address))
        log_info("listening on %s, from systemd", address_text(address, text));
    else if (local->sun_path[0] != '\0')
        log_info("listening on unix:%s, from systemd", local->sun_path);
    else
        log_info("listening on unix:@%.100s, from systemd", local->sun_path + 1);
}

/* Their files, if they have any, are not ours to remove. */
static bool open_handed_over(struct worker *worker, struct err *err)
{
    for (int i = 0; i < worker->proxy->n_sockets; i++) {
        int fd = SYSTEMD_FIRST_SOCKET + i;
        struct address address;
        socket_local(fd, &address);
        if (!is_listener(fd))
            return err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                           "file descriptor %d from systemd is not a socket that listens", fd);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        add(worker, fd, address_is_unix(&address), "");
        log_handed_over(&address);
    }
    return true;
}

/* All that the other process had, on as many workers as there are: so nobody who waits in one of them is
 * lost.  The unix sockets are the first worker's. */
static void open_inherited(struct worker *worker)
{
    const struct proxy *proxy = worker->proxy;
    for (size_t i = 0; i < proxy->n_inherited; i++) {
        struct inherited *inherited = &proxy->inherited[i];
        struct address address;
        char text[ADDRESS_TEXT];
        socket_local(inherited->fd, &address);
        bool is_unix = address_is_unix(&address);
        if (worker->pool.index != (is_unix ? 0 : i % proxy->n_workers))
            continue;
        add(worker, inherited->fd, is_unix, inherited->path);
        inherited->fd = -1;
        log_debug("listening on %s, as the other process did", address_text(&address, text));
    }
}

bool listen_open(struct worker *worker, struct err *err)
{
    const struct settings *settings = worker->pool.settings;
    if (worker->proxy->n_inherited > 0) {
        open_inherited(worker);
        return true;
    }
    if (worker->proxy->n_sockets > 0)
        return worker->pool.index > 0 || open_handed_over(worker, err);
    const char *list = settings->listen_addr;
    struct slice word;
    while (conf_list_next(&list, &word)) {
        char *name = mem_strndup(word.ptr, word.len);
        bool good = strcmp(name, "*") == 0 ? open_all(worker, err) : open_name(worker, name, err);
        mem_free(name);
        if (!good)
            return false;
    }
    if (worker->pool.index == 0 && settings->unix_socket_dir[0] != '\0')
        return open_unix(worker, err);
    return true;
}

void listen_hold(struct worker *worker, bool hold)
{
    deadline_clear(worker->loop, &worker->accept_again);
    set_accepting(worker, !hold);
}

void listen_close(struct worker *worker, bool unix_too)
{
    size_t kept = 0;
    deadline_clear(worker->loop, &worker->accept_again);
    for (size_t i = 0; i < worker->n_listeners; i++) {
        struct listener *listener = &worker->listeners[i];
        if (listener->is_unix && !unix_too) {
            worker->listeners[kept++] = *listener;
            continue;
        }
        event_free(listener->event);
        close(listener->fd);
        if (listener->path[0] != '\0' && !atomic_load(&worker->proxy->files_are_lent))
            unlink(listener->path);
    }
    worker->n_listeners = kept;
    set_accepting(worker, true); /* the pause, if there was one, is over */
    if (kept == 0) {
        mem_free(worker->listeners);
        worker->listeners = NULL;
    }
}

void listen_pause(struct worker *worker, bool pause)
{
    deadline_clear(worker->loop, &worker->accept_again);
    set_accepting(worker, !pause);
}

bool listen_next(const struct worker *worker, size_t *at, int *fd, const char **path)
{
    if (*at == worker->n_listeners)
        return false;
    *fd = worker->listeners[*at].fd;
    *path = worker->listeners[*at].path;
    ++*at;
    return true;
}
