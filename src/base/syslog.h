/*
 * base/syslog.h - lines for the syslog of the machine
 *
 * syslog(3) waits when nobody reads /dev/log fast enough, with all threads behind its lock; here
 * such a line is lost.  Each line finds /dev/log anew: a syslog that was restarted needs nothing.
 *
 * Source:     RFC 3164, in the form that the C library sends
 * Threading:  any thread
 */
#ifndef BASE_SYSLOG_H
#define BASE_SYSLOG_H

#include <stddef.h>

enum { SYSLOG_HEAD_MAX = 400, SYSLOG_IDENT_MAX = 256 };

int syslog_open(void); /* a file descriptor, the caller's; -1 on failure */
/* What stands in front of a line's text.  Returns its length, less than SYSLOG_HEAD_MAX. */
size_t syslog_head(char *head, int facility, int severity, const char *ident);
void syslog_send(int fd, const char *line, size_t len);

#endif
