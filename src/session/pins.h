/*
 * session/pins.h - clients that keep a server for the state that their session has there
 *
 * A pinned client takes its server from all others.  So only a part of each pool may be pinned, see
 * pin_max_percent, and SHOW PINS tells who does so and why.
 *
 * Threading:  the thread of the client's worker, but for what is pure
 */
#ifndef SESSION_PINS_H
#define SESSION_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct client;
struct err;

enum pin {
    PIN_TEMP = 1 << 0,     /* temporary objects */
    PIN_ADVISORY = 1 << 1, /* advisory locks of the session */
    PIN_CURSOR = 1 << 2,   /* WITH HOLD */
    PIN_LISTEN = 1 << 3,
    PIN_PREPARE = 1 << 4,   /* prepared by SQL */
    PIN_ROLE = 1 << 5,      /* SET ROLE, SET SESSION AUTHORIZATION */
    PIN_REQUESTED = 1 << 6, /* SET howdah.pin = on */
    /* These stay until the client leaves: nobody can tell whether they are over. */
    PIN_LOAD = 1 << 7,
    PIN_SEED = 1 << 8,
    PIN_SEQUENCE = 1 << 9,  /* with session_state = strict: currval() and lastval() */
    PIN_SETTINGS = 1 << 10, /* too many, or too long, to be carried */
    PIN_FUNCTION = 1 << 11, /* function_state = pin */
    PIN_UNKNOWN =
        1 << 12, /* strict: something that could not be parsed; or the server did not say */
};
enum { PIN_KINDS = 13 };

const char *pin_name(unsigned kind);              /* of bit 1 << kind; constant */
void pins_write(struct buf *text, uint32_t pins); /* a comma list of names, with its NUL */

/* May the client, which is not pinned, become so?  Fills *err. */
bool pins_may_begin(const struct client *client, struct err *err);
/* Its session is pinned for these reasons from now on. */
void pins_set(struct client *client, uint32_t pins);

#endif
