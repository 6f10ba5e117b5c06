#include "admin/door.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/settings.h"
#include "net/resolve.h"

bool door_address(const struct settings *settings, struct sockaddr_un *address, socklen_t *len,
                  struct err *err)
{
    static const char suffix[] = ".takeover";
    struct address client;
    if (settings->unix_socket_dir[0] == '\0')
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                       "a takeover needs the setting \"unix_socket_dir\"");
    address_parse(settings->unix_socket_dir, settings->listen_port, &client);
    memcpy(address, &client.socket, sizeof *address);
    size_t begin = address->sun_path[0] == '\0'; /* an abstract one has no NUL at its end */
    size_t used = begin + strlen(address->sun_path + begin);
    if (used + sizeof suffix > sizeof address->sun_path)
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                       "unix_socket_dir \"%s\" is too long for a takeover",
                       settings->unix_socket_dir);
    memcpy(address->sun_path + used, suffix, sizeof suffix);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + used + sizeof suffix - begin);
    return true;
}

bool door_trusts(int fd, int *pid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    *pid = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    *pid = peer.pid;
    return peer.uid == geteuid() || peer.uid == 0;
}

static bool somebody_listens(const struct sockaddr_un *address, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc = connect(fd, (const struct sockaddr *)address, len);
    bool listens = rc == 0 || errno == EAGAIN;
    close(fd);
    return listens;
}

static int fail(int fd, struct err *err, const char *path)
{
    err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "could not listen on \"%s\": %s", path,
            strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int door_listen(const struct sockaddr_un *address, socklen_t len, struct err *err)
{
    const char *path = address->sun_path;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(fd, err, path);
    errno = EADDRINUSE;
    if (somebody_listens(address, len))
        return fail(fd, err, path);
    if (path[0] != '\0')
        unlink(path); /* what a crash has left */
    /* The file gets the mode of the socket: it is nobody else's for no moment. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, len) < 0 ||
        listen(fd, 4) < 0)
        return fail(fd, err, path);
    return fd;
}
