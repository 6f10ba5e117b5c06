/* Texts that would take all of the stack or the memory, on a thread that has little of the first. */
#include "sql/facts.h"
#include "sql/glance.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX_LEN = 64 << 20, STACK = 2 << 20 };

struct text {
    char *at;
    size_t len, room;
};

static void add(struct text *text, const char *piece)
{
    size_t len = strlen(piece);
    if (text->len + len > text->room) {
        text->room = (text->len + len) * 2;
        text->at = realloc(text->at, text->room);
    }
    if (len > 0)
        memcpy(text->at + text->len, piece, len);
    text->len += len;
}

static void add_times(struct text *text, const char *piece, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(text, piece);
}

struct parse {
    const struct text *text;
    struct sql_facts *facts;
};

static void *parse(void *arg)
{
    struct parse *job = arg;
    job->facts = sql_facts_of(job->text->at, job->text->len, MAX_LEN, true);
    sql_is_plain(job->text->at, job->text->len, true);
    sql_thread_done();
    return NULL;
}

static struct sql_facts *parse_in_thread(const struct text *text)
{
    struct parse job = {text, NULL};
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    assert_int_equal(pthread_create(&thread, &attr, parse, &job), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    return job.facts;
}

/* head, piece times n, middle, other times n, tail */
struct shape {
    const char *head, *piece, *middle, *other, *tail;
};

static struct sql_facts *facts_of(const struct shape *shape, size_t n)
{
    struct text text = {NULL, 0, 0};
    add(&text, shape->head);
    add_times(&text, shape->piece, n);
    add(&text, shape->middle);
    add_times(&text, shape->other, n);
    add(&text, shape->tail);
    struct sql_facts *facts = parse_in_thread(&text);
    free(text.at);
    return facts;
}

static const struct shape deep[] = {
    {"SELECT ", "(", "1", ")", ""},
    {"SELECT ", "- ", "1", "", ""},
    {"SELECT ", "NOT ", "true", "", ""},
    {"", "(", "SELECT 1", ")", ""},
    {"SELECT 1", " UNION SELECT 1", "", "", ""},
    {"", "SELECT * FROM (", "SELECT 1", ") x", ""},
    {"SELECT 1", "+1", "", "", ""},
    {"SELECT 1", "::int", "", "", ""},
    {"SELECT ", "f(", "1", ")", ""},
    {"SELECT ", "CASE WHEN ", "true", " THEN 1 END", ""},
    {"SELECT ", "ARRAY[", "1", "]", ""},
    {"SELECT * FROM a", " JOIN b ON true", "", "", ""},
    {"", "WITH x AS (", "SELECT 1", ") SELECT 1", ""},
    {"", "EXPLAIN ", "SELECT 1", "", ""},
    {"CREATE TABLE t (a int DEFAULT ", "(", "1", ")", ")"},
    {"SELECT 1 LIMIT 1", "+1", "", "", ""},
};

static void what_is_too_deep_is_not_parsed(void **state)
{
    static const size_t depths[] = {10000, 100000};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        for (size_t k = 0; k < 2; k++) {
            struct sql_facts *facts = facts_of(&deep[i], depths[k]);
            if (facts->effects != SQL_UNPARSED || facts->n_statements != 1)
                fail_msg("%s%s... is parsed", deep[i].head, deep[i].piece);
            sql_facts_free(facts);
        }
    }
}

static void what_is_deep_as_people_write_it_is_parsed(void **state)
{
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        if (strcmp(deep[i].piece, "EXPLAIN ") == 0)
            continue;
        struct sql_facts *facts = facts_of(&deep[i], 200);
        if ((facts->effects & SQL_UNPARSED) != 0)
            fail_msg("%s%s... is not parsed", deep[i].head, deep[i].piece);
        sql_facts_free(facts);
    }
}

