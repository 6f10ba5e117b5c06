/* Sets of session parameters: what leads from one to another, and which of them mean the same to a text. */
#include "pool/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static struct params_table *table;

static int begin(void **state)
{
    table = params_table_new("search_path, we\"ird");
    return 0;
}

static int end(void **state)
{
    params_table_free(table);
    return 0;
}

/* A set with one value, or without any. */
static struct params *with(const char *name, const char *value)
{
    struct params *params = params_empty(table);
    if (name != NULL)
        params_set(table, &params, (size_t)params_index(table, name), value);
    return params;
}

static void assert_difference(struct params *from, struct params *to, const char *expected)
{
    struct buf sql = BUF_NONE;
    bool differs = params_difference(table, from, to, &sql);
    buf_append_u8(&sql, '\0');
    assert_string_equal(sql.data, expected);
    assert_int_equal(differs, expected[0] != '\0');
    buf_done(&sql);
    params_unref(table, from);
    params_unref(table, to);
}

static void equal_sets_are_one(void **state)
{
    struct params *a = with("TimeZone", "UTC"), *b = with("timezone", "UTC");
    assert_ptr_equal(a, b);
    assert_difference(a, b, "");
}

static void values_are_set_as_they_are(void **state)
{
    assert_difference(with("TimeZone", "UTC"), with("TimeZone", "Asia/Tokyo"),
                      "SELECT pg_catalog.set_config('TimeZone','Asia/Tokyo',false);");
    assert_difference(with(NULL, NULL), with("application_name", "it's \\ so"),
                      "SELECT pg_catalog.set_config('application_name',$q0$it's \\ so$q0$,false);");
}

static void what_has_no_value_is_reset(void **state)
{
    assert_difference(with("search_path", "tenant_a"), with(NULL, NULL), "RESET \"search_path\";");
    assert_difference(with("we\"ird", "x"), with(NULL, NULL), "RESET \"we\"\"ird\";");
    assert_difference(with("search_path", "tenant_a"), with("TimeZone", "UTC"),
                      "RESET \"search_path\";"
                      "SELECT pg_catalog.set_config('TimeZone','UTC',false);");
}

static void assert_same_environment(struct params *a, struct params *b, bool same)
{
    assert_int_equal(params_environment(a) == params_environment(b), same);
    params_unref(table, a);
    params_unref(table, b);
}

static void only_the_name_of_an_application_means_nothing(void **state)
{
    assert_same_environment(with("TimeZone", "UTC"), with("TimeZone", "Asia/Tokyo"), false);
    assert_same_environment(with("TimeZone", "UTC"), with("TimeZone", "UTC"), true);
    assert_same_environment(with("DateStyle", "ISO"), with("client_encoding", "ISO"), false);
    assert_same_environment(with("search_path", "a"), with(NULL, NULL), false);
    assert_same_environment(with("application_name", "a"), with("application_name", "b"), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_sets_are_one, begin, end),
        cmocka_unit_test_setup_teardown(values_are_set_as_they_are, begin, end),
        cmocka_unit_test_setup_teardown(what_has_no_value_is_reset, begin, end),
        cmocka_unit_test_setup_teardown(only_the_name_of_an_application_means_nothing, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
