#include "proto/replies.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "proto/message.h"

enum { RING_START = 16 };

static struct reply *at(const struct replies *replies, uint32_t i)
{
    return &replies->ring[(replies->head + i) & (replies->cap - 1)];
}

static void grow(struct replies *replies)
{
    uint32_t cap = replies->cap > 0 ? replies->cap * 2 : RING_START;
    struct reply *ring = mem_new_array(cap, sizeof *ring);
    for (uint32_t i = 0; i < replies->count; i++)
        ring[i] = *at(replies, i);
    mem_free(replies->ring);
    replies->ring = ring;
    replies->cap = cap;
    replies->head = 0;
}

void replies_done(struct replies *replies)
{
    mem_free(replies->ring);
    *replies = (struct replies){0};
}

const struct reply *replies_head(const struct replies *replies)
{
    return replies->count > 0 ? at(replies, 0) : NULL;
}

uint32_t replies_count_syncs(const struct replies *replies)
{
    uint32_t syncs = 0;
    for (uint32_t i = 0; i < replies->count; i++)
        syncs += at(replies, i)->kind == REPLY_SYNC;
    return syncs;
}

uint32_t replies_count_own_first(const struct replies *replies)
{
    uint32_t n = 0;
    while (n < replies->count &&
           (at(replies, n)->action == REPLY_SWALLOW || at(replies, n)->action == REPLY_INJECT))
        n++;
    return n;
}

bool replies_any_for_client(const struct replies *replies)
{
    return replies_count_own_first(replies) < replies->count;
}

bool replies_only_syncs_follow(const struct replies *replies)
{
    for (uint32_t i = 1; i < replies->count; i++) {
        if (at(replies, i)->kind != REPLY_SYNC)
            return false;
    }
    return true;
}

static bool ends_in_ready(uint8_t kind)
{
    return kind == REPLY_SYNC || kind == REPLY_QUERY || kind == REPLY_FUNCTION;
}

static void settle(const struct reply *reply, const struct replies_events *events, void *context,
                   enum reply_outcome outcome)
{
    if (reply->note != NULL)
        events->settled(context, reply, outcome);
}

static struct reply pop(struct replies *replies)
{
    struct reply reply = *at(replies, 0);
    replies->head = (replies->head + 1) & (replies->cap - 1);
    replies->count--;
    return reply;
}

void replies_advance(struct replies *replies, const struct replies_events *events, void *context)
{
    replies->busy = false;
    while (replies->count > 0) {
        const struct reply *head = at(replies, 0);
        if (head->kind == REPLY_COPY_END && !replies->copy_in) {
            pop(replies); /* its COPY has failed before: the server ignores it */
        } else if (head->action == REPLY_FAKE) {
            struct reply reply = pop(replies);
            events->fake(context, &reply);
            settle(&reply, events, context, REPLY_DONE);
        } else {
            return;
        }
    }
}

bool replies_expect(struct replies *replies, const struct replies_events *events, void *context,
                    enum reply_kind kind, enum reply_action action, void *note)
{
    if (replies->copy_both)
        return true;
    if (replies->skipping) {
        if (kind != REPLY_SYNC)
            return false;
        replies->skipping = false; /* the queue now ends where the server wakes up */
        if (replies->injected && action == REPLY_INJECT)
            action = REPLY_FORWARD;
    }
    if (kind != REPLY_COPY_END)
        replies->open = !ends_in_ready(kind);
    if (replies->count == replies->cap)
        grow(replies);
    *at(replies, replies->count++) = (struct reply){.note = note, .kind = kind, .action = action};
    if (replies->count == 1 && !replies->busy && (action == REPLY_FAKE || kind == REPLY_COPY_END))
        replies_advance(replies, events, context);
    return true;
}

static void finish_head(struct replies *replies, const struct replies_events *events, void *context,
                        enum reply_outcome outcome)
{
    struct reply reply = pop(replies);
    settle(&reply, events, context, outcome);
}

/* How many entries stand before the first one of this kind; count if there is none. */
static uint32_t find(const struct replies *replies, uint32_t from, enum reply_kind kind)
{
    uint32_t i = from;
    while (i < replies->count && at(replies, i)->kind != kind)
        i++;
    return i;
}

bool replies_want_copy_data(const struct replies *replies)
{
    return replies->copy_in && find(replies, 0, REPLY_COPY_END) == replies->count;
}

bool replies_query_to_come(const struct replies *replies)
{
    return !replies->copy_in && find(replies, 0, REPLY_QUERY) < replies->count;
}

/* Takes entries [from, to) out of the queue. */
static void drop(struct replies *replies, uint32_t from, uint32_t to)
{
    for (uint32_t i = to; i < replies->count; i++)
        *at(replies, from + i - to) = *at(replies, i);
    replies->count -= to - from;
}

/* COPY IN ended well: the server has ignored each Sync that came before CopyDone. */
static bool end_copy_in(struct replies *replies)
{
    uint32_t end = find(replies, 1, REPLY_COPY_END);
    replies->copy_in = false;
    if (end == replies->count)
        return false;
    for (uint32_t i = 1; i < end; i++) {
        if (at(replies, i)->kind != REPLY_SYNC)
            return false;
    }
    drop(replies, 1, end + 1);
    return true;
}