/* Where the grammar itself looks into an expression: at the place of an error, and to compare arguments. */
static void the_grammar_does_not_recurse_without_end(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT 1 LIMIT 1", "+1", " LIMIT 1", "", ""},
        {"SELECT 1 OFFSET 1", "+1", " OFFSET 1", "", ""},
        {"SELECT 1 ORDER BY 1", "+1", " FETCH FIRST 1 ROW WITH TIES", "", ""},
        {"(SELECT 1 LIMIT 1", "+1", ") LIMIT 1", "+1", ""},
        {"SELECT a[1", "+1", "] := 1", "", ""},
        {"DROP AGGREGATE a(VARIADIC x numeric(1", "+1", ") ORDER BY VARIADIC x numeric(1", "+1",
         "))"},
        {"SELECT f(VARIADIC a", "+1", ", 1)", "", ""},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct sql_facts *facts = facts_of(&shapes[i], 150000);
        assert_int_equal(facts->effects, SQL_UNPARSED);
        sql_facts_free(facts);
    }
}

static void long_flat_texts_are_parsed(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT * FROM t WHERE x IN (1", ", 4711", ")", "", ""},
        {"INSERT INTO t VALUES (1, 'x')", ", (1, 'x')", "", "", ""},
        {"SELECT * FROM t WHERE a", " AND b = 1", "", "", ""},
        {"SELECT * FROM t WHERE a", " OR b = 1", "", "", ""},
        {"SELECT 1", ", lower('x')", "", "", ""},
        {"SELECT 1", ";SELECT 1", "", "", ""},
        {"SELECT 1 FROM t", ", t", "", "", ""},
        {"WITH a AS (SELECT 1)", ", a AS (SELECT 1)", " SELECT 1", "", ""},
        {"SELECT x", ".a[1]", "", "", ""},
        {"SELECT 1 --", " -- ", "\n", "\n", ""},
        {"SELECT '", "x''", "'", "", ""},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct sql_facts *facts = facts_of(&shapes[i], 100000);
        if ((facts->effects & SQL_UNPARSED) != 0)
            fail_msg("%s%s... is not parsed", shapes[i].head, shapes[i].piece);
        sql_facts_free(facts);
    }
}

static void a_text_that_needs_too_much_is_not_parsed(void **state)
{
    static const struct shape shapes[] = {
        {"SELECT 1", ",1", "", "", ""}, /* memory */
        {"WITH b AS (SELECT 1)", ",b AS (TABLE c)", " SELECT 1", "",
         ""}, /* time: names with names */
    };
    static const size_t n[] = {10000000, 30000};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct sql_facts *facts = facts_of(&shapes[i], n[i]);
        assert_int_equal(facts->effects, SQL_UNPARSED);
        sql_facts_free(facts);
    }
}

static void a_long_string_costs_little_more_than_its_bytes(void **state)
{
    static const struct shape shape = {"INSERT INTO t VALUES ('", "0123456789abcdef", "')", "", ""};
    struct sql_facts *facts = facts_of(&shape, 1 << 20);
    assert_int_equal(facts->effects, 0);
    assert_true(facts->bytes < 1000);
    sql_facts_free(facts);
}

/* PostgreSQL's scanner would take seconds. */
static void long_rows_of_operators_are_not_parsed(void **state)
{
    static const struct shape shapes[] = {
        {"", "/*", "", "", ""},
        {"SELECT 1 ", "+-", "1", "", ""},
        {"SELECT /*", "/*", "", "*/", ""},
        {"SELECT 1 ", "*/", "", "", ""},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct sql_facts *facts = facts_of(&shapes[i], 30000);
        assert_int_equal(facts->effects, SQL_UNPARSED);
        sql_facts_free(facts);
    }
    static const struct shape line = {"/*", "-=", "*/ SELECT 1", "", ""};
    struct sql_facts *facts = facts_of(&line, 200);
    assert_int_equal(facts->effects, 0);
    sql_facts_free(facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_deep_is_not_parsed),
        cmocka_unit_test(what_is_deep_as_people_write_it_is_parsed),
        cmocka_unit_test(the_grammar_does_not_recurse_without_end),
        cmocka_unit_test(long_flat_texts_are_parsed),
        cmocka_unit_test(a_text_that_needs_too_much_is_not_parsed),
        cmocka_unit_test(long_rows_of_operators_are_not_parsed),
        cmocka_unit_test(a_long_string_costs_little_more_than_its_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
