/* What a server has prepared, and which texts are one statement. */
#include "pool/statements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct statement_table *table;

static int begin(void **state)
{
    table = statement_table_new();
    return 0;
}

static int end(void **state)
{
    statement_table_free(table);
    return 0;
}

static struct statement *intern(const char *text, uint64_t environment)
{
    return statement_intern(table, text, strlen(text) + 1, environment);
}

static enum statement_presence look(struct statement_set *set, const struct statement *statement,
                                    uint32_t batch)
{
    return statement_set_find(set, statement, batch, 0);
}

static void change(struct statement_set *set, struct statement *statement, uint32_t batch)
{
    statement_set_change(set, table, statement, batch, 0);
}

static void the_body_tells_whether_sql_has_made_it(void **state)
{
    struct statement *by_sql = intern(" as select 1", 7);
    struct statement *by_parse = statement_intern(table, "select 1\0\0", 11, 7);
    assert_true(statement_is_by_sql(by_sql));
    assert_false(statement_is_by_sql(by_parse));
    statement_unref(table, by_sql);
    statement_unref(table, by_parse);
}

static void one_text_is_one_statement_in_one_environment(void **state)
{
    struct statement *a = intern("select 1", 7), *b = intern("select 1", 7);
    struct statement *other = intern("select 2", 7), *elsewhere = intern("select 1", 8);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, other);
    assert_ptr_not_equal(a, elsewhere);
    assert_string_not_equal(a->name, elsewhere->name);
    assert_int_equal(strlen(a->name), a->name_len);
    statement_unref(table, a);
    statement_unref(table, b);
    statement_unref(table, other);
    statement_unref(table, elsewhere);
}

static void what_is_of_an_earlier_epoch_is_stale(void **state)
{
    struct statement_set set;
    struct statement *a = intern("select 1", 0);
    statement_set_init(&set);
    change(&set, a, 1);
    assert_int_equal(statement_set_find(&set, a, 1, 1), STATEMENT_PRESENT); /* on its way: wait */
    statement_set_settle(&set, table, a, true);
    assert_int_equal(statement_set_find(&set, a, 2, 0), STATEMENT_PRESENT);
    assert_int_equal(statement_set_find(&set, a, 2, 1), STATEMENT_STALE);
    statement_set_change(&set, table, a, 2, 1); /* closed */
    assert_int_equal(statement_set_find(&set, a, 2, 1), STATEMENT_ABSENT);
    statement_set_change(&set, table, a, 2, 1); /* and prepared again */
    statement_set_settle(&set, table, a, true);
    statement_set_settle(&set, table, a, true);
    assert_int_equal(statement_set_find(&set, a, 3, 1), STATEMENT_PRESENT);
    statement_set_done(&set, table);
    statement_unref(table, a);
}

static void a_change_is_certain_to_its_own_batch_until_its_reply(void **state)
{
    struct statement_set set;
    struct statement *a = intern("select 1", 0);
    statement_set_init(&set);
    assert_int_equal(look(&set, a, 1), STATEMENT_ABSENT);
    change(&set, a, 1);
    assert_int_equal(look(&set, a, 1), STATEMENT_PRESENT);
    assert_int_equal(look(&set, a, 2), STATEMENT_UNCERTAIN);
    statement_set_settle(&set, table, a, true);
    assert_int_equal(look(&set, a, 2), STATEMENT_PRESENT);
    change(&set, a, 2);
    assert_int_equal(look(&set, a, 2), STATEMENT_ABSENT);
    statement_set_settle(&set, table, a, false);
    assert_int_equal(look(&set, a, 3), STATEMENT_PRESENT);
    statement_set_done(&set, table);
    statement_unref(table, a);
}

static void what_stands_behind_a_clear_survives_it(void **state)
{
    struct statement_set set;
    struct statement *old = intern("select 1", 0), *coming = intern("select 2", 0);
    statement_set_init(&set);
    change(&set, old, 1);
    statement_set_settle(&set, table, old, true);
    change(&set, coming, 2); /* in one packet behind DISCARD ALL */
    statement_set_clear(&set, table);
    assert_int_equal(look(&set, old, 3), STATEMENT_ABSENT);
    assert_int_equal(look(&set, coming, 3), STATEMENT_UNCERTAIN);
    assert_int_equal(set.count, 1);
    statement_set_settle(&set, table, coming, true);
    assert_int_equal(look(&set, coming, 3), STATEMENT_PRESENT);
    statement_set_clear(&set, table);
    assert_int_equal(set.count, 0);
    statement_set_done(&set, table);
    statement_unref(table, old);
    statement_unref(table, coming);
}

static void the_oldest_is_the_least_recently_used_that_is_certain(void **state)
{
    struct statement_set set;
    struct statement *s[3];
    char text[] = "select 0";
    statement_set_init(&set);
    for (uint32_t i = 0; i < 3; i++) {
        text[7] = (char)('0' + i);
        s[i] = intern(text, 0);
        change(&set, s[i], i);
    }
    assert_null(statement_set_oldest(&set));
    for (uint32_t i = 0; i < 3; i++)
        statement_set_settle(&set, table, s[i], true);
    assert_ptr_equal(statement_set_oldest(&set), s[0]);
    look(&set, s[0], 9);
    assert_ptr_equal(statement_set_oldest(&set), s[1]);
    change(&set, s[1], 9); /* Close is on its way */
    assert_ptr_equal(statement_set_oldest(&set), s[2]);
    statement_set_done(&set, table);
    for (uint32_t i = 0; i < 3; i++)
        statement_unref(table, s[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_body_tells_whether_sql_has_made_it, begin, end),
        cmocka_unit_test_setup_teardown(one_text_is_one_statement_in_one_environment, begin, end),
        cmocka_unit_test_setup_teardown(what_is_of_an_earlier_epoch_is_stale, begin, end),
        cmocka_unit_test_setup_teardown(a_change_is_certain_to_its_own_batch_until_its_reply, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_stands_behind_a_clear_survives_it, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_is_the_least_recently_used_that_is_certain,
                                        begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
