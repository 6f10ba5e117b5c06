/*
 * proto/replies.h - which reply of a server belongs to which request
 *
 * Every request that is sent to a server, and every reply that we make up ourselves, takes its
 * place in one queue.  Each message of the server is held against the head of the queue, so that
 * it is known for every single reply whether the client gets it, whether it is ours to swallow, or
 * whether the server has broken the protocol.  A server may be lent to another client only while
 * its queue is settled.
 *
 * After an error in the extended protocol the server ignores everything up to the next Sync: the
 * entries up to there are skipped, newest first, so that whoever noted something with a request
 * can undo it in order.  During COPY IN the server ignores Sync: those before CopyDone are dropped
 * when the COPY ends.  If it ends with an error while such a Sync is on its way, nobody can know
 * whether the server has ignored it; the queue is then `uncertain` and the server is not reusable.
 *
 * Source:     PostgreSQL docs, protocol-flow-ext-query, protocol-flow-pipelining, protocol-copy
 * Ownership:  notes are borrowed; each is handed back exactly once, to `settled`
 * Threading:  one thread at a time
 */
#ifndef PROTO_REPLIES_H
#define PROTO_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_kind {
    REPLY_PARSE,
    REPLY_BIND,
    REPLY_DESCRIBE,
    REPLY_EXECUTE,
    REPLY_CLOSE,
    REPLY_SYNC,
    REPLY_QUERY,
    REPLY_FUNCTION,
    REPLY_COPY_END, /* a CopyDone or CopyFail on its way: has no reply of its own */
};

enum reply_action {
    REPLY_FORWARD, /* the client gets what the server says */
    REPLY_SWALLOW, /* our own request: nobody gets it */
    REPLY_INJECT, /* our own request on behalf of the next: the client gets it if it is an error; of a
                    * Sync: it gets it if such an error has made the server skip to it */
    REPLY_FAKE,   /* nothing was sent: we answer, when its turn has come */
    REPLY_REPLACE, /* sent so that the server fails; `settled` then gives the client another error */
};

struct reply {
    void *note; /* borrowed, or NULL */
    uint8_t kind;
    uint8_t action;
};

enum reply_outcome {
    REPLY_DONE,    /* the server has done it, or we have answered */
    REPLY_FAILED,  /* the server answered with an error */
    REPLY_SKIPPED, /* the server never looked at it */
};

/* What happens to the message that was held against the queue. */
enum reply_verdict {
    VERDICT_FORWARD,
    VERDICT_SWALLOW,
    VERDICT_BROKEN, /* no request asked for this: the server cannot be trusted any more */
};

struct replies_events {
    /* The turn of a REPLY_FAKE has come: answer the client now. */
    void (*fake)(void *context, const struct reply *reply);
    /* A reply with a note has left the queue. */
    void (*settled)(void *context, const struct reply *reply, enum reply_outcome outcome);
};

struct replies {
    struct reply *ring; /* owned */
    uint32_t cap;       /* a power of two, or 0 */
    uint32_t head;
    uint32_t count;
    bool open;      /* a Sync must follow: till then the server is in an implicit transaction */
    bool skipping;  /* the server ignores all but Sync */
    bool injected;  /* ... since a request of ours on behalf of the client's has failed */
    bool copy_in;   /* the server reads COPY data */
    bool copy_both; /* streaming replication: from here on nothing is counted, all is forwarded */
    bool uncertain; /* see above */
    bool busy;      /* set by the owner: a message of the server is being passed on in parts */
};

void replies_done(struct replies *replies); /* gives the memory back; notes are not settled */

static inline bool replies_settled(const struct replies *replies)
{
    return replies->count == 0 && !replies->skipping;
}

/* The request is on its way.  False: the server will ignore it, nothing was noted. */
bool replies_expect(struct replies *replies, const struct replies_events *events, void *context,
                    enum reply_kind kind, enum reply_action action, void *note);

/* Takes one message of the server; not for NoticeResponse, NotificationResponse or
 * ParameterStatus, which belong to no request. */
enum reply_verdict replies_take(struct replies *replies, const struct replies_events *events,
                                void *context, uint8_t kind);

/* The message that was taken has been passed on, whole: answers what is ours to answer and stands
 * at the head now.  To be called after each message. */
void replies_advance(struct replies *replies, const struct replies_events *events, void *context);

/* Whose turn it is; NULL when nothing is expected. */
const struct reply *replies_head(const struct replies *replies);

/* Does the server wait for COPY data, and for nothing that is on its way already? */
bool replies_want_copy_data(const struct replies *replies);

/* Is there a simple query whose ReadyForQuery is to come, without more from the client? */
bool replies_query_to_come(const struct replies *replies);

/* How many come of our own requests before the first that the client gets. */
uint32_t replies_count_own_first(const struct replies *replies);

/* Is there anything to come that the client gets? */
bool replies_any_for_client(const struct replies *replies);

/* How many Syncs have not been answered yet. */
uint32_t replies_count_syncs(const struct replies *replies);

/* Is there nothing behind the head but Syncs? */
bool replies_only_syncs_follow(const struct replies *replies);

/* The client has gone: what it still expects is swallowed; all notes are settled as skipped,
 * newest first; fakes vanish. */
void replies_abandon(struct replies *replies, const struct replies_events *events, void *context);

#endif
