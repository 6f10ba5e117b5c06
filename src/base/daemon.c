#include "base/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

/* A child that ends before it is ready closes its end without a word. */
static void wait_for_child(int child)
{
    char byte;
    ssize_t got;
    do
        got = read(child, &byte, sizeof byte);
    while (got < 0 && errno == EINTR);
    _exit(got == 1 ? 0 : 1);
}

bool daemon_fork(int *parent, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not create a pipe: %s",
                       strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return err_set(err, SQLSTATE_INTERNAL_ERROR, "could not fork: %s", strerror(errno));
    if (pid > 0) {
        close(ends[1]);
        wait_for_child(ends[0]);
    }
    close(ends[0]);
    setsid();
    *parent = ends[1];
    return true;
}

void daemon_ready(int parent)
{
    log_be_quiet();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    /* Nobody reads any more: the parent was killed, and that is no matter now. */
    ssize_t written = write(parent, "", 1);
    (void)written;
    close(parent);
}
