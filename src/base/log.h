/*
 * base/log.h - one line per event
 *
 * A line is "YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL text", written by one write(2) to the log
 * file, to standard error, or both.  Control characters in the text are escaped as \xNN, so that
 * one event is one line.  Never blocks on anything but the file itself, never raises SIGPIPE.
 *
 * Threading:  any thread; log_open() and log_reopen() from one thread at a time
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_FATAL, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* path may be NULL or "": no file.  quiet: nothing to standard error.  verbose > 0: debug lines. */
bool log_open(const char *path, bool quiet, int verbose);
void log_reopen(void); /* after rotation: opens the same path again */
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
