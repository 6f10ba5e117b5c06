#include "pool/serverlog.h"

#include "net/peerlog.h"
#include "pool/pool.h"
#include "pool/server.h"

void server_log(const struct server *server, enum log_level level, const char *format, ...)
{
    const struct pool *pool = server->part->pool;
    struct peer peer = {.kind = 'S',
                        .ptr = server,
                        .database = pool->database->name,
                        .user = pool->user,
                        .address = &server->address};
    va_list args;
    va_start(args, format);
    peer_log(&peer, level, format, args);
    va_end(args);
}
