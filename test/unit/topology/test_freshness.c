#include "topology/freshness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "topology/gauge.h"

#define SECOND INT64_C(1000000)

/* All is flushed, and what is flushed counts as 600 ms older. */
static void mark(struct freshness *freshness, int64_t asked_us, uint64_t lsn)
{
    const struct wal_mark mark = {
        .asked_us = asked_us, .delay_us = 600000, .insert_lsn = lsn, .flush_lsn = lsn};
    freshness_add(freshness, &mark);
}

static void without_marks_nothing_is_known(void **state)
{
    struct freshness freshness = {.n = 0};
    assert_int_equal(freshness_of(&freshness, 100), 0);
    mark(&freshness, SECOND, 100);
    assert_int_equal(freshness_of(&freshness, 99), 0);
    assert_int_equal(freshness_of(&freshness, 100), SECOND);
    assert_int_equal(freshness_of(&freshness, 5000), SECOND);
}

static void the_newest_mark_that_was_reached_counts(void **state)
{
    struct freshness freshness = {.n = 0};
    for (int i = 1; i <= 10; i++)
        mark(&freshness, i * SECOND, (uint64_t)i * 100);
    assert_int_equal(freshness_of(&freshness, 99), 0);
    for (int i = 1; i < 10; i++)
        assert_int_equal(freshness_of(&freshness, (uint64_t)i * 100 + 99), i * SECOND);
    assert_int_equal(freshness_of(&freshness, 1000), 10 * SECOND);
}

static void behind_an_idle_primary_nobody_lags(void **state)
{
    struct freshness freshness = {.n = 0};
    for (int i = 1; i <= 10000; i++)
        mark(&freshness, i * SECOND, 100);
    assert_int_equal(freshness_of(&freshness, 100), 10000 * SECOND);
    assert_int_equal(freshness_of(&freshness, 99), 0);
}

static void a_replay_that_stands_still_gets_older(void **state)
{
    struct freshness freshness = {.n = 0};
    for (int i = 1; i <= 20000; i++) {
        mark(&freshness, i * SECOND, (uint64_t)i * 8);
        int64_t fresh_us = freshness_of(&freshness, 10 * 8);
        if (i >= 10)
            assert_in_range(fresh_us, 1 * SECOND, 10 * SECOND);
    }
}

/* What is kept tells how far behind somebody is to a tenth or so, and never too little. */
static void thinning_never_makes_fresher(void **state)
{
    struct freshness freshness = {.n = 0};
    const int64_t n = 100000;
    for (int64_t i = 1; i <= n; i++) {
        mark(&freshness, i * SECOND / 2, (uint64_t)i);
        assert_true(freshness.n <= FRESHNESS_MARKS);
    }
    for (int64_t replay = 1; replay <= n; replay += 7) {
        int64_t lag_us = (n - replay) * SECOND / 2;
        int64_t seen_us = n * SECOND / 2 - freshness_of(&freshness, (uint64_t)replay);
        assert_true(seen_us >= lag_us);
        assert_true((double)seen_us <= (double)lag_us * 1.25 + SECOND);
    }
    assert_int_equal(freshness_of(&freshness, (uint64_t)n), n * SECOND / 2);
    assert_int_equal(freshness_of(&freshness, (uint64_t)n - 1), (n - 1) * SECOND / 2);
}

/* Reads have pruned pages, and nobody commits. */
static void wal_that_is_not_flushed_is_no_lag_for_long(void **state)
{
    struct freshness freshness = {.n = 0};
    struct wal_mark mark = {.delay_us = 600000, .insert_lsn = 150, .flush_lsn = 100};
    for (int i = 1; i <= 10; i++) {
        mark.asked_us = i * SECOND;
        freshness_add(&freshness, &mark);
    }
    assert_int_equal(freshness_of(&freshness, 99), 0);
    assert_int_equal(freshness_of(&freshness, 100), 10 * SECOND - 600000);
    assert_int_equal(freshness_of(&freshness, 149), 10 * SECOND - 600000);
    assert_int_equal(freshness_of(&freshness, 150), 10 * SECOND);
}

static void a_position_that_goes_back_begins_anew(void **state)
{
    struct freshness freshness = {.n = 0};
    mark(&freshness, SECOND, 100);
    mark(&freshness, 2 * SECOND, 200);
    mark(&freshness, 3 * SECOND, 150); /* a crash */
    assert_int_equal(freshness_of(&freshness, 149), 0);
    assert_int_equal(freshness_of(&freshness, 150), 3 * SECOND);
    freshness_reset(&freshness);
    assert_int_equal(freshness_of(&freshness, 150), 0);
}

