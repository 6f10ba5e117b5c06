#include "pool/serverlog.h"

#include <stdarg.h>
#include <stdio.h>

#include "pool/pool.h"
#include "pool/server.h"

void server_log(const struct server *server, enum log_level level, const char *format, ...)
{
    char text[1024], address[80];
    va_list args;
    if (level == LOG_DEBUG && !log_is_debug())
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int port = address_print(&server->address, address, sizeof address);
    const struct pool *pool = server->part->pool;
    log_line(level, "S-%p: %s/%s@%s:%d %s", (const void *)server, pool->database->name, pool->user,
             address, port, text);
}
