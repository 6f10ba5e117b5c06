#include "net/peerlog.h"

#include <stdio.h>

#include "net/resolve.h"

void peer_log(const struct peer *peer, enum log_level level, const char *format, va_list args)
{
    char text[1024], address[80];
    if (level == LOG_DEBUG && !log_is_debug())
        return;
    vsnprintf(text, sizeof text, format, args);
    int port = address_print(peer->address, address, sizeof address);
    log_line(level, "%c-%p: %s/%s@%s:%d %s", peer->kind, peer->ptr, peer->database, peer->user,
             address, port, text);
}
