/*
 * base/log.h - one line per event
 *
 * A line is "YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL text", written by one write(2) to the log
 * file, to standard error, or both.  Where standard error is systemd's journal it is "<N>text", as
 * the journal has time, process and level of its own; syslog gets them in its own form too.
 * Control characters in the text are escaped as \xNN, so that one event is one line.  Never blocks
 * on anything but the file itself, never raises SIGPIPE.
 *
 * Threading:  log_line() on any thread; the others on one thread at a time
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

struct err;

enum log_level { LOG_FATAL, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_config {
    const char *path; /* NULL or "": no file */
    int verbose;      /* > 0: debug lines */
    bool syslog;
    int syslog_facility;      /* as RFC 3164 numbers it */
    const char *syslog_ident; /* not NULL if syslog */
};

/* From the command line: nothing to standard error; verbose at least so much. */
void log_begin(bool quiet, int verbose);
void log_be_quiet(void); /* standard error leads nowhere any more */

/* May be called again, with the same path too: the file is opened anew, which was renamed maybe.
 * False: it could not be opened, and all is as before. */
bool log_configure(const struct log_config *config, struct err *err);
void log_close(void);
bool log_is_debug(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_fatal(...)   log_line(LOG_FATAL, __VA_ARGS__)
#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_is_debug())                                                                        \
            log_line(LOG_DEBUG, __VA_ARGS__);                                                      \
    } while (0)

#endif
