/* Many threads parse at once, good texts and bad ones; each has what it would have alone. */
#include "sql/facts.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { THREADS = 8, ROUNDS = 200, MAX_LEN = 1 << 20 };

static const struct {
    const char *text;
    bool conforming;
    uint32_t effects, n_statements;
} rows[] = {
    {"SELECT a, b FROM t JOIN u USING (id) WHERE lower(a) = 'x'", true, 0, 1},
    {"SELECT 'a\\'; DROP TABLE t; --'", true, SQL_DROPS, 2},
    {"SELECT 'a\\'; DROP TABLE t; --'", false, 0, 1},
    {"SELECT set_config('a.b', 'c', false); CREATE TEMP TABLE t (i int)", true, SQL_SETS | SQL_TEMP,
     2},
    {"SELECT 1 +", true, SQL_UNPARSED, 1},
    {"SELECT 'x", true, SQL_UNPARSED, 1},
    {"SELECT E'\\n' || U&'\\0061'", true, 0, 1},
    {"CREATE GLOBAL TEMPORARY TABLE t (i int)", true, SQL_TEMP, 1}, /* of which the grammar warns */
    {"INSERT INTO t (a, b, c) VALUES ($1, $2, now()), ($3, $4, f($5))", true, SQL_CALLS, 1},
};

static void *parse_all(void *arg)
{
    size_t *wrong = arg;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct sql_facts *facts =
                sql_facts_of(rows[i].text, strlen(rows[i].text), MAX_LEN, rows[i].conforming);
            *wrong +=
                facts->effects != rows[i].effects || facts->n_statements != rows[i].n_statements;
            sql_facts_free(facts);
        }
    }
    sql_thread_done();
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, parse_all, &wrong[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_do_not_disturb_each_other)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
