/*
 * session/cancel.h - cancel requests of clients
 *
 * The key belongs to a client of some worker, so the request goes round all of them, and on to
 * another process if that has given it out (session/peers.h).  The client that sent it sees its
 * connection closed when the cancel has been delivered, as with PostgreSQL.
 *
 * Source:     PostgreSQL docs, protocol-flow-canceling-requests
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_CANCEL_H
#define SESSION_CANCEL_H

#include "base/reader.h"

struct client;
struct loop;
struct mail;
struct proxy;
struct worker;

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

#endif
