/*
 * pool/part.h - what the files that make up a part of a pool share
 *
 *   part.c     the queue, and who gets a server that is free
 *   mail.c     what the parts of a pool tell and ask each other
 *   hunt.c     when a new server is opened, and what becomes of the attempt
 *   quota.c    how many servers there may be
 *   worker.c   parts are made, given new settings, and closed
 *   upkeep.c   what is looked at from time to time
 *
 * Threading:  the thread of the part's worker
 */
#ifndef POOL_PART_H
#define POOL_PART_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool/pool.h"

enum {
    PART_HUNGRY_SLACK_US =
        1000000 /* how much longer one of another pool must have waited: that costs a
                                    * new server */
};

/* ---- part.c ---- */

static inline bool part_alone(const struct part *part)
{
    return part->pool->pools->n_workers == 1;
}

static inline bool part_paused(const struct part *part)
{
    const struct pool *pool = part->pool;
    return atomic_load_explicit(&pool->database->paused, memory_order_relaxed) != PAUSE_NONE ||
           atomic_load_explicit(&pool->pools->paused, memory_order_relaxed) != PAUSE_NONE;
}

/* Does its cluster have no primary, so that there is nowhere to connect to? */
bool part_is_headless(const struct part *part);
/* Why this part keeps no free servers at all now; NULL: it does. */
const char *part_reason_to_close_all(const struct part *part);
/* The waiter has left the list that it was in. */
void part_unlist(struct part *part, struct waiter *waiter);
void part_rejoin(struct part *part, struct waiter *waiter); /* the queue, where its age puts it */
/* The server has been opened for this waiter, and logged in. */
void part_give(struct part *part, struct waiter *waiter, struct server *server);
/* Closes the idle server that was not used for longest and would not do for `waiter`, of this part or of
 * any; false: there is none. */
bool part_evict(struct part *part, const struct waiter *waiter);
/* Has the oldest suitable idle server tested, which a waiter wants; false: there is none. */
bool part_test_idle(struct part *part, const struct opening *opening);
/* Must a server that has been idle for so long be tested before it is lent? */
bool part_is_untested(const struct part *part, int64_t idle_us);
bool part_too_old(const struct part *part, const struct server *server, int64_t now_us);

/* An idle server that began so goes to the part of another worker, which has asked for it; false: there is none. */
bool part_give_idle(struct part *part, unsigned to, const struct opening *opening);

/* ---- mail.c ---- */

/* Asks the workers that have idle servers of this pool for one that began so. */
void part_ask_others(struct part *part, struct opening *opening);
/* There is room for a new server, or one is idle: lets whoever waits elsewhere know. */
void part_announce(struct part *part);
/* May this worker be asked now?  If it has not answered yet, it is asked again when it has. */
bool part_may_ask(struct question *question, unsigned to);
/* It has answered.  True: it is to be asked again. */
bool part_is_answered(struct question *question, unsigned from);
/* Calls worker `to`'s part of the same pool, on its thread; from: the index of our worker. */
typedef void part_call(struct part *part, unsigned from);
void part_post(struct part *part, unsigned to, part_call *call);

/* ---- hunt.c ---- */

/* Looks for servers for the clients that wait here. */
void part_hunt(struct part *part);
/* The oldest waiter for whom no server is on its way; NULL: there is none. */
const struct waiter *part_first_blocked(const struct part *part);
void part_hunt_again(struct deadline *deadline, struct loop *loop); /* of part->again */
void part_hunt_again_at(struct part *part, int64_t at_us);          /* or before */
/* Opens servers up to min_pool_size. */
void part_open_minimum(struct part *part);
/* If the listening server is not where it should be any more, or nobody hears it and there should be no free
 * servers now, it is closed. */
void part_review_listener(struct part *part);
/* If nobody hears it, it is closed, for the sake of a limit that it counts for; false: it is not. */
bool part_evict_listener(struct part *part);

/* ---- quota.c ---- */

/* Counts one more server, for this waiter, and closes an idle one for that if need be.  False: a limit is in the
 * way; the part hunts again when there is room. */
bool part_make_room(struct part *part, const struct waiter *waiter);
/* The same if there is room, in a pool of so many. */
bool part_take_room(struct part *part, int limit);
/* There is one less, which is no longer connecting. */
void part_give_room_back(struct part *part);
/* The same for the pool's listening server, which only the quotas count; nobody hunts for it. */
bool part_make_listener_room(struct part *part);
void part_give_listener_room_back(struct part *part);
/* The settings are others: whoever waits, in this pool or in any that shares a limit, looks again. */
void part_tell_change(struct part *part);
/* Is there a limit that keeps the pool from one more server? */
bool part_is_full(const struct part *part);
/* Since when somebody waits whom a limit that this pool shares keeps from a server; 0: nobody. */
int64_t part_hungry_since_us(struct part *part);
/* The waiter that has waited since then is kept no more. */
void part_end_hunger(struct part *part, int64_t since_us);

/* It has been seen that a server is gone: if it was of a cluster, the nodes are asked who is the primary. */
void part_suspect(const struct part *part);

/* ---- upkeep.c ---- */

void part_upkeep(struct deadline *deadline, struct loop *loop); /* of worker->upkeep */

#endif
