#include "sql/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX_LEN = 1 << 20 };

static struct sql_facts *facts_of(const char *text)
{
    return sql_facts_of(text, strlen(text), MAX_LEN, true);
}

/* Facts in words, so that a failure says what is wrong. */

static const char *const classes[] = {"read",    "write", "ddl",     "transaction",
                                      "session", "copy",  "utility", "unknown"};
static const char *const effects[] = {
    "sets",     "sets_unknown", "sets_role", "resets_all", "discards_all", "temp",      "drops",
    "locks",    "unlocks",      "holds",     "closes",     "listens",      "unlistens", "prepares",
    "executes", "deallocates",  "loads",     "seeds",      "calls",        "sequences", "unparsed",
};

static void add(char *out, size_t size, const char *word)
{
    size_t len = strlen(out);
    snprintf(out + len, size - len, "%s%s", len == 0 ? "" : " ", word);
}

static void add_effects(char *out, size_t size, uint32_t bits)
{
    for (size_t i = 0; i < sizeof effects / sizeof *effects; i++)
        if ((bits & 1u << i) != 0)
            add(out, size, effects[i]);
}

static void add_names(char *out, size_t size, char mark, const struct sql_name *names, uint32_t n)
{
    char word[200];
    for (uint32_t i = 0; i < n; i++) {
        snprintf(word, sizeof word, "%c%s%s%s", mark,
                 names[i].schema == NULL ? "" : names[i].schema, names[i].schema == NULL ? "" : ".",
                 names[i].name);
        add(out, size, word);
    }
}

static void add_settings(char *out, size_t size, const struct sql_statement *statement)
{
    char word[200];
    for (uint32_t i = 0; i < statement->n_settings; i++) {
        const struct sql_setting *setting = &statement->settings[i];
        if (setting->name == NULL)
            snprintf(word, sizeof word, "=$%u", setting->name_param);
        else
            snprintf(word, sizeof word, "=%s%s", setting->name, setting->reset ? "-" : "");
        add(out, size, word);
    }
}

/* class effects =settings @tables !functions */
static const char *describe(const struct sql_statement *statement)
{
    static char out[2000];
    out[0] = '\0';
    add(out, sizeof out, classes[statement->class]);
    add_effects(out, sizeof out, statement->effects);
    add_settings(out, sizeof out, statement);
    add_names(out, sizeof out, '@', statement->tables, statement->n_tables);
    add_names(out, sizeof out, '!', statement->functions, statement->n_functions);
    return out;
}

struct row {
    const char *text, *expected;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sql_facts *facts = facts_of(rows[i].text);
        const char *described =
            facts->n_statements == 1 ? describe(&facts->statements[0]) : "not one";
        if (strcmp(described, rows[i].expected) != 0)
            fail_msg("%s\n  is       %s\n  expected %s", rows[i].text, described, rows[i].expected);
        assert_int_equal(facts->effects, facts->statements[0].effects);
        assert_int_equal(facts->statements[0].text.len, strlen(rows[i].text));
        sql_facts_free(facts);
    }
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof *(rows))

static void queries_are_read_or_write(void **state)
{
    static const struct row rows[] = {
        {"SELECT 1", "read"},
        {"SELECT abalance FROM pgbench_accounts WHERE aid = $1", "read @pgbench_accounts"},
        {"TABLE s.t", "read @s.t"},
        {"VALUES (1), (2)", "read"},
        {"SELECT count(*) FROM a JOIN b USING (id) WHERE lower(a.x) = 'y'",
         "read @a @b !count !lower"},
        {"SELECT * FROM a, (SELECT * FROM b WHERE EXISTS (SELECT FROM c)) q", "read @a @b @c"},
        {"SELECT * FROM a UNION ALL SELECT * FROM b", "read @a @b"},
        {"SELECT * FROM a FOR UPDATE OF a", "write @a"},
        {"SELECT * FROM a WHERE x IN (SELECT y FROM b FOR SHARE)", "write @a @b"},
        {"INSERT INTO t (a, b) VALUES ($1, $2) RETURNING id", "write @t"},
        {"INSERT INTO t SELECT * FROM u ON CONFLICT (id) DO UPDATE SET x = excluded.x",
         "write @t @u"},
        {"UPDATE t SET x = 1 FROM u WHERE t.id = u.id", "write @t @u"},
        {"DELETE FROM t USING u WHERE t.id = u.id", "write @t @u"},
        {"MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND f(u.x) THEN UPDATE SET x = abs(u.x) "
         "WHEN NOT MATCHED THEN INSERT VALUES (lower('A'))",
         "write calls @t @u !abs !f !lower"},
        {"SELECT * INTO t FROM u", "ddl @t @u"},
        {"SELECT * INTO t FROM u UNION SELECT * FROM v", "ddl @t @u @v"},
        {"CREATE TABLE t AS SELECT * FROM u", "ddl @t @u"},
        {"SHOW timezone", "read"},
        {"EXPLAIN SELECT * FROM t", "read @t"},
        {"EXPLAIN (ANALYZE) DELETE FROM t", "write @t"},
        {"COPY t FROM STDIN", "copy @t"},
        {"COPY (SELECT f(x) FROM t) TO STDOUT", "copy calls @t !f"},
        {"COPY (DELETE FROM t RETURNING *) TO STDOUT", "copy @t"},
    };
    CHECK(rows);
}

