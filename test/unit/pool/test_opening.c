#include "pool/opening.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct startup_param one[] = {{"DateStyle", "German"}, {"options", "-c x=1"}};

static void nothing_to_say_is_no_opening(void **state)
{
    assert_null(opening_new(NULL, 0, STARTUP_NO_REPLICATION));
    assert_null(opening_ref(NULL));
    opening_unref(NULL);
    assert_false(opening_is_for_one(NULL));
    assert_int_equal(opening_replication(NULL), STARTUP_NO_REPLICATION);
    assert_true(opening_same(NULL, NULL));
    assert_false(opening_equal(NULL, NULL));
}

static void an_opening_keeps_copies(void **state)
{
    char name[] = "TimeZone", value[] = "UTC";
    struct startup_param param = {name, value};
    struct opening *opening = opening_new(&param, 1, STARTUP_NO_REPLICATION);
    name[0] = value[0] = 'x';
    assert_int_equal(opening->n, 1);
    assert_string_equal(opening->params[0].name, "TimeZone");
    assert_string_equal(opening->params[0].value, "UTC");
    assert_false(opening_is_for_one(opening));
    opening_unref(opening);
}

static void the_last_reference_frees_it(void **state)
{
    struct opening *opening = opening_new(one, 2, STARTUP_NO_REPLICATION);
    assert_ptr_equal(opening_ref(opening), opening);
    opening_unref(opening);
    assert_string_equal(opening->params[1].value, "-c x=1");
    opening_unref(opening);
}

static void equal_are_those_with_the_same_parameters_in_the_same_order(void **state)
{
    static const struct startup_param others[][2] = {
        {{"DateStyle", "German"}, {"options", "-c x=2"}},
        {{"DateStyle", "German"}, {"option", "-c x=1"}},
        {{"options", "-c x=1"}, {"DateStyle", "German"}},
    };
    struct opening *a = opening_new(one, 2, STARTUP_NO_REPLICATION);
    struct opening *b = opening_new(one, 2, STARTUP_NO_REPLICATION);
    struct opening *shorter = opening_new(one, 1, STARTUP_NO_REPLICATION);
    assert_true(opening_equal(a, a));
    assert_true(opening_equal(a, b));
    assert_true(opening_same(a, b));
    assert_false(opening_same(a, NULL));
    assert_false(opening_same(NULL, a));
    assert_false(opening_equal(a, shorter));
    assert_false(opening_equal(shorter, a));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct opening *other = opening_new(others[i], 2, STARTUP_NO_REPLICATION);
        assert_false(opening_equal(a, other));
        opening_unref(other);
    }
    opening_unref(a);
    opening_unref(b);
    opening_unref(shorter);
}

static void one_of_replication_is_equal_to_none(void **state)
{
    static const enum startup_replication kinds[] = {STARTUP_PHYSICAL_REPLICATION,
                                                     STARTUP_LOGICAL_REPLICATION};
    struct opening *plain = opening_new(one, 2, STARTUP_NO_REPLICATION);
    for (size_t i = 0; i < 2; i++) {
        struct opening *a = opening_new(one, 2, kinds[i]);
        struct opening *bare = opening_new(NULL, 0, kinds[i]);
        assert_non_null(bare);
        assert_int_equal(opening_replication(bare), kinds[i]);
        assert_true(opening_is_for_one(a));
        assert_true(opening_is_for_one(bare));
        assert_false(opening_same(a, a));
        assert_false(opening_same(a, plain));
        assert_false(opening_same(plain, a));
        assert_false(opening_same(bare, NULL));
        opening_unref(a);
        opening_unref(bare);
    }
    opening_unref(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_say_is_no_opening),
        cmocka_unit_test(an_opening_keeps_copies),
        cmocka_unit_test(the_last_reference_frees_it),
        cmocka_unit_test(equal_are_those_with_the_same_parameters_in_the_same_order),
        cmocka_unit_test(one_of_replication_is_equal_to_none),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
