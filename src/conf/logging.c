#include "conf/logging.h"

#include "base/log.h"
#include "conf/settings.h"

bool logging_apply(const struct settings *settings, struct err *err)
{
    struct log_config config = {.path = settings->logfile,
                                .verbose = settings->verbose,
                                .syslog = settings->syslog,
                                .syslog_facility = settings->syslog_facility,
                                .syslog_ident = settings->syslog_ident};
    return log_configure(&config, err);
}
