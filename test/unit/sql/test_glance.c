#include "sql/glance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool plain(const char *text, bool calls)
{
    /* No byte behind the end is looked at: on the heap the sanitizer would see it. */
    size_t len = strlen(text);
    char *copy = malloc(len);
    memcpy(copy, text, len);
    bool is = sql_is_plain(copy, len, calls);
    free(copy);
    return is;
}

static void what_applications_do_is_plain(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        ";",
        "-- nothing\n",
        "SELECT 1",
        "select 1;",
        " SELECT 1 ; ; -- end\n /* of it */ ;",
        "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
        "UPDATE pgbench_accounts SET abalance = abalance + -12 WHERE aid = $1",
        "INSERT INTO pgbench_history (tid, bid, delta, mtime) VALUES (1, 2, 4, CURRENT_TIMESTAMP)",
        "DELETE FROM \"Users\" WHERE \"Users\".\"id\" = $1 RETURNING *",
        "SELECT 'set_config', 'a;b', 'it''s -- /* \"', E'x' FROM t",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "BEGIN",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;",
        "START TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ROLLBACK TO SAVEPOINT a",
        "SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "ABORT",
        "SHOW transaction_isolation",
        "FETCH FORWARD 100 FROM \"c\"",
        "COPY t (a, b) FROM STDIN",
        "/* shop: node=primary */ SELECT 1",
        "SELECT 1 /*traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'*/",
        "-- name: find\nSELECT a.x::text, b.y[1:2] FROM a, b WHERE a.x <> b.y",
        "SELECT temperature FROM tempo WHERE set_configuration = 1",
        "SELECT a$b$ FROM t",
        "SELECT f(1), nextval('s')",
        "VALUES (1)",
        "TABLE t",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!plain(texts[i], false))
            fail_msg("not plain: %s", texts[i]);
}

static void what_may_change_the_session_is_not_plain(void **state)
{
    static const char *const texts[] = {
        "SET a.b = 1",
        "RESET ALL",
        "DISCARD ALL",
        "SELECT set_config('a', 'b', false)",
        "SELECT SET_CONFIG('a', 'b', false)",
        "SELECT \"set_config\"('a', 'b', false)",
        "SELECT pg_catalog.set_config('a', 'b', false)",
        "SELECT pg_catalog . /* x */ set_config /* y */ ('a', 'b', false)",
        "SELECT U&\"set\\005fconfig\"('a', 'b', false)",
        "SELECT U&\"set!005fconfig\" UESCAPE '!' ('a', 'b', false)",
        "SELECT 'a', set_config('a', 'b', false), 'c'",
        "SELECT E'a\\'', set_config('a', 'b', false), '",
        "SELECT $$'$$, set_config('a', 'b', false), $$'$$",
        "SELECT $a$'$a$, set_config('a', 'b', false), $a$'$a$",
        "SELECT 1$$'$$, set_config('a', 'b', false), $$'$$",
        "SELECT /* /* */ ' */ set_config('a', 'b', false) -- '",
        "SELECT \"a'b\", set_config('a', 'b', false), \"'\"",
        "SELECT -- '\n set_config('a', 'b', false) -- '",
        "SELECT 1; SET a.b = 1",
        "SELECT 1; SELECT 2",
        ";;SELECT 1;SELECT 2",
        "SELECT 1 INTO TEMP t",
        "SELECT 1 INTO pg_temp.t",
        "SELECT 1 INTO \"pg_temp\".t",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock(1)",
        "SELECT pg_advisory_unlock_all()",
        "SELECT setseed(1)",
        "UPDATE pg_settings SET setting = 1",
        "WITH a AS (SELECT setseed(1)) SELECT 1",
        "COPY (SELECT setseed(1)) TO STDOUT",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "EXPLAIN ANALYZE EXECUTE p",
        "DEALLOCATE p",
        "LISTEN c",
        "CREATE TABLE t (i int)",
        "DROP TABLE t",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "CLOSE c",
        "LOAD 'x'",
        "DO 'x'",
        "CALL p()",
        "SELECT 'x",
        "SELECT \"x",
        "SELECT /* x",
        "SELECT $$x",
        "'x' SELECT",
        "\"SELECT\" 1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (plain(texts[i], false))
            fail_msg("plain: %s", texts[i]);
}

static void calls_of_known_functions_only_are_plain(void **state)
{
    static const char *const yes[] = {
        "SELECT count(*), lower(name), COUNT (x), pg_catalog.lower('x') FROM t",
        "SELECT x FROM t WHERE x IN (1, 2) AND (y = 1 OR (z > 2)) AND EXISTS (SELECT 1)",
        "INSERT INTO t (a, b) VALUES (1, 2), (3, 4)",
        "INSERT INTO s.t (a) SELECT coalesce(x, 1) FROM u",
        "INSERT INTO \"s\".\"T\" (\"a\") VALUES ($1)",
        "WITH c (a, b) AS (SELECT 1, 2) SELECT * FROM c AS d (e, f)",
        "SELECT sum(x) OVER (ORDER BY (z)), sum(x) FILTER (WHERE y) FROM t GROUP BY (q)",
        "SELECT x::numeric(10, 2), cast(y AS varchar(3)), a::mytype(3) FROM t",
        "SELECT * FROM a JOIN b USING (id) LEFT JOIN c ON (a.x = c.x)",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a, \"b\") DO NOTHING",
        "WITH RECURSIVE n (i) AS (VALUES (1)) SELECT pg_advisory_xact_lock(i) FROM n",
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv)",
        "SELECT extract(epoch FROM now()), (now() - interval '1 day')::date",
    };
    static const char *const no[] = {
        "SELECT f(1)",
        "SELECT \"Count\"(1)",
        "SELECT s.count(*)",
        "SELECT pg_temp.lower('x')",
        "SELECT s . /* x */ lower /* y */ ('x')",
        "SELECT * FROM f(1)",
        "SELECT nextval('s')",
        "SELECT query_to_xml('select f()', true, true, '')",
        "SELECT by(1)",
        "SELECT over(1)",
        "SELECT filter(1)",
        "SELECT DISTINCT ON (a) over(1) FROM t",
        "SELECT 1 OPERATOR(s.+) 2",
        "SELECT * FROM t TABLESAMPLE system_rows (1)",
        "SELECT treat(1 AS x)",
        "INSERT INTO t SELECT 1 FROM a JOIN b ON conflict(x)",
        "SELECT recursive(1), copy(1)",
        "SELECT copy OPERATOR(s.+) 1",
        "SELECT recursive OPERATOR(s.+) 1",
        "SELECT a[1:f(2)] FROM t",
        "SELECT s.in(1)",
        "SELECT \"in\"(1)",
        "SELECT join(1)",
        "INSERT INTO t VALUES (f(1))",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!plain(yes[i], true))
            fail_msg("not plain: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (plain(no[i], true))
            fail_msg("plain: %s", no[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_applications_do_is_plain),
        cmocka_unit_test(what_may_change_the_session_is_not_plain),
        cmocka_unit_test(calls_of_known_functions_only_are_plain),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
