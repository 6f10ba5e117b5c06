#include "admin/descriptors.h"

#include <sys/resource.h>

#include "base/log.h"
#include "conf/descriptors.h"
#include "conf/settings.h"

static struct rlimit limit(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit;
}

void descriptors_raise_limit(void)
{
    struct rlimit raised = limit();
    raised.rlim_cur = raised.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
        log_warning("could not raise the limit of file descriptors");
}

void descriptors_check(const struct settings *settings)
{
    unsigned long long has = limit().rlim_cur;
    unsigned long long needed = (unsigned long long)descriptors_needed(settings);
    if (has < needed)
        log_warning("the limit of file descriptors is %llu, but max_client_conn and the pools may "
                    "need %llu: raise it, or lower them",
                    has, needed);
}

void descriptors_log(const struct settings *settings)
{
    struct rlimit now = limit();
    log_info("kernel file descriptor limit: %llu (hard: %llu); max_client_conn: %d, max expected "
             "fd use: %lld",
             (unsigned long long)now.rlim_cur, (unsigned long long)now.rlim_max,
             settings->max_client_conn, (long long)descriptors_needed(settings));
    descriptors_check(settings);
}