static void with_hides_tables_where_it_is_seen(void **state)
{
    static const struct row rows[] = {
        {"WITH a AS (SELECT * FROM b) SELECT * FROM a", "read @b"},
        {"WITH a AS (SELECT * FROM a) SELECT * FROM a", "read @a"},
        {"WITH RECURSIVE a AS (SELECT * FROM a) SELECT * FROM a", "read"},
        {"WITH a AS (SELECT 1) SELECT * FROM s.a", "read @s.a"},
        {"WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a, b", "read @b"},
        {"SELECT * FROM a, (WITH a AS (SELECT 1) SELECT * FROM a) q", "read @a"},
        {"SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) q", "read"},
        {"WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM (SELECT * FROM a) x) y", "read"},
        {"WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t", "write @t"},
        {"WITH t AS (SELECT 1) UPDATE t SET x = 1", "write @t"},
        {"WITH t AS (SELECT 1) DELETE FROM t", "write @t"},
        {"WITH t AS (SELECT 1) MERGE INTO t USING t u ON true WHEN MATCHED THEN DELETE",
         "write @t"},
        {"WITH a AS (UPDATE t SET x = 1 RETURNING *) SELECT * FROM a", "write @t"},
    };
    CHECK(rows);
}

static void settings_have_their_names(void **state)
{
    static const struct row rows[] = {
        {"SET search_path = a, b", "session sets =search_path"},
        {"SET \"TimeZone\" TO 'UTC'", "session sets =timezone"},
        {"SET SESSION work_mem = '1MB'", "session sets =work_mem"},
        {"SET LOCAL work_mem = '1MB'", "session"},
        {"SET LOCAL ROLE x", "session"},
        {"SET my.tenant = 7", "session sets =my.tenant"},
        {"SET work_mem TO DEFAULT", "session sets =work_mem-"},
        {"SET sort_mem = 1000", "session sets =work_mem"},
        {"SET TIME ZONE 'UTC'", "session sets =timezone"},
        {"SET TIME ZONE LOCAL", "session sets =timezone-"},
        {"SET NAMES 'utf8'", "session sets =client_encoding"},
        {"SET SCHEMA 'x'", "session sets =search_path"},
        {"SET XML OPTION DOCUMENT", "session sets =xmloption"},
        {"SET search_path = pg_temp, public", "session sets temp =search_path"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, "
         "DEFERRABLE",
         "session sets =default_transaction_isolation =default_transaction_read_only "
         "=default_transaction_deferrable"},
        {"SET TRANSACTION READ ONLY", "session"},
        {"SET transaction_read_only = on", "session"},
        {"SET seed = 0.5", "session seeds"},
        {"RESET work_mem", "session sets =work_mem-"},
        {"RESET TIME ZONE", "session sets =timezone-"},
        {"RESET ALL", "session resets_all"},
        {"SET ROLE x", "session sets sets_role =role"},
        {"SET ROLE NONE", "session sets sets_role =role"},
        {"RESET ROLE", "session sets sets_role =role-"},
        {"SET SESSION AUTHORIZATION x", "session sets sets_role =session_authorization"},
        {"SET SESSION AUTHORIZATION DEFAULT", "session sets sets_role =session_authorization-"},
        {"SELECT set_config('Work_Mem', '1MB', false)", "read sets =work_mem !set_config"},
        {"SELECT pg_catalog.set_config('role', $1, false)",
         "read sets sets_role =role !pg_catalog.set_config"},
        {"SELECT set_config('x.y', '1', true)", "read !set_config"},
        {"SELECT set_config('x.y', '1', 't')", "read !set_config"},
        {"SELECT set_config('x.y', '1', $1)", "read sets =x.y !set_config"},
        {"SELECT set_config($3, '1', false)", "read sets =$3 !set_config"},
        {"SELECT set_config($3::text, '1', false)", "read sets =$3 !set_config"},
        {"SELECT set_config('a' || 'b', '1', false)",
         "read sets sets_unknown sets_role !set_config"},
        {"SELECT set_config(name, setting, false) FROM pg_settings",
         "read sets sets_unknown sets_role @pg_settings !set_config"},
        {"SELECT set_config(setting_name => 'a', new_value => 'b', is_local => true)",
         "read sets sets_unknown sets_role !set_config"},
        {"SELECT set_config('work_mem'::text, NULL, false)", "read sets =work_mem- !set_config"},
        {"SELECT set_config('search_path', 'pg_temp', true)", "read temp !set_config"},
        {"SELECT set_config('transaction_read_only', 'on', false)", "read !set_config"},
        {"SELECT x.set_config('a', 'b', false)", "read calls !x.set_config"},
        {"SELECT 1 FROM t WHERE x = (SELECT set_config('a.b', 'c', false))",
         "read sets =a.b @t !set_config"},
        {"UPDATE t SET x = set_config('a.b', 'c', false)", "write sets =a.b @t !set_config"},
        {"EXPLAIN ANALYZE SELECT set_config('a.b', 'c', false)", "read sets =a.b !set_config"},
        {"COPY (SELECT set_config('a.b', 'c', false)) TO STDOUT", "copy sets =a.b !set_config"},
        {"UPDATE pg_settings SET setting = 'x' WHERE name = 'work_mem'",
         "write sets sets_unknown sets_role @pg_settings"},
        {"ALTER ROLE x SET work_mem = 1", "ddl"},
        {"ALTER DATABASE x SET work_mem = 1", "ddl"},
        {"CREATE FUNCTION f() RETURNS int SET work_mem = 1 LANGUAGE sql AS 'select "
         "set_config(1,2,3)'",
         "ddl"},
        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN set_config('a', 'b', false)", "ddl"},
        {"CREATE VIEW v AS SELECT set_config('a', 'b', false)", "ddl @v"},
    };
    CHECK(rows);
}

