#include "base/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

struct pidfile {
    char *path; /* owned */
    int fd;     /* owned, locked */
};

static bool fail(int fd, const char *path, struct err *err)
{
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (code == EWOULDBLOCK)
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR,
                       "pidfile \"%s\" is locked, another instance is running", path);
    return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "could not write the pidfile \"%s\": %s", path,
                   strerror(code));
}

bool pidfile_check(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return fail(fd, path, err);
    close(fd);
    return true;
}

/* Is what was opened still there under its name? */
static bool in_place(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* One that ends removes the file, maybe between our open and our lock. */
static int open_locked(const char *path)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int code = errno;
            close(fd);
            errno = code;
            return -1;
        }
        if (in_place(fd, path))
            return fd;
        close(fd);
    }
}

struct pidfile *pidfile_write(const char *path, struct err *err)
{
    struct stat before;
    int fd = open_locked(path);
    if (fd < 0) {
        fail(fd, path, err);
        return NULL;
    }
    if (fstat(fd, &before) == 0 && before.st_size > 0)
        log_info("the pidfile \"%s\" is stale, and overwritten", path);
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        fail(fd, path, err);
        return NULL;
    }
    struct pidfile *pidfile = mem_new(sizeof *pidfile);
    pidfile->path = mem_strdup(path);
    pidfile->fd = fd;
    return pidfile;
}

int pidfile_descriptor(const struct pidfile *pidfile)
{
    return pidfile->fd;
}

struct pidfile *pidfile_inherit(const char *path, int fd)
{
    if (!in_place(fd, path)) {
        close(fd);
        return NULL;
    }
    struct pidfile *pidfile = mem_new(sizeof *pidfile);
    pidfile->path = mem_strdup(path);
    pidfile->fd = fd;
    return pidfile;
}

bool pidfile_update(struct pidfile *pidfile, struct err *err)
{
    if (lseek(pidfile->fd, 0, SEEK_SET) < 0 || ftruncate(pidfile->fd, 0) < 0 ||
        dprintf(pidfile->fd, "%d\n", (int)getpid()) < 0)
        return fail(-1, pidfile->path, err);
    return true;
}

/* Another process that has inherited it may have put its own in. */
static bool is_ours(const struct pidfile *pidfile)
{
    char text[16] = "";
    return in_place(pidfile->fd, pidfile->path) &&
           pread(pidfile->fd, text, sizeof text - 1, 0) > 0 && atoi(text) == (int)getpid();
}

void pidfile_remove(struct pidfile *pidfile)
{
    if (pidfile == NULL)
        return;
    if (is_ours(pidfile))
        unlink(pidfile->path);
    close(pidfile->fd);
    mem_free(pidfile->path);
    mem_free(pidfile);
}
