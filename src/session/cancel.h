/*
 * session/cancel.h - cancel requests of clients
 *
 * The key belongs to a client of some worker, or to a client of the console, so the request goes round
 * all of them.  The client that sent it sees its connection closed when the cancel has been delivered,
 * as with PostgreSQL.
 *
 * Source:     PostgreSQL docs, protocol-flow-canceling-requests
 * Ownership:  a request belongs to whom it is given, until cancel_finish()
 * Threading:  the thread of the client's worker; a request on that of whom it is given to
 */
#ifndef SESSION_CANCEL_H
#define SESSION_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "net/loop.h"

struct client;
struct proxy;
struct worker;

enum { CANCEL_KEY_LEN = 8 };

/* On its round through the workers, to the console, and back. */
struct cancel_request {
    struct mail mail; /* first: the loops find us by it */
    struct proxy *proxy;
    unsigned origin, at; /* indices of workers */
    uint64_t client_id;  /* who asked */
    uint8_t key[CANCEL_KEY_LEN];
};

/* Takes the client over: it is CANCELING now, and closed when all is done. */
void cancel_request(struct client *client, struct slice key);

/* Gives a logged-in client a key that nobody can guess. */
void cancel_new_key(struct client *client);

/* For the console, whose clients have keys of the same kind. */
void cancel_draw_key(uint8_t key[CANCEL_KEY_LEN]);
bool cancel_is_key(const struct cancel_request *request, const uint8_t key[CANCEL_KEY_LEN]);
void cancel_finish(struct cancel_request *request); /* it has been delivered, or is for nobody */

#endif
