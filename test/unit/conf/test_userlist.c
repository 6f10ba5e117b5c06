#include "conf/userlist.h"

#include "conf_test.h"

#include <time.h>

#include "base/buf.h"

static struct userlist *parse(const char *text, struct conf_report *report)
{
    conf_report_init(report);
    return userlist_parse("u.txt", text, strlen(text), report);
}

static void assert_secret(const char *text, const char *user, const char *secret)
{
    struct conf_report report;
    struct userlist *list = parse(text, &report);
    assert_clean(&report);
    assert_non_null(list);
    assert_string_equal(userlist_find(list, user), secret);
    userlist_unref(list);
    conf_report_done(&report);
}

static void assert_refused(const char *text, const char *error)
{
    struct conf_report report;
    assert_null(parse(text, &report));
    assert_note(&report, 0, true, error);
    conf_report_done(&report);
}

static void a_line_is_a_user_and_a_secret(void **state)
{
    assert_secret("\"a\" \"b\"", "a", "b");
    assert_secret("\"a\" \"b\"\n", "a", "b");
    assert_secret("  \"a\"\t\"b\" ; rest \" is ignored\n", "a", "b");
    assert_secret("\"a\" \"b\"\r\n\"c\" \"d\"\r\n", "c", "d");
    assert_secret("\"a\" \"\"", "a", "");
    assert_secret("; comment\n\n  # comment\n\"a b\" \"c d\"", "a b", "c d");
    assert_secret("\"a\"\"b\" \"\"\"\"", "a\"b", "\"");
    assert_secret("\xef\xbb\xbf\"a\" \"b\"", "a", "b");
    assert_secret("\"a\"\"b\" \"x\"\n\"a\" \"y\"", "a", "y");
    assert_secret("\"a\" \"SCRAM-SHA-256$4096:c2FsdA==$x:y\"", "a",
                  "SCRAM-SHA-256$4096:c2FsdA==$x:y");
}

static void an_unknown_user_has_no_secret(void **state)
{
    struct conf_report report;
    struct userlist *list = parse("\"a\" \"b\"\n", &report);
    assert_null(userlist_find(list, "A"));
    assert_null(userlist_find(list, ""));
    assert_int_equal(userlist_count(list), 1);
    userlist_unref(list);
    list = parse("", &report);
    assert_int_equal(userlist_count(list), 0);
    userlist_unref(list);
    conf_report_done(&report);
}

static void a_broken_line_fails_the_load(void **state)
{
    static const char syntax[] = "u.txt:2: expected \"user\" \"secret\", both in double quotes";
    static const char *const bad[] = {
        "a b",           "\"a\"",         "\"a\" b",       "\"a\" \"b",
        "\"a \"b\"",     "\"a\" \"b\"\"", "a \"b\" \"c\"", "\"a\"\"b\"",
        "\"a\", \"b\"",  "'a' 'b'",       "\"a\" \"b\n\"", "\"",
        "\"a\" x \"b\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = mem_printf("\"ok\" \"ok\"\n%s\n", bad[i]);
        assert_refused(text, syntax);
        mem_free(text);
    }
    assert_refused("\"\" \"b\"", "u.txt:1: the user name is empty");
}

static void every_broken_line_is_named(void **state)
{
    struct conf_report report;
    assert_null(parse("x\n\"a\" \"b\"\ny\n", &report));
    assert_int_equal(report.n_errors, 2);
    assert_note(&report, 1, true, "u.txt:3: expected \"user\" \"secret\", both in double quotes");
    conf_report_done(&report);
}

static void names_and_secrets_have_limits(void **state)
{
    char name[65], *secret = mem_new(USERLIST_SECRET_MAX + 2);
    memset(name, 'n', 63);
    name[63] = '\0';
    memset(secret, 's', USERLIST_SECRET_MAX);
    char *text = mem_printf("\"%s\" \"%s\"", name, secret);
    assert_secret(text, name, secret);
    mem_free(text);
    secret[USERLIST_SECRET_MAX] = 's';
    text = mem_printf("\"%s\" \"%s\"", name, secret);
    assert_refused(text, "u.txt:1: the secret is longer than 65530 bytes");
    mem_free(text);
    strcat(name, "n");
    text = mem_printf("\"%s\" \"x\"", name);
    assert_refused(text, "u.txt:1: the user name is longer than 63 bytes");
    mem_free(text);
    mem_free(secret);
}

