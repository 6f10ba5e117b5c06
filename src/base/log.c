#include "base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { LINE_MAX_BYTES = 4096 };

/* The one process-wide state of this layer: where lines go. */
static atomic_int log_fd = -1;
static atomic_bool log_quiet;
static atomic_int log_verbose;
static char *log_path;

static const char *const level_names[] = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG"};

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

bool log_open(const char *path, bool quiet, int verbose)
{
    atomic_store(&log_quiet, quiet);
    atomic_store(&log_verbose, verbose);
    if (path == NULL || path[0] == '\0')
        return true;
    int fd = open_path(path);
    if (fd < 0)
        return false;
    mem_free(log_path);
    log_path = mem_strdup(path);
    int old = atomic_exchange(&log_fd, fd);
    if (old >= 0)
        close(old);
    return true;
}

void log_reopen(void)
{
    int old = atomic_load(&log_fd);
    int fd = log_path != NULL ? open_path(log_path) : -1;
    if (fd < 0)
        return;
    /* Over the old number, so that a thread in the middle of a write is not disturbed. */
    if (old >= 0) {
        dup3(fd, old, O_CLOEXEC);
        close(fd);
    } else {
        atomic_store(&log_fd, fd);
    }
}

void log_close(void)
{
    int old = atomic_exchange(&log_fd, -1);
    if (old >= 0)
        close(old);
    mem_free(log_path);
    log_path = NULL;
}

bool log_is_debug(void)
{
    return atomic_load_explicit(&log_verbose, memory_order_relaxed) > 0;
}

static size_t escape(char *to, size_t room, const char *from)
{
    size_t len = 0;
    for (; *from != '\0' && len + 5 < room; from++) {
        unsigned char c = (unsigned char)*from;
        if (c < 0x20 || c == 0x7f)
            len += (size_t)snprintf(to + len, 5, "\\x%02x", c);
        else
            to[len++] = *from;
    }
    return len;
}

static size_t prefix(char *line, size_t room, enum log_level level)
{
    struct timeval now;
    struct tm tm;
    char stamp[32], zone[16];
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
    strftime(zone, sizeof zone, "%Z", &tm);
    return (size_t)snprintf(line, room, "%s.%03d %s [%d] %s ", stamp, (int)(now.tv_usec / 1000),
                            zone, (int)getpid(), level_names[level]);
}

/* A log that cannot be written must not stop the service: the line is lost. */
static void write_line(int fd, const char *line, size_t len)
{
    ssize_t written = write(fd, line, len);
    (void)written;
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = prefix(line, sizeof line, level);
    len += escape(line + len, sizeof line - len - 1, text);
    line[len++] = '\n';
    int fd = atomic_load(&log_fd);
    if (fd >= 0)
        write_line(fd, line, len);
    if (!atomic_load(&log_quiet))
        write_line(STDERR_FILENO, line, len);
}