static void what_stays_in_the_session_is_an_effect(void **state)
{
    static const struct row rows[] = {
        {"CREATE TEMP TABLE t (a int)", "ddl temp @t"},
        {"CREATE TEMPORARY TABLE t AS SELECT 1", "ddl temp @t"},
        {"CREATE TABLE pg_temp.t (a int)", "ddl temp @pg_temp.t"},
        {"CREATE TABLE pg_temp_3.t (a int)", "ddl temp @pg_temp_3.t"},
        {"SELECT 1 INTO TEMP t", "ddl temp @t"},
        {"SELECT 1 INTO pg_temp.t", "ddl temp @pg_temp.t"},
        {"CREATE TEMP VIEW v AS SELECT 1", "ddl temp @v"},
        {"CREATE TEMP SEQUENCE s", "ddl temp @s"},
        {"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'select 1'", "ddl temp"},
        {"CREATE TYPE pg_temp.t AS (a int)", "ddl temp @pg_temp.t"},
        {"CREATE TYPE pg_temp.t AS ENUM ()", "ddl temp"},
        {"CREATE TYPE pg_temp.t AS RANGE (subtype = int)", "ddl temp"},
        {"CREATE DOMAIN pg_temp.d AS int", "ddl temp"},
        {"CREATE AGGREGATE pg_temp.a (int) (sfunc = f, stype = int)", "ddl temp"},
        {"CREATE OPERATOR pg_temp.+ (function = f, leftarg = int)", "ddl temp"},
        {"CREATE STATISTICS pg_temp.s ON a, b FROM t", "ddl temp"},
        {"CREATE TABLE t (a int)", "ddl @t"},
        {"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", "ddl temp @t"},
        {"DROP TABLE a, s.b", "ddl drops @a @s.b"},
        {"DROP FUNCTION f()", "ddl drops"},
        {"DROP OWNED BY x", "ddl drops"},
        {"ALTER TABLE t SET SCHEMA s", "ddl drops @t"},
        {"DISCARD ALL",
         "session resets_all discards_all drops unlocks closes unlistens deallocates"},
        {"DISCARD TEMP", "session drops"},
        {"DISCARD PLANS", "session"},
        {"DISCARD SEQUENCES", "session"},
        {"SELECT pg_advisory_lock(1)", "read locks !pg_advisory_lock"},
        {"SELECT pg_try_advisory_lock_shared(1, 2)", "read locks !pg_try_advisory_lock_shared"},
        {"SELECT pg_advisory_xact_lock(1)", "read !pg_advisory_xact_lock"},
        {"SELECT pg_advisory_unlock_all()", "read unlocks !pg_advisory_unlock_all"},
        {"SELECT lo_open(1, 2)", "read !lo_open"},
        {"DECLARE c CURSOR WITH HOLD FOR SELECT * FROM t", "session holds @t"},
        {"DECLARE c CURSOR FOR SELECT * FROM t", "session @t"},
        {"CLOSE c", "session closes"},
        {"CLOSE ALL", "session closes"},
        {"FETCH 10 FROM c", "read"},
        {"LISTEN c", "session listens"},
        {"UNLISTEN *", "session unlistens"},
        {"NOTIFY c, 'x'", "utility"},
        {"PREPARE p AS SELECT * FROM t", "session prepares @t"},
        {"PREPARE p AS SELECT set_config('a.b', $1, false)",
         "session sets prepares =a.b !set_config"},
        {"EXECUTE p (f(1))", "session executes calls !f"},
        {"EXPLAIN EXECUTE p", "session executes"},
        {"CREATE TEMP TABLE t AS EXECUTE p", "ddl temp executes @t"},
        {"DEALLOCATE p", "session deallocates"},
        {"LOAD 'x'", "session loads"},
        {"SELECT setseed(0.1)", "read seeds !setseed"},
        {"DO $$ begin end $$", "utility calls"},
        {"CALL p(1)", "utility calls !p"},
        {"CREATE EXTENSION x", "ddl calls"},
        {"SELECT f(1)", "read calls !f"},
        {"SELECT \"Count\"(1)", "read calls !Count"},
        {"SELECT s.count(*)", "read calls !s.count"},
        {"SELECT d.pg_catalog.count(*)", "read !pg_catalog.count"},
        {"SELECT 1 OPERATOR(s.+) 2", "read calls"},
        {"SELECT 1 OPERATOR(pg_catalog.+) 2", "read"},
        {"SELECT * FROM t ORDER BY x USING OPERATOR(s.<)", "read calls @t"},
        {"SELECT 1 OPERATOR(s.=) ANY (SELECT 1)", "read calls"},
        {"SELECT * FROM t TABLESAMPLE bernoulli (10)", "read @t !bernoulli"},
        {"SELECT * FROM t TABLESAMPLE system_rows (10)", "read calls @t !system_rows"},
        {"SELECT query_to_xml('select f()', true, true, '')", "read calls !query_to_xml"},
        {"SELECT nextval('s')", "read sequences !nextval"},
        {"ALTER TABLE t ADD COLUMN a int DEFAULT f()", "ddl calls @t !f"},
        {"ALTER TABLE t ALTER a TYPE int USING f(a)", "ddl calls @t !f"},
        {"ALTER TABLE t ADD CHECK (f(a))", "ddl calls @t !f"},
        {"CREATE INDEX ON t (f(a)) WHERE g(b)", "ddl calls @t !f !g"},
        {"CREATE TABLE p PARTITION OF t FOR VALUES FROM (f(1)) TO (2)", "ddl calls @p @t !f"},
        {"CREATE SCHEMA s CREATE TABLE t (a int)", "ddl @t"},
    };
    CHECK(rows);
}

