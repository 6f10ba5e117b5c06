/*
 * base/histogram.h - how often which duration, from microseconds to hours
 *
 * Buckets are log-linear: each power of two is cut into 16 of equal width, so that what is read back is
 * off by 3.2 % at most; below 32 it is exact, and so is the longest.  What is longer than 2^36 (19 hours
 * of microseconds) counts as that long.  Adding takes a few instructions and no memory.
 *
 * Ownership:  a value
 * Threading:  one thread at a time
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 4,      /* of a value, behind its highest one, that are told apart */
    HISTOGRAM_MAX_BITS = 36, /* of the longest duration that has a bucket */
    HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS,
};

struct histogram {
    uint64_t max; /* exact */
    uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
    const uint64_t one = 1;
    if (value >> HISTOGRAM_MAX_BITS != 0)
        return HISTOGRAM_BUCKETS - 1;
    if (value < one << HISTOGRAM_BITS)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
    /* Its highest one is still in it: it stands for the bucket that shift alone would lack. */
    return (shift << HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *to, const struct histogram *more);
uint64_t histogram_count(const struct histogram *histogram);

/* The value that so many of 10,000 do not exceed; 0 if there is none. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned of_10000);

#endif
