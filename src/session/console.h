/*
 * session/console.h - where a client of the admin console leaves its worker
 *
 * The console runs on the control thread; a worker only lets the client in and hands it over.
 *
 * Threading:  console_take_seat() on the client's worker; a seat belongs to whom it is given
 */
#ifndef SESSION_CONSOLE_H
#define SESSION_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "session/cancel.h"

struct client;

/* Authenticated, and allowed in; AuthenticationOk has not been sent. */
struct console_seat {
    struct mail mail; /* for the way to the control thread */
    void *context;    /* of proxy->seat_console */
    int fd;           /* owned */
    struct address address;
    struct buf input; /* owned: what the client has sent already */
    char *user;       /* owned */
    bool admin;       /* may run every command; else only look */
    uint8_t key[CANCEL_KEY_LEN];
    uint64_t id;
    int64_t connected_us;
};

bool console_is_name(const char *database); /* the reserved name of the console */
void console_take_seat(struct client *client, bool admin);
void console_seat_free(struct console_seat *seat); /* closes the socket if fd >= 0 */

#endif
