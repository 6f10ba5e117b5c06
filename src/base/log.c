#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/syslog.h"

enum { TEXT_MAX = 4096 };

/* The one process-wide state of this layer: where lines go. */
static atomic_int log_fd = -1;
static atomic_bool log_quiet;
static bool log_to_journal; /* standard error is systemd's journal; set once */
static int log_verbose_least;
static atomic_int log_verbose;
static struct {
    pthread_mutex_t mutex; /* never held while a line is sent */
    atomic_int fd;         /* -1 as long as syslog was never asked for */
    bool on;
    int facility;
    char *ident; /* owned */
} to_syslog = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static const char *const level_names[] = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG"};
static const int severities[] = {2, 3, 4, 6, 7}; /* the same for syslog and journal */

/* systemd tells by JOURNAL_STREAM which file the journal is; standard error may be another one. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat stat;
    unsigned long long device, inode;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(fd, &stat) == 0 && stat.st_dev == device && stat.st_ino == inode;
}

void log_begin(bool quiet, int verbose)
{
    atomic_store(&log_quiet, quiet);
    atomic_store(&log_verbose, verbose);
    log_verbose_least = verbose;
    log_to_journal = is_journal(STDERR_FILENO);
}

void log_be_quiet(void)
{
    atomic_store(&log_quiet, true);
}

static bool open_file(const char *path, struct err *err)
{
    int old = atomic_load(&log_fd);
    bool none = path == NULL || path[0] == '\0';
    if (none && old < 0)
        return true;
    int fd = open(none ? "/dev/null" : path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_set(err, SQLSTATE_CONFIG_FILE_ERROR, "could not open the log file \"%s\": %s",
                       path, strerror(errno));
    if (old < 0) {
        atomic_store(&log_fd, fd);
        return true;
    }
    /* Over the old number: a thread in the middle of a write must not find a socket there. */
    dup3(fd, old, O_CLOEXEC);
    close(fd);
    return true;
}

static void set_syslog(bool on, int facility, const char *ident)
{
    if (on && atomic_load(&to_syslog.fd) < 0)
        atomic_store(&to_syslog.fd, syslog_open());
    pthread_mutex_lock(&to_syslog.mutex);
    to_syslog.on = on;
    to_syslog.facility = facility;
    mem_free(to_syslog.ident);
    to_syslog.ident = mem_strdup(ident);
    pthread_mutex_unlock(&to_syslog.mutex);
}

bool log_configure(const struct log_config *config, struct err *err)
{
    bool more = config->verbose > log_verbose_least;
    if (!open_file(config->path, err))
        return false;
    atomic_store(&log_verbose, more ? config->verbose : log_verbose_least);
    set_syslog(config->syslog, config->syslog_facility, config->syslog_ident);
    return true;
}

static void close_fd(atomic_int *fd)
{
    int old = atomic_exchange(fd, -1);
    if (old >= 0)
        close(old);
}

void log_close(void)
{
    set_syslog(false, 0, NULL);
    close_fd(&to_syslog.fd);
    close_fd(&log_fd);
}

bool log_is_debug(void)
{
    return atomic_load_explicit(&log_verbose, memory_order_relaxed) > 0;
}

/* A text and its line feed, with room in front for what one output or another wants there. */
enum { HEAD_MAX = SYSLOG_HEAD_MAX };

struct line {
    char bytes[HEAD_MAX + TEXT_MAX + 1];
    size_t len; /* of the text, which begins at HEAD_MAX */
};

static void escape(struct line *line, const char *from)
{
    char *text = line->bytes + HEAD_MAX;
    for (; *from != '\0' && line->len + 5 < TEXT_MAX; from++) {
        unsigned char c = (unsigned char)*from;
        if (c < 0x20 || c == 0x7f)
            line->len += (size_t)snprintf(text + line->len, 5, "\\x%02x", c);
        else
            text[line->len++] = *from;
    }
    text[line->len] = '\n';
}

/* Where the line begins that has this in front of its text. */
static const char *put_in_front(struct line *line, const char *head, size_t len)
{
    return memcpy(line->bytes + HEAD_MAX - len, head, len);
}

/* A log that cannot be written must not stop the service: the line is lost. */
static void write_line(int fd, struct line *line, const char *head, size_t len)
{
    ssize_t written = write(fd, put_in_front(line, head, len), len + line->len + 1);
    (void)written;
}

static size_t print_head(char *head, size_t room, enum log_level level)
{
    struct timeval now;
    struct tm tm;
    char stamp[32], zone[16];
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
    strftime(zone, sizeof zone, "%Z", &tm);
    return (size_t)snprintf(head, room, "%s.%03d %s [%d] %s ", stamp, (int)(now.tv_usec / 1000),
                            zone, (int)getpid(), level_names[level]);
}

static void write_plain(struct line *line, enum log_level level, int file, bool to_stderr)
{
    char head[128];
    size_t len = print_head(head, sizeof head, level);
    if (file >= 0)
        write_line(file, line, head, len);
    if (to_stderr)
        write_line(STDERR_FILENO, line, head, len);
}

static void write_journal(struct line *line, enum log_level level)
{
    char head[8];
    int len = snprintf(head, sizeof head, "<%d>", severities[level]);
    write_line(STDERR_FILENO, line, head, (size_t)len);
}

static void write_syslog(struct line *line, enum log_level level)
{
    char head[SYSLOG_HEAD_MAX];
    size_t len = 0;
    int fd = atomic_load(&to_syslog.fd);
    if (fd < 0)
        return;
    pthread_mutex_lock(&to_syslog.mutex);
    if (to_syslog.on)
        len = syslog_head(head, to_syslog.facility, severities[level], to_syslog.ident);
    pthread_mutex_unlock(&to_syslog.mutex);
    if (len > 0)
        syslog_send(fd, put_in_front(line, head, len), len + line->len);
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[TEXT_MAX];
    struct line line = {.len = 0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    escape(&line, text);
    int file = atomic_load(&log_fd);
    bool loud = !atomic_load(&log_quiet);
    if (file >= 0 || (loud && !log_to_journal))
        write_plain(&line, level, file, loud && !log_to_journal);
    if (loud && log_to_journal)
        write_journal(&line, level);
    write_syslog(&line, level);
}