static void marks_that_come_late_are_ignored(void **state)
{
    struct freshness freshness = {.n = 0};
    mark(&freshness, 2 * SECOND, 200);
    mark(&freshness, 2 * SECOND, 100);
    mark(&freshness, SECOND, 100);
    assert_int_equal(freshness.n, 1);
    assert_int_equal(freshness_of(&freshness, 199), 0);
}

static void headers_of_pages_are_no_wal(void **state)
{
    const uint64_t file = UINT64_C(0x300000000);
    assert_int_equal(wal_position(file + 40, 40, 8192), file);
    assert_int_equal(wal_position(file + 48, 48, 8192), file + 48);
    assert_int_equal(wal_position(file + 8192 + 24, 8192 + 24, 8192), file + 8192);
    assert_int_equal(wal_position(file + 8192 + 40, 8192 + 40, 8192), file + 8192 + 40);
    assert_int_equal(wal_position(file + 4096 + 24, 4096 + 24, 8192), file + 4096 + 24);
    assert_int_equal(wal_position(file + 4096 + 24, 4096 + 24, 4096), file + 4096);
}

static const struct lag bounds = {.us = 10 * SECOND, .bytes = 1000};

static int judge(struct lag_judge *judge, int64_t us, int64_t bytes, bool sampled)
{
    const struct lag lag = {.us = us, .bytes = bytes};
    lag_judge(judge, &lag, &bounds, sampled);
    return judge->behind;
}

static void behind_is_left_after_two_good_samples(void **state)
{
    struct lag_judge lag = {.behind = 0};
    assert_int_equal(judge(&lag, 10 * SECOND, 0, true), 0);
    assert_int_equal(judge(&lag, 10 * SECOND + 1, 0, false), BEHIND_TIME);
    assert_int_equal(judge(&lag, 8 * SECOND, 0, true), BEHIND_TIME);
    assert_int_equal(judge(&lag, 8 * SECOND, 0, true), BEHIND_TIME);
    assert_int_equal(judge(&lag, 7 * SECOND, 0, true), BEHIND_TIME);
    assert_int_equal(judge(&lag, 8 * SECOND, 0, true), BEHIND_TIME); /* not in a row */
    assert_int_equal(judge(&lag, 7 * SECOND, 0, true), BEHIND_TIME);
    assert_int_equal(judge(&lag, 7 * SECOND, 0, false), BEHIND_TIME); /* of the primary */
    assert_int_equal(judge(&lag, 7 * SECOND, 0, true), 0);
}

static void time_and_bytes_are_judged_each_by_itself(void **state)
{
    struct lag_judge lag = {.behind = 0};
    assert_int_equal(judge(&lag, 11 * SECOND, 1001, true), BEHIND_TIME | BEHIND_BYTES);
    assert_int_equal(judge(&lag, 0, 1001, true), BEHIND_TIME | BEHIND_BYTES);
    assert_int_equal(judge(&lag, 0, 0, true), BEHIND_BYTES);
    assert_int_equal(judge(&lag, 0, 0, true), 0);
}

static void an_unknown_lag_changes_nothing(void **state)
{
    struct lag_judge lag = {.behind = 0};
    assert_int_equal(judge(&lag, -1, -1, true), 0);
    judge(&lag, 11 * SECOND, -1, true);
    for (int i = 0; i < 5; i++)
        assert_int_equal(judge(&lag, -1, -1, true), BEHIND_TIME);
}

static void without_a_bound_nobody_is_behind(void **state)
{
    static const struct lag none = {.us = 0, .bytes = 0}, late = {.us = 1000 * SECOND, .bytes = 99};
    struct lag_judge lag = {.behind = 0};
    judge(&lag, 11 * SECOND, 2000, true);
    lag_judge(&lag, &late, &none, false); /* after a RELOAD */
    assert_int_equal(lag.behind, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_marks_nothing_is_known),
        cmocka_unit_test(the_newest_mark_that_was_reached_counts),
        cmocka_unit_test(behind_an_idle_primary_nobody_lags),
        cmocka_unit_test(a_replay_that_stands_still_gets_older),
        cmocka_unit_test(thinning_never_makes_fresher),
        cmocka_unit_test(wal_that_is_not_flushed_is_no_lag_for_long),
        cmocka_unit_test(a_position_that_goes_back_begins_anew),
        cmocka_unit_test(marks_that_come_late_are_ignored),
        cmocka_unit_test(headers_of_pages_are_no_wal),
        cmocka_unit_test(behind_is_left_after_two_good_samples),
        cmocka_unit_test(time_and_bytes_are_judged_each_by_itself),
        cmocka_unit_test(an_unknown_lag_changes_nothing),
        cmocka_unit_test(without_a_bound_nobody_is_behind),
    };
    return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
