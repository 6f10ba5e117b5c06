/*
 * base/count.h - a count with a limit, shared by threads
 */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stdatomic.h>
#include <stdbool.h>

/* Counts one up unless that would pass the limit; 0 or less: there is none. */
static inline bool count_take(atomic_int *count, int limit)
{
    int now = atomic_load(count);
    do {
        if (limit > 0 && now >= limit)
            return false;
    } while (!atomic_compare_exchange_weak(count, &now, now + 1));
    return true;
}

#endif
