/*
 * session/fanout.h - one server that listens for all clients of a pool
 *
 * Each pool that has listening clients has one server that listens to all their channels; its worker is the
 * same for all of them.  What it hears goes by mail to the workers of the clients, which pass it on when a
 * client may be told: see subscriber.h.
 *
 * A client begins to listen on a server of its own, and is taken over from there without a gap: once the
 * listening server has its channels, both listen to a private channel too, the marker, and a notification
 * is sent there.  PostgreSQL has one order of notifications for all who listen.  So what the client's
 * server hears before the marker comes from there, and what the listening server hears behind it from here.
 *
 * Source:     PostgreSQL docs, sql-listen, sql-notify, protocol-async
 * Ownership:  a fanout by its part; subscriptions by their subscribers, which free them when they have
 *             been left
 * Threading:  fanout_want(), fanout_mark() and fanout_leave() on the subscriber's thread; all else on
 *             that of the listening server's worker
 */
#ifndef SESSION_FANOUT_H
#define SESSION_FANOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "net/resolve.h"

struct fanout;
struct hearer;
struct part;
struct pool;
struct server;

enum { FANOUT_MARKER_MAX = 48, FANOUT_MARK_MAX = 48 };

/* What a client wants to hear. */
struct subscription {
    struct pool *pool; /* borrowed; these are set at the beginning, and stay */
    unsigned worker;   /* of its client */
    /* Of no other one, before or after: what one has left on its client's server, or a mark of its that is late,
     * must mean nothing to the next one of this client. */
    uint64_t id;

    /* The listening server's worker's. */
    struct fanout *fanout; /* borrowed; NULL until it wants something */
    TAILQ_HEAD(hearer_list, hearer) hears;
    TAILQ_ENTRY(subscription) entry, by_pending, by_news;
    uint64_t want;  /* the number of what it wanted last */
    bool pending;   /* not all of that is heard for it yet */
    bool told;      /* ... but it knows that it can be */
    struct buf out; /* heard, and on its way at the end of the turn */
};

/* Where a subscriber is taken over. */
struct fanout_place {
    char marker[FANOUT_MARKER_MAX]; /* the channel */
    struct address address;         /* of the listening server */
    char encoding[32];              /* in which it tells; "": in that of each client */
};

/* It wants to hear these channels, each with its NUL, and no others; number: counts what it wanted.  The
 * answer is subscriber_take_ready(). */
void fanout_want(struct subscription *subscription, uint64_t number, const struct buf *channels);
/* Sends the mark: a notification in the marker channel with this text, see fanout_mark_text().  When it is
 * heard that is told by subscriber_take_mark(); all that comes behind it is the subscriber's. */
void fanout_mark(struct subscription *subscription, uint64_t number);
/* The last word: subscriber_take_end() is the answer. */
void fanout_leave(struct subscription *subscription);

void fanout_mark_text(char text[FANOUT_MARK_MAX], uint64_t id, uint64_t number);

/* The channel of a NotificationResponse without its header, borrowed, and its payload; NULL: it has none. */
const char *fanout_channel(const char *body, size_t len, const char **payload);

/* In which the listening server would tell if it began as this one; "": in that of each client, as PostgreSQL
 * converts nothing if the database is in SQL_ASCII. */
const char *fanout_encoding(const struct server *server);

/* Does somebody wait for what the listening server will hear? */
bool fanout_is_busy(const struct part *part);

/* What pool/ tells of the listening server. */
void fanout_heard(struct server *server);
void fanout_deaf(struct part *part);

#endif
