/*
 * session/suspend.h - a worker at rest: no message is half way, nothing is read, nobody comes in
 *
 * Connections stay as they are, in their transactions and with their statements at work; what their
 * peers send waits in the kernel.  A connection comes to rest between two messages, when all output
 * has been taken and none of its input is kept: input is read up to there and no further.
 *
 * The door is closed last: a cancel request, or another admin, may still come and end it all.
 *
 * Threading:  the worker's thread
 */
#ifndef SESSION_SUSPEND_H
#define SESSION_SUSPEND_H

struct worker;

enum suspend_phase {
    SUSPEND_SETTLE, /* who is logged in comes to rest */
    SUSPEND_DROP,   /* who has not is closed */
    SUSPEND_CLOSE,  /* nobody comes in any more, and no login goes on */
};

/* Brings to rest what can be now; returns how many connections cannot, which go on meanwhile.  To be
 * called again soon. */
int suspend_step(struct worker *worker, enum suspend_phase phase);
/* When all workers have got this, each must be told to look for servers: see worker_post_review(). */
void suspend_end(struct worker *worker);

#endif
