#include "topology/gauge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static void break_off(struct node_gauge *gauge, int times, int64_t now_us)
{
    for (int i = 0; i < times; i++)
        gauge_failed(gauge, now_us);
}

static void three_failures_in_a_row_eject(void **state)
{
    struct node_gauge *gauge = gauge_new();
    break_off(gauge, 2, SECOND);
    gauge_succeeded(gauge);
    break_off(gauge, 2, SECOND);
    assert_int_equal(gauge->ejected_until_us, 0);
    break_off(gauge, 1, SECOND);
    assert_int_equal(gauge->ejected_until_us, 6 * SECOND);
    assert_int_equal(gauge->ejections, 1);
    break_off(gauge, 10, 2 * SECOND); /* of connections that were under way */
    assert_int_equal(gauge->ejected_until_us, 6 * SECOND);
    assert_int_equal(gauge->ejections, 1);
    gauge_unref(gauge);
}

static void an_answer_after_the_time_lets_it_in(void **state)
{
    struct node_gauge *gauge = gauge_new();
    assert_false(gauge_answered(gauge, SECOND));
    assert_int_equal(gauge->back_us, 0);
    break_off(gauge, 3, SECOND);
    assert_false(gauge_answered(gauge, 6 * SECOND - 1));
    assert_true(gauge_answered(gauge, 6 * SECOND));
    assert_int_equal(gauge->ejected_until_us, 0);
    assert_int_equal(gauge->back_us, 6 * SECOND);
    assert_int_equal(gauge->failures, 0);
    gauge_unref(gauge);
}

static void each_ejection_soon_after_another_is_longer(void **state)
{
    struct node_gauge *gauge = gauge_new();
    int64_t now_us = SECOND;
    for (int i = 1; i <= 15; i++) {
        break_off(gauge, 3, now_us);
        int64_t lasts_us = (i < 12 ? i * 5 : 60) * SECOND;
        assert_int_equal(gauge->ejected_until_us, now_us + lasts_us);
        now_us += lasts_us;
        assert_true(gauge_answered(gauge, now_us));
    }
    break_off(gauge, 3, now_us + 60 * SECOND);
    assert_int_equal(gauge->ejected_until_us, now_us + 65 * SECOND);
    assert_int_equal(gauge->ejections, 16);
    gauge_unref(gauge);
}

static void latency_jumps_up_and_comes_down_in_time(void **state)
{
    struct node_gauge *gauge = gauge_new();
    assert_int_equal(gauge_latency_us(gauge, SECOND), 0);
    gauge_measure(gauge, 100, SECOND);
    assert_int_equal(gauge_latency_us(gauge, SECOND), 100);
    gauge_measure(gauge, 9000, SECOND);
    assert_int_equal(gauge_latency_us(gauge, SECOND), 9000);
    gauge_measure(gauge, 100, SECOND); /* no time has passed */
    assert_int_equal(gauge_latency_us(gauge, SECOND), 9000);
    gauge_measure(gauge, 100, 6 * SECOND); /* 9000 / e + 100 * (1 - 1/e) */
    assert_in_range(gauge_latency_us(gauge, 6 * SECOND), 3360, 3385);
    assert_in_range(gauge_latency_us(gauge, 11 * SECOND), 1225, 1250);
    assert_int_equal(gauge_latency_us(gauge, 111 * SECOND), 0);
    gauge_unref(gauge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_failures_in_a_row_eject),
        cmocka_unit_test(an_answer_after_the_time_lets_it_in),
        cmocka_unit_test(each_ejection_soon_after_another_is_longer),
        cmocka_unit_test(latency_jumps_up_and_comes_down_in_time),
    };
    return cmocka_run_group_tests_name("gauge", tests, NULL, NULL);
}