static void every_statement_of_a_text_has_its_facts(void **state)
{
    const char *text =
        " SELECT 1 ; /* c */ SET a.b = 'x;y' -- d\n;; CREATE TEMP TABLE t (i int) /* e */";
    struct sql_facts *facts = facts_of(text);
    static const char *const texts[] = {"SELECT 1", "SET a.b = 'x;y'",
                                        "CREATE TEMP TABLE t (i int)"};
    assert_int_equal(facts->n_statements, 3);
    assert_int_equal(facts->effects, SQL_SETS | SQL_TEMP);
    for (uint32_t i = 0; i < 3; i++) {
        struct sql_span span = facts->statements[i].text;
        assert_int_equal(span.len, strlen(texts[i]));
        assert_memory_equal(text + span.start, texts[i], span.len);
    }
    sql_facts_free(facts);
    static const char *const empty[] = {"", ";", " ; -- x\n ;", "/* x */"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        facts = facts_of(empty[i]);
        assert_int_equal(facts->n_statements, 0);
        assert_int_equal(facts->effects, 0);
        sql_facts_free(facts);
    }
}

static void transaction_commands_have_their_kind(void **state)
{
    static const struct {
        const char *text;
        enum sql_transaction kind;
        const char *ident;
    } rows[] = {
        {"BEGIN", SQL_BEGIN, NULL},
        {"START TRANSACTION READ ONLY", SQL_BEGIN, NULL},
        {"END", SQL_COMMIT, NULL},
        {"COMMIT AND CHAIN", SQL_COMMIT, NULL},
        {"ABORT", SQL_ROLLBACK, NULL},
        {"ROLLBACK WORK", SQL_ROLLBACK, NULL},
        {"SAVEPOINT \"A b\"", SQL_SAVEPOINT, "A b"},
        {"RELEASE SAVEPOINT A", SQL_RELEASE, "a"},
        {"ROLLBACK TO a", SQL_ROLLBACK_TO, "a"},
        {"PREPARE TRANSACTION 'x'", SQL_PREPARE_TRANSACTION, NULL},
        {"COMMIT PREPARED 'x'", SQL_COMMIT_PREPARED, NULL},
        {"ROLLBACK PREPARED 'x'", SQL_ROLLBACK_PREPARED, NULL},
        {"SELECT 1", SQL_NO_TRANSACTION, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sql_facts *facts = facts_of(rows[i].text);
        assert_int_equal(facts->n_statements, 1);
        assert_int_equal(facts->statements[0].transaction, rows[i].kind);
        if (rows[i].ident == NULL)
            assert_null(facts->statements[0].ident);
        else
            assert_string_equal(facts->statements[0].ident, rows[i].ident);
        sql_facts_free(facts);
    }
}

static void a_prepared_name_is_found_in_the_text(void **state)
{
    static const struct {
        const char *text, *name, *ident;
    } rows[] = {
        {"PREPARE P (int) AS SELECT $1", "P", "p"},
        {"prepare/* p */\"P\"\"q\" -- x\n AS SELECT 1", "\"P\"\"q\"", "P\"q"},
        {"PREPARE U&\"d\\0061t\" AS SELECT 1", "U&\"d\\0061t\"", "dat"},
        {"PREPARE U&\"d!0061t\" UESCAPE '!' AS SELECT 1", "U&\"d!0061t\" UESCAPE '!'", "dat"},
        {"PREPARE execute AS SELECT 1", "execute", "execute"},
        {"EXECUTE p (1, 'execute')", "p", "p"},
        {"EXECUTE execute", "execute", "execute"},
        {"EXPLAIN (ANALYZE, VERBOSE) EXECUTE p(1)", "p", "p"},
        {"EXPLAIN ANALYZE VERBOSE EXECUTE execute", "execute", "execute"},
        {"CREATE TABLE execute (execute) WITH (fillfactor = 10) AS EXECUTE q", "q", "q"},
        {"CREATE TEMP TABLE IF NOT EXISTS \"as\" AS EXECUTE \"as\"", "\"as\"", "as"},
        {"EXPLAIN CREATE TABLE execute AS EXECUTE q (2)", "q", "q"},
        {"DEALLOCATE p", "p", "p"},
        {"DEALLOCATE PREPARE p", "p", "p"},
        {"DEALLOCATE PREPARE", "PREPARE", "prepare"},
        {"DEALLOCATE PREPARE prepare", "prepare", "prepare"},
        {"DEALLOCATE \"ALL\"", "\"ALL\"", "ALL"},
        {"DEALLOCATE ALL", "", NULL},
        {"DEALLOCATE PREPARE ALL", "", NULL},
        {"SELECT 1", "", NULL},
        {"LISTEN \"C\"", "", "C"},
        {"UNLISTEN c", "", "c"},
        {"UNLISTEN *", "", NULL},
        {"CLOSE c", "", "c"},
        {"CLOSE ALL", "", NULL},
        {"DECLARE \"c d\" CURSOR FOR SELECT 1", "", "c d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200];
        snprintf(text, sizeof text, "SELECT 1; -- x\n %s;", rows[i].text);
        struct sql_facts *facts = facts_of(text);
        if (facts->n_statements != 2)
            fail_msg("%s: not parsed", text);
        struct sql_span name = facts->statements[1].name;
        if (name.len != strlen(rows[i].name) ||
            memcmp(text + name.start, rows[i].name, name.len) != 0)
            fail_msg("%s: name is %.*s", rows[i].text, (int)name.len, text + name.start);
        if (rows[i].ident == NULL)
            assert_null(facts->statements[1].ident);
        else
            assert_string_equal(facts->statements[1].ident, rows[i].ident);
        sql_facts_free(facts);
    }
}

static void parameters_are_counted(void **state)
{
    struct sql_facts *facts = facts_of("SELECT $2 FROM t WHERE x = $7 AND y = $1");
    assert_int_equal(facts->statements[0].n_params, 7);
    sql_facts_free(facts);
    facts = facts_of("SELECT $70000");
    assert_int_equal(facts->statements[0].n_params, UINT16_MAX);
    sql_facts_free(facts);
}

static void assert_unparsed(struct sql_facts *facts)
{
    assert_int_equal(facts->n_statements, 1);
    assert_int_equal(facts->effects, SQL_UNPARSED);
    assert_int_equal(facts->statements[0].class, SQL_UNKNOWN);
    assert_int_equal(facts->statements[0].effects, SQL_UNPARSED);
    sql_facts_free(facts);
}

static void what_does_not_parse_may_do_anything(void **state)
{
    static const char *const texts[] = {
        "SELEC 1",
        "SELECT 'x",
        "SELECT 1; SELEC 2",
        "SELECT \"x",
        "SELECT $x$ y",
        "SELECT U&'\\zzzz'",
        "SELECT 1 LIMIT 1 LIMIT 1",
        "PREPARE p",
        "SELECT E'\\xff\\xfe'",
    };
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            assert_unparsed(facts_of(texts[i]));
    assert_unparsed(sql_facts_of("SELECT 12", 9, 8, true));
    assert_unparsed(sql_facts_of("SELECT\0 1", 9, 100, true));
    struct sql_facts *facts = sql_facts_of("SELECT 12", 9, 9, true);
    assert_int_equal(facts->effects, 0);
    sql_facts_free(facts);
}

static void backslashes_mean_what_the_session_says(void **state)
{
    const char *text = "SELECT 'a\\'; DROP TABLE t; --'";
    struct sql_facts *facts = sql_facts_of(text, strlen(text), MAX_LEN, true);
    assert_int_equal(facts->n_statements, 2);
    sql_facts_free(facts);
    facts = sql_facts_of(text, strlen(text), MAX_LEN, false);
    assert_int_equal(facts->n_statements, 1);
    assert_int_equal(facts->effects, 0);
    sql_facts_free(facts);
}

static int done(void **state)
{
    sql_thread_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_are_read_or_write),
        cmocka_unit_test(with_hides_tables_where_it_is_seen),
        cmocka_unit_test(settings_have_their_names),
        cmocka_unit_test(what_stays_in_the_session_is_an_effect),
        cmocka_unit_test(every_statement_of_a_text_has_its_facts),
        cmocka_unit_test(transaction_commands_have_their_kind),
        cmocka_unit_test(a_prepared_name_is_found_in_the_text),
        cmocka_unit_test(parameters_are_counted),
        cmocka_unit_test(what_does_not_parse_may_do_anything),
        cmocka_unit_test(backslashes_mean_what_the_session_says),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, done);
}
