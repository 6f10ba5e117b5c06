#include "sql/standby.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sql/builtin.h"

enum {
    IMMUTABLE = BUILTIN_IMMUTABLE,
    STABLE = BUILTIN_STABLE,
    VOLATILE = BUILTIN_VOLATILE,
};

static const struct builtin_row {
    const char *name;
    int volatility;
} builtins[] = {
#define BUILTIN(name, volatility) {name, volatility},
#include "sql/builtin.def"
#undef BUILTIN
};

#define STANDBY(name, call) name,
static const char *const names[] = {
#include "sql/standby.def"
};
#undef STANDBY

#define STANDBY(name, call) #call,
static const char *const calls[] = {
#include "sql/standby.def"
};
#undef STANDBY

enum { BUILTINS = sizeof builtins / sizeof *builtins, NAMES = sizeof names / sizeof *names };

static int find(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static void every_volatile_function_has_its_row(void **state)
{
    for (size_t i = 0; i < BUILTINS; i++)
        if (builtins[i].volatility == VOLATILE && find(builtins[i].name) < 0)
            fail_msg("%s is VOLATILE, and has no row", builtins[i].name);
}

static void no_other_function_has_a_row_but_stable_ones_that_do_not_read(void **state)
{
    for (size_t i = 0; i < NAMES; i++) {
        struct builtin builtin = builtin_find(names[i], strlen(names[i]));
        bool fits = builtin.volatility == BUILTIN_VOLATILE ||
                    (builtin.volatility == BUILTIN_STABLE && strcmp(calls[i], "READS") != 0);
        if (!fits)
            fail_msg("%s needs no row", names[i]);
    }
}

static void rows_are_in_order(void **state)
{
    for (size_t i = 1; i < NAMES; i++)
        if (strcmp(names[i - 1], names[i]) >= 0)
            fail_msg("%s comes before %s", names[i], names[i - 1]);
}

static enum standby_call call_of(const char *name)
{
    return standby_call(name, strlen(name));
}

static void functions_are_found(void **state)
{
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(call_of(names[i]) == STANDBY_READS, strcmp(calls[i], "READS") == 0);
    assert_int_equal(call_of("lower"), STANDBY_READS);
    assert_int_equal(call_of("now"), STANDBY_READS);
    assert_int_equal(call_of("nextval"), STANDBY_SEQUENCE);
    assert_int_equal(call_of("pg_try_advisory_xact_lock"), STANDBY_LOCKS);
    assert_int_equal(call_of("pg_is_in_recovery"), STANDBY_READS);
    assert_int_equal(call_of("nextva"), STANDBY_NOT_OWN);
    assert_int_equal(call_of("nextvals"), STANDBY_NOT_OWN);
    assert_int_equal(call_of(""), STANDBY_NOT_OWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_volatile_function_has_its_row),
        cmocka_unit_test(no_other_function_has_a_row_but_stable_ones_that_do_not_read),
        cmocka_unit_test(rows_are_in_order),
        cmocka_unit_test(functions_are_found),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
