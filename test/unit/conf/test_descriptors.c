#include "conf/descriptors.h"

#include "conf_test.h"

#include "conf/settings.h"

static int64_t needed(const char *text)
{
    struct conf_report report;
    conf_report_init(&report);
    struct settings *settings = settings_load_text("test.ini", text, strlen(text), &report);
    assert_clean(&report);
    int64_t n = descriptors_needed(settings);
    settings_unref(settings);
    conf_report_done(&report);
    return n;
}

/* With three users, and so many clients. */
static int64_t needed_with(int max_client_conn, const char *databases)
{
    static const char users[] = "\"a\" \"x\"\n\"b\" \"x\"\n\"c\" \"x\"\n";
    char *path = write_file("users", users, sizeof users - 1);
    char *text = mem_printf("[databases]\n%s[pgbouncer]\nauth_file = %s\nmax_client_conn = %d\n",
                            databases, path, max_client_conn);
    int64_t n = needed(text);
    mem_free(text);
    mem_free(path);
    return n;
}

static void each_client_needs_one(void **state)
{
    int64_t own = needed_with(0, "");
    assert_true(own > 0 && own < 200);
    assert_int_equal(needed_with(1000, "") - own, 1000);
}

static void each_user_of_a_database_has_a_pool(void **state)
{
    int64_t none = needed_with(1000, "");
    assert_int_equal(needed_with(1000, "one = host=x\n") - none, 3 * 20);
    assert_int_equal(needed_with(1000, "one = host=x\ntwo = host=x pool_size=7\n") - none,
                     3 * 20 + 3 * 7);
    assert_int_equal(needed_with(1000, "* = host=x\n") - none, 3 * 20);
}

static void a_forced_user_has_the_only_pool(void **state)
{
    assert_int_equal(needed_with(1000, "one = host=x user=d\n") - needed_with(1000, ""), 20);
}

static void no_pool_has_more_servers_than_there_are_clients(void **state)
{
    assert_int_equal(needed_with(5, "one = host=x\n") - needed_with(5, ""), 3 * 5);
    assert_int_equal(needed_with(50, "one = host=x pool_size=0\n") - needed_with(50, ""), 3 * 50);
}

static void large_numbers_do_not_overflow(void **state)
{
    char *path = write_file("many", "\"a\" \"x\"\n\"b\" \"x\"\n", 16);
    char *text = mem_printf("[databases]\none = host=x pool_size=2147483647\ntwo = host=x "
                            "pool_size=0\n[pgbouncer]\nauth_file = %s\nmax_client_conn = "
                            "2147483647\n",
                            path);
    assert_true(needed(text) > INT64_C(5) * 2147483647);
    mem_free(text);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_client_needs_one),
        cmocka_unit_test(each_user_of_a_database_has_a_pool),
        cmocka_unit_test(a_forced_user_has_the_only_pool),
        cmocka_unit_test(no_pool_has_more_servers_than_there_are_clients),
        cmocka_unit_test(large_numbers_do_not_overflow),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
