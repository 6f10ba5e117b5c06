#include "base/systemd.h"

#ifdef HAVE_SYSTEMD

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

bool systemd_is_built(void)
{
    return true;
}

int systemd_take_sockets(void)
{
    int n = sd_listen_fds(1);
    return n > 0 ? n : 0;
}

int64_t systemd_watchdog_us(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)us : 0;
}

const char *systemd_socket(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");
    return socket != NULL ? socket : "";
}

static void set_number(const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    setenv(name, text, 1);
}

void systemd_inherit(const char *socket, int64_t watchdog_us)
{
    if (socket[0] == '\0')
        return;
    setenv("NOTIFY_SOCKET", socket, 1);
    set_number("WATCHDOG_USEC", watchdog_us);
    set_number("WATCHDOG_PID", getpid());
}

void systemd_notify(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sd_notify(0, text);
}

#else

bool systemd_is_built(void)
{
    return false;
}

int systemd_take_sockets(void)
{
    return 0;
}

int64_t systemd_watchdog_us(void)
{
    return 0;
}

const char *systemd_socket(void)
{
    return "";
}

void systemd_inherit(const char *socket, int64_t watchdog_us)
{
}

void systemd_notify(const char *format, ...)
{
}

#endif
