#include "base/histogram.h"

void histogram_merge(struct histogram *to, const struct histogram *more)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->counts[i] += more->counts[i];
    if (more->max > to->max)
        to->max = more->max;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += histogram->counts[i];
    return count;
}

/* The inverse of histogram_bucket(). */
static uint64_t middle(unsigned bucket)
{
    const uint64_t one = 1;
    unsigned group = bucket >> HISTOGRAM_BITS;
    if (group <= 1)
        return bucket;
    unsigned shift = group - 1;
    uint64_t from = (uint64_t)(bucket - (shift << HISTOGRAM_BITS)) << shift;
    return from + (one << shift) / 2;
}

/* Which one in the order of their lengths, from 1; without overflow. */
static uint64_t rank_of(uint64_t count, unsigned of_10000)
{
    uint64_t rank = count / 10000 * of_10000 + (count % 10000 * of_10000 + 9999) / 10000;
    return rank > 0 ? rank : 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned of_10000)
{
    uint64_t count = histogram_count(histogram), seen = 0;
    uint64_t rank = rank_of(count, of_10000);
    if (count == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= rank)
            return middle(i) < histogram->max ? middle(i) : histogram->max;
    }
    return histogram->max;
}
