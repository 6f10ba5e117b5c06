#include "base/syslog.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int syslog_open(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

size_t syslog_head(char *head, int facility, int severity, const char *ident)
{
    time_t now = time(NULL);
    struct tm tm;
    char stamp[32];
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
    return (size_t)snprintf(head, SYSLOG_HEAD_MAX, "<%d>%s %.*s[%d]: ", facility * 8 + severity,
                            stamp, SYSLOG_IDENT_MAX, ident, (int)getpid());
}

void syslog_send(int fd, const char *line, size_t len)
{
    static const struct sockaddr_un log = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    ssize_t sent = sendto(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&log,
                          sizeof log);
    (void)sent; /* lost, as a line on a full disk is */
}
