/*
 * pool/serverlog.h - log lines about a server: "S-0x...: db/user@addr:port text"
 */
#ifndef POOL_SERVERLOG_H
#define POOL_SERVERLOG_H

#include "base/log.h"

struct server;

void server_log(const struct server *server, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
