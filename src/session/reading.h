/*
 * session/reading.h - does what a client has sent only read?
 *
 * Its input is looked at up to the end of a batch (a Query, or all messages up to a Sync): one place serves
 * all of it, and none of it is sent before that is known.
 *
 * A batch reads if all texts in it do (route/reads.h), those of prepared statements included.  Whoever sends
 * Flush wants answers before the batch is complete: that goes to the primary, as do a COPY's data, a function
 * call, and what is too long to be kept.
 *
 * Threading:  the thread of the client's worker
 */
#ifndef SESSION_READING_H
#define SESSION_READING_H

#include <stdbool.h>
#include <stddef.h>

#include "route/reads.h"
#include "route/wishes.h"

struct client;

enum { READING_MOST = 65536 }; /* bytes of a batch that can be looked at */

enum batch_kind {
    BATCH_INCOMPLETE, /* more input has to come */
    BATCH_READS,
    BATCH_ELSE, /* to the primary */
};

struct batch_look {
    enum batch_kind kind;
    size_t len;           /* BATCH_READS: of the batch */
    bool idle;            /* BATCH_ELSE: it neither reads nor writes data */
    bool repeats;         /* it may be sent again, as it prepares nothing by a name */
    struct wishes wishes; /* of comments */
    /* Where in the batch a text stands that is for us: */
    size_t own, own_len;      /* what PostgreSQL cannot read; len 0: none */
    const char *instead;      /* what stands for it */
    size_t explained;         /* EXPLAIN (ROUTE) of the text here; 0: none */
    enum reads_reason reason; /* BATCH_ELSE */
};

/* data: the client's input from the beginning of a message that begins a batch. */
struct batch_look reading_look(struct client *client, const char *data, size_t len);

/* The texts of such a batch, which is complete. */
typedef void reading_visit(struct client *client, const char *text, size_t len);
void reading_for_each_text(struct client *client, const char *data, size_t len,
                           reading_visit *visit);

#endif
