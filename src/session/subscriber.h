/*
 * session/subscriber.h - a client that listens, and is heard for by the listening server of its pool
 *
 * LISTEN runs on the client's own server, in its transaction, and PostgreSQL decides what comes of it: the
 * probe (session/state.h) tells the channels.  Those are asked for at the fanout; until they are taken over
 * from there, which takes some ms, the server is pinned to the client and notifies it directly.
 *
 * UNLISTEN also runs there.  So that it has something to take away, the client's channels are listened to
 * in front of it: outside a transaction by a query of its own; inside one by a statement that notes in a
 * setting that it was done, so that a rollback, to a savepoint too, undoes both.  Then the channels of that
 * server are the client's, else those of the probe are new ones.
 *
 * The client is told of notifications between two statements, outside a transaction.  Until then they are
 * kept, up to LIMIT_NOTIFICATIONS bytes: whoever lets more come is closed.  The same happens to all
 * subscribers if the listening server is lost: they would miss notifications, and a direct connection
 * would be lost too.
 *
 * Order:      for each channel as PostgreSQL's; across channels too, but for the moment in which further
 *             ones are taken over
 * Ownership:  a subscriber by its client, then by the fanout until it says that it needs it no more
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_SUBSCRIBER_H
#define SESSION_SUBSCRIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/replies.h"
#include "session/fanout.h"

struct buf;
struct client;
struct err;

enum { SUBSCRIBER_CHANNELS_MAX = 256 }; /* who listens to more keeps its server */

/* The setting in which a transaction notes that it listens to the client's channels. */
#define SUBSCRIBER_SETTING "howdah.listens"

extern char subscriber_note; /* of its requests in the reply queue */

/* In front of a statement that may end subscriptions, before it is sent.  resets_all: it resets settings
 * too.  False: that cannot be, the client gets this error. */
bool subscriber_prepare(struct client *client, bool resets_all, struct err *err);
/* The statement was no UNLISTEN, and resets all settings. */
bool subscriber_may_reset(const struct client *client, struct err *err);

/* Does the probe have to ask for SUBSCRIBER_SETTING, and what it was. */
bool subscriber_has_noted(const struct client *client);
void subscriber_take_setting(struct client *client, const char *value, size_t len);
void subscriber_take_discard(struct client *client); /* DISCARD ALL has been done */
/* These channels, each with its NUL, are listened to on the client's server.  True: it must be kept. */
bool subscriber_take_found(struct client *client, const struct buf *channels);

/* A notification of the client's server: is it for the client? */
bool subscriber_takes_notification(struct client *client, const char *body, size_t len);

/* Between two transactions, with nothing under way: takes over if it is time.  True: it is under way, and
 * the client's messages wait. */
bool subscriber_begin(struct client *client);
void subscriber_settled(struct client *client, enum reply_outcome outcome);

/* The client may be told now what there is. */
void subscriber_deliver(struct client *client);
/* In the batch of what goes to the client. */
void subscriber_deliver_behind(struct client *client);

void subscriber_leave(struct client *client);

/* What the fanout tells. */
void subscriber_take_ready(struct subscription *subscription, uint64_t number,
                           const struct fanout_place *place);
void subscriber_take_mark(struct subscription *subscription, uint64_t number);
void subscriber_take_news(struct subscription *subscription, const char *messages, size_t len);
void subscriber_take_loss(struct subscription *subscription);
void subscriber_take_end(struct subscription *subscription);

#endif
