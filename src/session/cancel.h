/*
 * session/cancel.h - cancel requests of clients
 *
 * The key belongs to a client of some worker, or to a client of the console, so the request goes round
 * all of them, and on to another process if that has given it out (session/peers.h).  The client that
 * sent it sees its connection closed when the cancel has been delivered, as with PostgreSQL.
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
#include "session/peerkey.h"

struct client;
struct proxy;
struct worker;

enum { CANCEL_KEY_LEN = PEER_KEY_LEN };

/* On its round through the workers, to the console, and back. */
struct cancel_request {
    struct mail mail; /* first: the loops find us by it */
    struct proxy *proxy;
    unsigned origin, at; /* indices of workers */
    uint64_t client_id;  /* who asked */
    const char *reason;  /* static text for the log: what came of it */
    struct loop *back;   /* borrowed: of who asked for another process; NULL: a client did */
    struct mail *then;   /* for `back` */
    uint8_t key[CANCEL_KEY_LEN];
};

/* Takes the client over: it is CANCELING now, and closed when all is done. */
void cancel_request(struct client *client, struct slice key);

/* For the process that takes over from this one, from any thread: `then` is posted to `back` when all is
 * done. */
void cancel_for_successor(struct proxy *proxy, const uint8_t key[8], struct loop *back,
                          struct mail *then);

/* Gives a logged-in client a key that nobody can guess.  pid: what the client shall take for the
 * process id of its server; 0: any.  Among peers the key tells whose it is instead. */
void cancel_new_key(struct client *client, uint32_t pid);
/* The same with the key that the client has from another process. */
void cancel_keep_key(struct client *client, const uint8_t key[8]);

/* For the console, whose clients have keys of the same kind. */
void cancel_draw_key(uint8_t key[CANCEL_KEY_LEN], int peer_id); /* 0: we have no peers */
bool cancel_is_key(const struct cancel_request *request, const uint8_t key[CANCEL_KEY_LEN],
                   int peer_id);
void cancel_finish(struct cancel_request *request); /* it has been delivered, or is for nobody */

#endif
