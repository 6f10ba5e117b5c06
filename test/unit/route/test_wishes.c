#include "route/wishes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"

static struct slice slice(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static void roles_and_times_are_taken(void **state)
{
    static const struct {
        const char *key, *value;
        enum wish_role role;
        int64_t max_lag_us; /* -1: it is about the role */
    } rows[] = {
        {"role", "primary", WISH_PRIMARY, -1}, {"ROLE", "Standby", WISH_STANDBY, -1},
        {"role", "auto", WISH_AUTO, -1},       {"max_lag", "0", 0, 0},
        {"max_lag", "2", 0, 2000000},          {"max_lag", "500ms", 0, 500000},
        {"Max_Lag", "1.5 s", 0, 1500000},      {"max_lag", "1min", 0, 60000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wishes wishes = {.has_role = false};
        assert_int_equal(wishes_take(&wishes, slice(rows[i].key), slice(rows[i].value), NULL),
                         WISH_TAKEN);
        assert_int_equal(wishes.has_role, rows[i].max_lag_us < 0);
        assert_int_equal(wishes.has_max_lag, rows[i].max_lag_us >= 0);
        assert_int_equal(wishes.role, rows[i].role);
        assert_int_equal(wishes.max_lag_us, rows[i].max_lag_us < 0 ? 0 : rows[i].max_lag_us);
    }
}

static void other_values_are_refused(void **state)
{
    static const char *const rows[][3] = {
        {"role", "", "invalid value for parameter \"howdah.role\": \"\""},
        {"role", "replica", "invalid value for parameter \"howdah.role\": \"replica\""},
        {"role", "primaryy", "invalid value for parameter \"howdah.role\": \"primaryy\""},
        {"max_lag", "", "invalid value for parameter \"howdah.max_lag\": \"\""},
        {"max_lag", "-1", "invalid value for parameter \"howdah.max_lag\": \"-1\""},
        {"max_lag", "1x", "invalid value for parameter \"howdah.max_lag\": \"1x\""},
        {"max_lag", "off", "invalid value for parameter \"howdah.max_lag\": \"off\""},
        {"max_lag", "00000000000000000000000000000000000000000000000001",
         "invalid value for parameter \"howdah.max_lag\": "
         "\"00000000000000000000000000000000000000000000000001\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wishes wishes = {.has_role = true, .role = WISH_STANDBY};
        struct err err = ERR_NONE;
        assert_int_equal(wishes_take(&wishes, slice(rows[i][0]), slice(rows[i][1]), &err),
                         WISH_INVALID);
        assert_string_equal(err.message, rows[i][2]);
        assert_string_equal(err.sqlstate, "22023");
        assert_string_not_equal(err.hint, "");
        assert_true(wishes.has_role && wishes.role == WISH_STANDBY && !wishes.has_max_lag);
    }
}

static void a_value_with_a_nul_in_it_is_refused(void **state)
{
    struct wishes wishes = {.has_role = false};
    struct slice value = {"1\0s", 3};
    assert_int_equal(wishes_take(&wishes, slice("max_lag"), value, NULL), WISH_INVALID);
}

static void other_keys_are_not_known(void **state)
{
    struct wishes wishes = {.has_role = false};
    assert_int_equal(wishes_take(&wishes, slice("pin"), slice("on"), NULL), WISH_UNKNOWN);
    assert_int_equal(wishes_take(&wishes, slice(""), slice("on"), NULL), WISH_UNKNOWN);
    assert_false(wishes_forget(&wishes, slice("rol")));
}

static void a_key_is_what_follows_the_prefix(void **state)
{
    struct slice key;
    assert_true(wishes_key(slice("Howdah.role"), &key));
    assert_true(slice_is(key, "role"));
    assert_false(wishes_key(slice("howdah."), &key));
    assert_false(wishes_key(slice("howdah"), &key));
    assert_false(wishes_key(slice("role"), &key));
    assert_false(wishes_key(slice("x.howdah.role"), &key));
}

static void what_was_said_last_counts(void **state)
{
    struct wishes of_session = {.has_role = true, .role = WISH_STANDBY},
                  of_statement = {.has_max_lag = true, .max_lag_us = 7};
    struct wishes both = wishes_over(&of_session, &of_statement);
    assert_true(both.has_role && both.role == WISH_STANDBY);
    assert_true(both.has_max_lag && both.max_lag_us == 7);
    of_statement = (struct wishes){.has_role = true, .role = WISH_PRIMARY};
    assert_int_equal(wishes_over(&of_session, &of_statement).role, WISH_PRIMARY);
    assert_true(wishes_forget(&of_session, slice("ROLE")));
    assert_true(wishes_forget(&of_session, slice("max_lag")));
    assert_false(wishes_over(&of_session, &of_session).has_role);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_and_times_are_taken),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(a_value_with_a_nul_in_it_is_refused),
        cmocka_unit_test(other_keys_are_not_known),
        cmocka_unit_test(a_key_is_what_follows_the_prefix),
        cmocka_unit_test(what_was_said_last_counts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