static void fail_copy_in(struct replies *replies, const struct replies_events *events,
                         void *context)
{
    uint32_t end = find(replies, 1, REPLY_COPY_END);
    uint32_t sync = find(replies, 1, REPLY_SYNC);
    replies->copy_in = false;
    if (sync < end)
        replies->uncertain = true;
    if (at(replies, 0)->kind == REPLY_QUERY && sync >= end)
        return; /* the marker goes when it reaches the head */
    for (uint32_t i = end; i-- > 1;)
        settle(at(replies, i), events, context, REPLY_SKIPPED);
    drop(replies, 1, end < replies->count ? end + 1 : end);
}

/* The server ignores all up to the next Sync.  Undone newest first: see the header. */
static void skip_to_sync(struct replies *replies, const struct replies_events *events,
                         void *context)
{
    uint32_t sync = find(replies, 0, REPLY_SYNC);
    replies->injected = at(replies, 0)->action == REPLY_INJECT;
    for (uint32_t i = sync; i-- > 0;)
        settle(at(replies, i), events, context, i == 0 ? REPLY_FAILED : REPLY_SKIPPED);
    drop(replies, 0, sync);
    replies->skipping = replies->count == 0;
    if (replies->injected && !replies->skipping && at(replies, 0)->action == REPLY_INJECT)
        at(replies, 0)->action = REPLY_FORWARD;
}

static enum reply_verdict verdict_of(const struct reply *reply)
{
    return reply->action == REPLY_FORWARD ? VERDICT_FORWARD : VERDICT_SWALLOW;
}

static enum reply_verdict take_error(struct replies *replies, const struct replies_events *events,
                                     void *context)
{
    if (replies->count == 0)
        return VERDICT_FORWARD; /* a dying server says why */
    const struct reply *head = at(replies, 0);
    enum reply_verdict verdict = head->action == REPLY_INJECT ? VERDICT_FORWARD : verdict_of(head);
    if (replies->copy_in)
        fail_copy_in(replies, events, context);
    if (!ends_in_ready(head->kind))
        skip_to_sync(replies, events, context);
    return verdict;
}

/* Which messages may come for a request, and which of them end it. */
static bool allowed(uint8_t request, uint8_t kind, bool *ends)
{
    *ends = true;
    switch (request) {
    case REPLY_PARSE:
        return kind == BE_PARSE_COMPLETE;
    case REPLY_BIND:
        return kind == BE_BIND_COMPLETE;
    case REPLY_CLOSE:
        return kind == BE_CLOSE_COMPLETE;
    case REPLY_SYNC:
        return kind == BE_READY_FOR_QUERY;
    case REPLY_DESCRIBE:
        *ends = kind != BE_PARAMETER_DESCRIPTION;
        return kind == BE_PARAMETER_DESCRIPTION || kind == BE_ROW_DESCRIPTION || kind == BE_NO_DATA;
    case REPLY_FUNCTION:
        *ends = kind == BE_READY_FOR_QUERY;
        return *ends || kind == BE_FUNCTION_CALL_RESPONSE;
    default:
        break;
    }
    switch (kind) { /* Query and Execute */
    case BE_READY_FOR_QUERY:
        *ends = true;
        return request == REPLY_QUERY;
    case BE_COMMAND_COMPLETE:
    case BE_EMPTY_QUERY_RESPONSE:
    case BE_PORTAL_SUSPENDED:
        *ends = request == REPLY_EXECUTE;
        return true;
    case BE_ROW_DESCRIPTION:
    case BE_DATA_ROW:
    case BE_COPY_IN_RESPONSE:
    case BE_COPY_OUT_RESPONSE:
    case BE_COPY_BOTH_RESPONSE:
    case BE_COPY_DATA:
    case BE_COPY_DONE:
        *ends = false;
        return true;
    default:
        return false;
    }
}

enum reply_verdict replies_take(struct replies *replies, const struct replies_events *events,
                                void *context, uint8_t kind)
{
    bool ends;
    if (replies->copy_both)
        return VERDICT_FORWARD;
    if (kind == BE_ERROR_RESPONSE)
        return take_error(replies, events, context);
    if (replies->count == 0)
        return VERDICT_BROKEN;
    struct reply *head = at(replies, 0);
    if (kind == BE_DATA_ROW && (head->kind == REPLY_EXECUTE || head->kind == REPLY_QUERY))
        return verdict_of(head); /* the common case first */
    if (head->action == REPLY_REPLACE || !allowed(head->kind, kind, &ends))
        return VERDICT_BROKEN;
    enum reply_verdict verdict = verdict_of(head);
    if (kind == BE_COPY_IN_RESPONSE)
        replies->copy_in = true;
    else if (kind == BE_COPY_BOTH_RESPONSE)
        replies->copy_both = true;
    else if (kind == BE_COMMAND_COMPLETE && replies->copy_in && !end_copy_in(replies))
        return VERDICT_BROKEN;
    if (ends)
        finish_head(replies, events, context, REPLY_DONE);
    return verdict;
}

void replies_abandon(struct replies *replies, const struct replies_events *events, void *context)
{
    uint32_t kept = 0;
    for (uint32_t i = replies->count; i-- > 0;) {
        settle(at(replies, i), events, context, REPLY_SKIPPED);
        at(replies, i)->note = NULL;
    }
    for (uint32_t i = 0; i < replies->count; i++) {
        struct reply reply = *at(replies, i);
        if (reply.action == REPLY_FAKE)
            continue;
        if (reply.action != REPLY_REPLACE)
            reply.action = REPLY_SWALLOW;
        *at(replies, kept++) = reply;
    }
    replies->count = kept;
}
