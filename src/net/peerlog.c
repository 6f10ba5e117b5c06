#include "net/peerlog.h"

#include <stdio.h>

#include "net/resolve.h"

void peer_log(const struct peer *peer, enum log_level level, const char *format, va_list args)
{
    char text[1024], address[ADDRESS_TEXT];
    if (level == LOG_DEBUG && !log_is_debug())
        return;
    vsnprintf(text, sizeof text, format, args);
    log_line(level, "%c-%p: %s/%s@%s %s", peer->kind, peer->ptr, peer->database, peer->user,
             address_text(peer->address, address), text);
}
