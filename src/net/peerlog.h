/*
 * net/peerlog.h - log lines about a connection: "C-0x...: db/user@addr:port text"
 */
#ifndef NET_PEERLOG_H
#define NET_PEERLOG_H

#include <stdarg.h>

#include "base/log.h"

struct address;

struct peer {
    char kind; /* 'C': a client; 'S': a server */
    const void *ptr;
    const char *database, *user;
    const struct address *address;
};

void peer_log(const struct peer *peer, enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
