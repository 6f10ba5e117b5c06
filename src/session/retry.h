/*
 * session/retry.h - a batch that a stale plan has failed is sent once more
 *
 * After a change of a table PostgreSQL fails prepared statements whose result it changes: "cached plan
 * must not change result type".  A driver could prepare anew, but its statement is the process's, which
 * servers have already.  So the error starts a new epoch for its pool: what was prepared before is
 * prepared again at its next use, on each server.
 *
 * The batch itself is sent once more, unseen by the client, if nothing of it can have had an effect or
 * been answered: it was the only one under way, outside a transaction, and failed at its first Bind, with
 * nothing but requests of our own in front.  It must ask to describe the result, or else the client would
 * read the new one by what it knows of the old.
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_RETRY_H
#define SESSION_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

/* May the batch that begins now be sent again? */
bool retry_is_possible(const struct client *client);
/* Keeps the whole batch, as the client has sent it; NULL: not this one. */
void retry_keep(struct client *client, const char *input, size_t len);

/* An error of the server's.  True: the client does not get it, nor the ReadyForQuery behind it. */
bool retry_take_error(struct client *client, const char *body, size_t len);
/* That ReadyForQuery has come: the batch becomes input again. */
void retry_begin(struct client *client);

#endif
