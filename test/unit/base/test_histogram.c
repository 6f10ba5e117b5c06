#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_state = 88172645463325252;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Within 3.2 %: 1/32, and what rounding adds to small numbers. */
static void assert_near(uint64_t got, uint64_t wanted)
{
    uint64_t off = got > wanted ? got - wanted : wanted - got;
    if (off * 1000 > wanted * 32)
        fail_msg("%llu is not near %llu", (unsigned long long)got, (unsigned long long)wanted);
}

static void nothing_has_no_quantiles(void **state)
{
    struct histogram h = {0};
    assert_int_equal(histogram_count(&h), 0);
    assert_int_equal(histogram_quantile(&h, 5000), 0);
    assert_int_equal(h.max, 0);
}

static void buckets_follow_each_other_without_a_gap(void **state)
{
    unsigned last = 0;
    for (uint64_t value = 1; value < 1 << 20; value++) {
        unsigned bucket = histogram_bucket(value);
        assert_true(bucket == last || bucket == last + 1);
        last = bucket;
    }
    for (unsigned bits = 20; bits < HISTOGRAM_MAX_BITS; bits++) {
        uint64_t power = UINT64_C(1) << bits;
        assert_int_equal(histogram_bucket(power), histogram_bucket(power - 1) + 1);
    }
    assert_int_equal(histogram_bucket((UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1),
                     HISTOGRAM_BUCKETS - 1);
}

static void one_value_is_read_back_nearly(void **state)
{
    for (uint64_t value = 0; value < UINT64_C(1) << HISTOGRAM_MAX_BITS; value += value / 50 + 1) {
        struct histogram h = {0};
        histogram_add(&h, value);
        /* Not cut to the longest: that would hide what the bucket says. */
        h.max = UINT64_MAX;
        assert_near(histogram_quantile(&h, 5000), value);
        if (value < 32)
            assert_int_equal(histogram_quantile(&h, 5000), value);
    }
}

static void the_longest_is_exact_and_bounds_all(void **state)
{
    struct histogram h = {0};
    histogram_add(&h, 1000001);
    assert_int_equal(h.max, 1000001);
    assert_near(histogram_quantile(&h, 10000), h.max);
    h = (struct histogram){0};
    histogram_add(&h, 983040); /* the first of its bucket, whose middle is longer */
    assert_int_equal(histogram_quantile(&h, 10000), 983040);
    histogram_add(&h, UINT64_MAX);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    assert_true(h.max == UINT64_MAX);
    assert_int_equal(histogram_count(&h), 2);
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void quantiles_are_those_of_the_sorted_values(void **state)
{
    enum { N = 20001 };
    static const unsigned quantiles[] = {1, 1000, 5000, 9000, 9900, 9990, 10000};
    static uint64_t values[N];
    for (int round = 0; round < 20; round++) {
        struct histogram h = {0};
        for (size_t i = 0; i < N; i++) {
            values[i] = next_random() >> (30 + next_random() % 34);
            histogram_add(&h, values[i]);
        }
        qsort(values, N, sizeof *values, by_value);
        assert_int_equal(histogram_count(&h), N);
        assert_true(h.max == values[N - 1]);
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            size_t rank = ((size_t)N * quantiles[i] + 9999) / 10000;
            assert_near(histogram_quantile(&h, quantiles[i]), values[rank - 1]);
        }
    }
}

static void small_counts_have_quantiles_too(void **state)
{
    struct histogram h = {0};
    histogram_add(&h, 1);
    histogram_add(&h, 2);
    histogram_add(&h, 3);
    assert_int_equal(histogram_quantile(&h, 1), 1);
    assert_int_equal(histogram_quantile(&h, 3333), 1);
    assert_int_equal(histogram_quantile(&h, 3334), 2);
    assert_int_equal(histogram_quantile(&h, 5000), 2);
    assert_int_equal(histogram_quantile(&h, 9900), 3);
}

static void merged_ones_are_as_one(void **state)
{
    static struct histogram whole, parts[4], merged;
    for (size_t i = 0; i < 5000; i++) {
        uint64_t value = next_random() >> (28 + next_random() % 36);
        histogram_add(&whole, value);
        histogram_add(&parts[i % 4], value);
    }
    for (size_t i = 0; i < 4; i++)
        histogram_merge(&merged, &parts[i]);
    assert_memory_equal(&merged, &whole, sizeof whole);
}

static void counts_near_the_limit_do_not_overflow(void **state)
{
    struct histogram h = {0};
    h.counts[histogram_bucket(10)] = UINT64_MAX / 2;
    h.counts[histogram_bucket(20)] = UINT64_MAX / 2;
    h.max = 20;
    assert_int_equal(histogram_quantile(&h, 4999), 10);
    assert_int_equal(histogram_quantile(&h, 5001), 20);
    assert_int_equal(histogram_quantile(&h, 10000), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_quantiles),
        cmocka_unit_test(buckets_follow_each_other_without_a_gap),
        cmocka_unit_test(one_value_is_read_back_nearly),
        cmocka_unit_test(the_longest_is_exact_and_bounds_all),
        cmocka_unit_test(quantiles_are_those_of_the_sorted_values),
        cmocka_unit_test(small_counts_have_quantiles_too),
        cmocka_unit_test(merged_ones_are_as_one),
        cmocka_unit_test(counts_near_the_limit_do_not_overflow),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
