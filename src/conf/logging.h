/*
 * conf/logging.h - the log, as the settings have it
 */
#ifndef CONF_LOGGING_H
#define CONF_LOGGING_H

#include <stdbool.h>

struct err;
struct settings;

/* Opens the log file, also if it is the same as before.  False: all is as before. */
bool logging_apply(const struct settings *settings, struct err *err);

#endif
