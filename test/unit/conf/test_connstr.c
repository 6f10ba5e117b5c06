#include "conf/connstr.h"

#include "conf_test.h"

#include "base/err.h"

/* As "key<value>key<value>", and "!" behind the last when the text is wrong there. */
static void assert_pairs(const char *text, const char *expected)
{
    char got[512] = "";
    struct connstr connstr;
    struct err err = ERR_NONE;
    enum connstr_step step;
    connstr_init(&connstr, text);
    while ((step = connstr_next(&connstr, &err)) == CONNSTR_PAIR)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s<%s>", connstr.key, connstr.value);
    if (step == CONNSTR_BAD) {
        strcat(got, "!");
        assert_string_equal(err.sqlstate, SQLSTATE_SYNTAX_ERROR);
    }
    assert_string_equal(got, expected);
    connstr_done(&connstr);
}

static void pairs_are_separated_by_blanks(void **state)
{
    assert_pairs("", "");
    assert_pairs("  \t ", "");
    assert_pairs("host=a", "host<a>");
    assert_pairs("host=a port=5 dbname=x", "host<a>port<5>dbname<x>");
    assert_pairs("  host=a\t port=5  ", "host<a>port<5>");
    assert_pairs("host = a port= 5 dbname =x", "host<a>port<5>dbname<x>");
    assert_pairs("password=a=b host=c", "password<a=b>host<c>");
    assert_pairs("password=a'b", "password<a'b>");
}

static void quotes_hold_blanks_and_quotes(void **state)
{
    assert_pairs("a='x y' b='it''s'", "a<x y>b<it's>");
    assert_pairs("a='' b=''''", "a<>b<'>");
    assert_pairs("a= 'x' b='''x'''", "a<x>b<'x'>");
    assert_pairs("a='k=v'", "a<k=v>");
}

static void what_is_no_pair_is_refused(void **state)
{
    assert_pairs("host", "!");
    assert_pairs("host=a port", "host<a>!");
    assert_pairs("=a", "!");
    assert_pairs("a b=c", "!");
    assert_pairs("'a'=b", "!");
    assert_pairs("a=", "!");
    assert_pairs("a= ", "!");
    assert_pairs("a='x", "!");
    assert_pairs("a='x''", "!");
    assert_pairs("a='x'y", "!");
    assert_pairs("a='x'b=c", "!");
    assert_pairs("a-b=c", "!");
}

static void an_empty_value_does_not_swallow_the_next_pair(void **state)
{
    assert_pairs("host= port=1", "!");
    assert_pairs("host=' port=1'", "host< port=1>");
}

static void an_error_does_not_tell_the_value(void **state)
{
    struct connstr connstr;
    struct err err = ERR_NONE;
    connstr_init(&connstr, "password='secret");
    assert_int_equal(connstr_next(&connstr, &err), CONNSTR_BAD);
    assert_null(strstr(err.message, "secret"));
    assert_non_null(strstr(err.message, "password"));
    connstr_done(&connstr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_separated_by_blanks),
        cmocka_unit_test(quotes_hold_blanks_and_quotes),
        cmocka_unit_test(what_is_no_pair_is_refused),
        cmocka_unit_test(an_empty_value_does_not_swallow_the_next_pair),
        cmocka_unit_test(an_error_does_not_tell_the_value),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