static void a_nul_byte_is_refused(void **state)
{
    static const char text[] = "\"a\" \"b\"\n\"c\" \"d\0\"\n";
    struct conf_report report;
    conf_report_init(&report);
    assert_null(userlist_parse("u.txt", text, sizeof text - 1, &report));
    assert_note(&report, 0, true, "u.txt:2: a NUL byte is not allowed");
    conf_report_done(&report);
}

static void the_last_line_for_a_user_wins(void **state)
{
    struct conf_report report;
    struct userlist *list = parse("\"a\" \"1\"\n\"b\" \"2\"\n\"a\" \"3\"\n", &report);
    assert_string_equal(userlist_find(list, "a"), "3");
    assert_int_equal(userlist_count(list), 2);
    assert_note(&report, 0, false, "u.txt:3: user \"a\" is listed again, this line counts");
    assert_int_equal(report.n_errors, 0);
    userlist_unref(list);
    conf_report_done(&report);
}

static void a_file_that_everybody_can_read_is_warned_of(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    char *path = write_file("users", "\"a\" \"b\"\n", 8);
    userlist_unref(userlist_load(path, &report));
    assert_clean(&report);
    chmod(path, 0644);
    userlist_unref(userlist_load(path, &report));
    assert_int_equal(report.n_warnings, 1);
    assert_non_null(strstr(report.notes[0].text, "everybody on this machine can read the secrets"));
    mem_free(path);
    path = write_file("users", "\"a\" \"\"\n", 7);
    chmod(path, 0644);
    userlist_unref(userlist_load(path, &report));
    assert_int_equal(report.n_warnings, 1);
    mem_free(path);
    conf_report_done(&report);
}

static void a_missing_file_is_named(void **state)
{
    struct conf_report report;
    conf_report_init(&report);
    assert_null(userlist_load("/nonexistent/users", &report));
    assert_note(&report, 0, true,
                "/nonexistent/users: could not read auth_file: No such file or directory");
    conf_report_done(&report);
}

static void many_users_load_fast(void **state)
{
    enum { MANY = 100000 };
    struct buf text = BUF_NONE;
    for (int i = 0; i < MANY; i++)
        buf_printf(&text, "\"user%d\" \"SCRAM-SHA-256$4096:c2FsdA==$%040d:%040d\"\n", i, i, i);
    struct conf_report report;
    conf_report_init(&report);
    clock_t start = clock();
    struct userlist *list = userlist_parse("u.txt", text.data, text.len, &report);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(userlist_count(list), MANY);
    assert_non_null(userlist_find(list, "user99999"));
    if (seconds > 2) /* a tenth of that, without sanitizers */
        fail_msg("took %.2f s", seconds);
    userlist_unref(list);
    buf_done(&text);
    conf_report_done(&report);
}

static void names_come_one_after_the_other(void **state)
{
    struct conf_report report;
    struct userlist *list = parse("\"b\" \"1\"\n\"a\" \"2\"\n\"c\" \"3\"\n", &report);
    const char *name = userlist_next(list, NULL);
    assert_string_equal(name, "b");
    name = userlist_next(list, name);
    assert_string_equal(name, "a");
    name = userlist_next(list, name);
    assert_string_equal(name, "c");
    assert_null(userlist_next(list, name));
    userlist_unref(list);
    list = userlist_new();
    assert_null(userlist_next(list, NULL));
    userlist_unref(list);
    conf_report_done(&report);
}

static void a_list_lives_until_its_last_reference(void **state)
{
    struct conf_report report;
    struct userlist *list = parse("\"a\" \"b\"\n", &report);
    struct userlist *other = userlist_ref(list);
    userlist_unref(list);
    assert_string_equal(userlist_find(other, "a"), "b");
    userlist_unref(other);
    userlist_unref(NULL);
    conf_report_done(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_user_and_a_secret),
        cmocka_unit_test(an_unknown_user_has_no_secret),
        cmocka_unit_test(a_broken_line_fails_the_load),
        cmocka_unit_test(every_broken_line_is_named),
        cmocka_unit_test(names_and_secrets_have_limits),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(the_last_line_for_a_user_wins),
        cmocka_unit_test(a_file_that_everybody_can_read_is_warned_of),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(many_users_load_fast),
        cmocka_unit_test(names_come_one_after_the_other),
        cmocka_unit_test(a_list_lives_until_its_last_reference),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_test_dir, remove_test_dir);
}
