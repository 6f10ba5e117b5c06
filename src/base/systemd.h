/*
 * base/systemd.h - the service manager: what it hands over, and what it is told
 *
 * Where systemd has not started us, or the build had no libsystemd, nothing is handed over and
 * nobody is told.
 *
 * Source:     sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)
 * Threading:  one thread at a time
 */
#ifndef BASE_SYSTEMD_H
#define BASE_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

enum { SYSTEMD_FIRST_SOCKET = 3 };

bool systemd_is_built(void);
/* How many sockets were handed over, with numbers from SYSTEMD_FIRST_SOCKET on.  Only the first
 * call tells, and only in the process that was started, not in one that it has forked. */
int systemd_take_sockets(void);
int64_t systemd_watchdog_us(void); /* WATCHDOG=1 is awaited as often as this; 0: never */
/* Where it is told; "" for nowhere.  A process that takes over is told so by the one that was started:
 * before there are threads. */
const char *systemd_socket(void);
void systemd_inherit(const char *socket, int64_t watchdog_us);
void systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
