/*
 * session/traces.h - what a client has done to its session, as far as it is known
 *
 * Lists of names are buffers of texts, see buf_next_cstr().
 *
 * Ownership:  by the client; most clients never have any
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_TRACES_H
#define SESSION_TRACES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct client;
struct params;

/* Of a client that has done something to its session; the others have none. */
struct traces {
    uint32_t touched;              /* enum sql_effect: not asked about yet */
    uint32_t prepared;             /* enum sql_effect: of what it has prepared by SQL */
    uint32_t pins;                 /* enum pin; see pins_set() */
    uint32_t found;                /* enum pin: by the probe, so far */
    bool probing;                  /* the answer is under way */
    bool switching;                /* its channels are being taken over: see subscriber.h */
    uint8_t asked;                 /* enum probe */
    bool failed;                   /* ... and is an error */
    uint8_t failures;              /* ... as so many before */
    bool relisted;                 /* ... and has begun to list the settings */
    bool relists;                  /* a setting was reset: they are all asked for */
    bool lists_only;               /* ... as one that was asked for by its name may not be read */
    bool overflown;                /* more settings were named than can be asked for */
    bool renews_all;               /* what it began with is set again: all of it, or */
    struct buf renewed;            /* ... these settings, each with its NUL */
    struct buf names;              /* settings to ask for, in the same form */
    struct buf uncarried;          /* settings that are too long to be carried, in the same form */
    struct buf channels;           /* found by the probe, in the same form */
    struct buf functions;          /* that were called, in the same form; see functions.h */
    bool unnamed_calls;            /* ... and there is more than names tell */
    uint32_t asked_pins;           /* enum pin: before the probe */
    const struct params *asked_at; /* never read: the client's settings before it */
    int64_t asked_us;              /* when the probe was sent, if it is under way */
    int64_t known_us;              /* when the last one was answered */
    int64_t pinned_us;             /* since when, if it is */
    int64_t idle_us;               /* since when it is between two transactions, and pinned */
    bool warned;                   /* it has had the notice of pin_idle_timeout */
    char *cause;                   /* owned: the beginning of the statement that pinned it */
};

/* Makes them if need be. */
struct traces *traces_get(struct client *client);
void traces_free(struct client *client); /* unpinned, too; no-op without any */

void traces_add_name(struct buf *names, const char *name); /* once */
/* More than can be asked for one by one; none is added any more. */
bool traces_have_too_many(const struct buf *names);

/* Must the client's next message wait? */
static inline bool traces_stall(const struct traces *traces)
{
    return traces != NULL && (traces->probing || traces->switching);
}

static inline bool traces_pin(const struct traces *traces)
{
    return traces != NULL && traces->pins != 0;
}

#endif
