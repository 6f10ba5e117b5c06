#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/settings.h"
#include "net/resolve.h"

static void set_int(int fd, int level, int option, int value)
{
    /* A kernel without the option goes on with its own value. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

static int fail(int fd, struct err *err, const char *what)
{
    int code = errno;
    err_set(err, SQLSTATE_CANNOT_CONNECT, "%s: %s", what, strerror(code));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int new_socket(const struct address *address)
{
    return socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* The workers need SO_REUSEPORT, with which the kernel would let us share the port with another
 * program of the same user: a bind without it tells. */
static bool port_is_free(const struct address *address)
{
    int fd = new_socket(address);
    if (fd < 0)
        return false;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->socket.ss_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    int rc = bind(fd, (const struct sockaddr *)&address->socket, address->len);
    int code = errno;
    close(fd);
    errno = code;
    return rc == 0;
}

int socket_listen(const struct address *address, const struct settings *settings, bool shared,
                  struct err *err)
{
    bool tcp = !address_is_unix(address);
    if (tcp && !shared && !settings->so_reuseport && !port_is_free(address))
        return fail(-1, err, "could not bind");
    int fd = new_socket(address);
    if (fd < 0)
        return fail(fd, err, "could not create a socket");
    if (tcp) {
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (address->socket.ss_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (tcp && settings->tcp_defer_accept)
        set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    if (bind(fd, (const struct sockaddr *)&address->socket, address->len) < 0)
        return fail(fd, err, "could not bind");
    if (listen(fd, settings->listen_backlog) < 0)
        return fail(fd, err, "could not listen");
    return fd;
}

void socket_tune(int fd, const struct settings *settings)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (settings->tcp_socket_buffer > 0) {
        set_int(fd, SOL_SOCKET, SO_SNDBUF, (int)settings->tcp_socket_buffer);
        set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)settings->tcp_socket_buffer);
    }
    if (settings->tcp_user_timeout_us > 0)
        set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(settings->tcp_user_timeout_us / 1000));
    if (!settings->tcp_keepalive)
        return;
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (settings->tcp_keepcnt > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, settings->tcp_keepcnt);
    if (settings->tcp_keepidle_us > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)(settings->tcp_keepidle_us / 1000000));
    if (settings->tcp_keepintvl_us > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)(settings->tcp_keepintvl_us / 1000000));
}

int socket_connect(const struct address *address, const struct settings *settings, bool *pending,
                   struct err *err)
{
    int fd = new_socket(address);
    if (fd < 0)
        return fail(fd, err, "could not create a socket");
    if (!address_is_unix(address))
        socket_tune(fd, settings);
    int rc = connect(fd, (const struct sockaddr *)&address->socket, address->len);
    /* EAGAIN: the backlog of a unix socket is full; it is like a refusal. */
    if (rc < 0 && errno != EINPROGRESS)
        return fail(fd, err, "connect failed");
    *pending = rc < 0;
    return fd;
}

int socket_error(int fd)
{
    int code = 0;
    socklen_t len = sizeof code;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        return errno;
    return code;
}

void socket_local(int fd, struct address *address)
{
    memset(address, 0, sizeof *address);
    address->len = sizeof address->socket;
    if (getsockname(fd, (struct sockaddr *)&address->socket, &address->len) < 0)
        address->socket.ss_family = AF_UNIX;
}

int socket_unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : 0;
}

bool socket_peer_is_us(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && len == sizeof peer &&
           peer.uid == geteuid();
}
