#include "route/reads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "route/rules.h"
#include "topology/catalog.h"

enum { MAX_LEN = 1 << 20 };

/* A database: functions that are what their names say, and relations. */
static struct catalog *new_catalog(void)
{
    static const struct sql_name s = {"public", "stable_f"}, v = {"public", "volatile_f"},
                                 both_a = {"a", "twice"}, both_b = {"b", "twice"},
                                 lower = {"public", "lower"}, random = {"x", "to_char"},
                                 unlogged = {"public", "unlogged_t"}, seq = {"public", "seq"},
                                 foreign = {"far", "foreign_t"}, view = {"public", "volatile_v"},
                                 stats = {"pg_catalog", "pg_locks"},
                                 harmless = {"public", "harmless_v"}, deep = {"public", "deep_v"},
                                 policy = {"public", "policy_t"}, now = {"pg_catalog", "now"},
                                 activity = {"pg_catalog", "pg_lock_status"},
                                 nextval = {"pg_catalog", "nextval"};
    struct catalog_draft *draft = catalog_draft_new();
    catalog_draft_function(draft, v, true);
    catalog_draft_function(draft, s, false);
    catalog_draft_function(draft, both_a, false);
    catalog_draft_function(draft, both_b, true);
    catalog_draft_function(draft, lower, false);
    catalog_draft_function(draft, random, true);
    catalog_draft_relation(draft, unlogged, CATALOG_UNLOGGED);
    catalog_draft_relation(draft, seq, CATALOG_SEQUENCE);
    catalog_draft_relation(draft, foreign, CATALOG_FOREIGN);
    catalog_draft_relation(draft, deep, CATALOG_UNLOGGED);
    catalog_draft_call(draft, deep, nextval);
    catalog_draft_call(draft, view, v);
    catalog_draft_call(draft, stats, activity);
    catalog_draft_call(draft, harmless, now);
    catalog_draft_call(draft, harmless, s);
    catalog_draft_call(draft, policy, v);
    struct catalog *catalog = catalog_draft_finish(draft, 1);
    catalog_draft_free(draft);
    return catalog;
}

static const char *describe(const struct reads_answer *answer, char *out)
{
    static const char *const kinds[] = {"no", "yes", "anywhere", "begin"};
    static const char *const access[] = {"", " read only", " read write", " unknown"};
    char text[REASON_TEXT];
    if (answer->reads == READS_NO)
        sprintf(out, "no: %s", reads_text(answer, text));
    else
        sprintf(out, "%s%s", kinds[answer->reads], access[answer->modes.access]);
    return out;
}

static void check(const char *text, const char *expected, const struct read_rules *rules,
                  const struct catalog *catalog)
{
    char out[REASON_TEXT + 10];
    struct sql_facts *facts = sql_facts_of(text, strlen(text), MAX_LEN, true);
    struct reads_answer answer = reads_of(facts, text, strlen(text), rules, catalog);
    describe(&answer, out);
    if (strcmp(out, expected) != 0)
        fail_msg("%s\n    is:       %s\n    expected: %s", text, out, expected);
    assert_true((answer.reads == READS_NO) == (answer.reason != REASON_READS));
    sql_facts_free(facts);
}

struct row {
    const char *text, *expected;
};

static void check_rows(const struct row *rows, size_t n)
{
    struct catalog *catalog = new_catalog();
    for (size_t i = 0; i < n; i++)
        check(rows[i].text, rows[i].expected, NULL, catalog);
    catalog_unref(catalog);
}
#define CHECK(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

static void queries_read(void **state)
{
    static const struct row rows[] = {
        {"SELECT 1", "yes"},
        {"SELECT * FROM t", "yes"},
        {"SELECT * FROM s.t WHERE id = $1", "yes"},
        {"VALUES (1), (2)", "yes"},
        {"TABLE t", "yes"},
        {"(SELECT 1)", "yes"},
        {"SELECT 1 UNION ALL SELECT 2", "yes"},
        {"SELECT 1 EXCEPT (SELECT 2 INTERSECT SELECT 3)", "yes"},
        {"WITH a AS (SELECT 1) SELECT * FROM a", "yes"},
        {"WITH RECURSIVE a(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM a) SELECT * FROM a",
         "yes"},
        {"WITH a AS MATERIALIZED (SELECT * FROM t) SELECT (SELECT count(*) FROM a)", "yes"},
        {"SELECT * FROM t WHERE id IN (SELECT id FROM u WHERE EXISTS (SELECT 1 FROM w))", "yes"},
        {"SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id) x", "yes"},
        {"SELECT * FROM t TABLESAMPLE bernoulli (1)", "yes"},
        {"SELECT * FROM t TABLESAMPLE system (1) REPEATABLE (2)", "yes"},
        {"SELECT sum(a) OVER (PARTITION BY b ORDER BY c) FROM t", "yes"},
        {"SELECT a, count(*) FROM t GROUP BY ROLLUP (a) HAVING count(*) > 1", "yes"},
        {"SELECT DISTINCT ON (a) * FROM t ORDER BY a LIMIT 1 OFFSET 2", "yes"},
        {"SELECT * FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES", "yes"},
        {"SELECT CASE WHEN a THEN 1 ELSE coalesce(b, 2) END FROM t", "yes"},
        {"SELECT ARRAY[1, 2]::int[] || 3, ROW(1, 2), t.*::text FROM t", "yes"},
        {"SELECT current_user, current_date, localtimestamp(2), session_user", "yes"},
        {"SELECT now(), clock_timestamp(), statement_timestamp(), timeofday()", "yes"},
        {"SELECT random(), gen_random_uuid(), pg_sleep(0)", "yes"},
        {"SELECT age(now(), created) FROM t", "yes"},
        {"SELECT extract(epoch FROM now() AT TIME ZONE 'UTC')", "yes"},
        {"SELECT upper(trim(both FROM name)), substring(a FROM 2) FROM t", "yes"},
        {"SELECT jsonb_agg(t), json_build_object('a', 1) FROM t", "yes"},
        {"SELECT * FROM generate_series(1, 10) g, unnest($1::int[])", "yes"},
        {"SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(3, 4))", "yes"},
        {"SELECT XMLELEMENT(NAME a, 1)", "yes"},
        {"SELECT version(), current_database(), current_schema()", "yes"},
        {"SELECT to_tsvector('a') @@ plainto_tsquery('b')", "yes"},
        {"SELECT has_table_privilege('t', 'SELECT'), pg_get_viewdef('v'::regclass)", "yes"},
        {"SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'r'", "yes"},
        {"SELECT lo_get(1)", "yes"},
        {"SELECT current_setting('app.tenant', true)", "yes"},
        {"SELECT set_config('app.tenant', '7', true)", "yes"},
        {"SELECT set_config('work_mem', $1, false)", "yes"},
        {"SELECT set_config($1, $2, true)", "yes"},
        {"SELECT 'nextval(''x'')', \"nextval\" FROM t", "yes"},
        {"SELECT 1 /* INSERT INTO t */", "yes"},
        {"SELECT a FROM t WHERE a OPERATOR(pg_catalog.=) 1", "yes"},
        {"SELECT pg_catalog.lower('A'), pg_catalog.count(*) FROM t", "yes"},
    };
    CHECK(rows);
}

static void writes_and_locks_do_not(void **state)
{
    static const struct row rows[] = {
        {"INSERT INTO t VALUES (1)", "no: writes"},
        {"INSERT INTO t SELECT * FROM u RETURNING *", "no: writes"},
        {"UPDATE t SET a = 1", "no: writes"},
        {"DELETE FROM t USING u", "no: writes"},
        {"MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", "no: writes"},
        {"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "no: writes"},
        {"WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x", "no: writes"},
        {"WITH x AS (DELETE FROM t RETURNING *) TABLE x", "no: writes"},
        {"SELECT * FROM (WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x) y",
         "no: writes"},
        {"WITH a AS (WITH b AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM b) SELECT 1",
         "no: writes"},
        {"SELECT 1 UNION (WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x)", "no: writes"},
        {"WITH x AS (UPDATE t SET a = 1) SELECT * FROM u FOR UPDATE", "no: writes"},
        {"SELECT * FROM t FOR UPDATE", "no: locks rows"},
        {"SELECT * FROM t FOR NO KEY UPDATE OF t NOWAIT", "no: locks rows"},
        {"SELECT * FROM t FOR SHARE", "no: locks rows"},
        {"SELECT * FROM t FOR KEY SHARE SKIP LOCKED", "no: locks rows"},
        {"SELECT * FROM (SELECT * FROM t FOR UPDATE) x", "no: locks rows"},
        {"WITH x AS (SELECT * FROM t FOR SHARE) SELECT * FROM x", "no: locks rows"},
        {"SELECT (SELECT a FROM t LIMIT 1 FOR UPDATE)", "no: locks rows"},
        {"SELECT * FROM u WHERE a IN (SELECT a FROM t FOR UPDATE)", "no: locks rows"},
        {"SELECT 1 UNION (SELECT 1 FROM t FOR UPDATE)", "no: locks rows"},
        {"SELECT * INTO n FROM t", "no: defines objects"},
        {"SELECT * INTO TEMP n FROM t", "no: defines objects"},
        {"SELECT 1 INTO n UNION SELECT 2", "no: defines objects"},
        {"CREATE TABLE n AS SELECT 1", "no: defines objects"},
        {"CREATE TEMP TABLE n (a int)", "no: defines objects"},
        {"CREATE VIEW v AS SELECT 1", "no: defines objects"},
        {"CREATE MATERIALIZED VIEW v AS SELECT 1", "no: defines objects"},
        {"ALTER TABLE t ADD a int", "no: defines objects"},
        {"DROP TABLE t", "no: defines objects"},
        {"TRUNCATE t", "no: defines objects"},
        {"GRANT SELECT ON t TO x", "no: defines objects"},
        {"COMMENT ON TABLE t IS 'x'", "no: defines objects"},
        {"CREATE INDEX ON t (a)", "no: defines objects"},
        {"ALTER ROLE x SET work_mem = 1", "no: defines objects"},
        {"SELECT FROM WHERE", "no: could not be parsed"},
        {"SELEC 1", "no: could not be parsed"},
        {"SELECT 1; SELEC 2", "no: could not be parsed"},
    };
    CHECK(rows);
}

static void commands_go_to_the_primary(void **state)
{
    static const struct row rows[] = {
        {"VACUUM t", "no: is a command for the primary"},
        {"ANALYZE", "no: is a command for the primary"},
        {"CLUSTER t", "no: is a command for the primary"},
        {"REINDEX TABLE t", "no: is a command for the primary"},
        {"REFRESH MATERIALIZED VIEW v", "no: is a command for the primary"},
        {"LOCK TABLE t IN ACCESS SHARE MODE", "no: is a command for the primary"},
        {"CALL p()", "no: is a command for the primary"},
        {"DO $$BEGIN END$$", "no: is a command for the primary"},
        {"CHECKPOINT", "no: is a command for the primary"},
        {"ALTER SYSTEM SET work_mem = 1", "no: is a command for the primary"},
        {"LISTEN a", "no: is a command for the primary"},
        {"UNLISTEN *", "no: is a command for the primary"},
        {"NOTIFY a", "no: is a command for the primary"},
        {"LOAD 'x'", "no: is a command for the primary"},
        {"PREPARE p AS SELECT 1", "no: prepares or executes by name"},
        {"EXECUTE p", "no: prepares or executes by name"},
        {"CREATE TABLE n AS EXECUTE p", "no: defines objects"},
        {"PREPARE TRANSACTION 'x'", "no: is a command for the primary"},
        {"COMMIT PREPARED 'x'", "no: is a command for the primary"},
        {"ROLLBACK PREPARED 'x'", "no: is a command for the primary"},
        {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "no: opens a cursor WITH HOLD"},
        {"SET TRANSACTION SNAPSHOT '00000003-1'", "no: is a command for the primary"},
    };
    CHECK(rows);
}

static void explain_runs_nothing_unless_it_analyzes(void **state)
{
    static const struct row rows[] = {
        {"EXPLAIN SELECT * FROM t", "yes"},
        {"EXPLAIN (FORMAT json, COSTS off) SELECT 1", "yes"},
        {"EXPLAIN VERBOSE SELECT 1", "yes"},
        {"EXPLAIN INSERT INTO t VALUES (1)", "yes"},
        {"EXPLAIN UPDATE t SET a = 1", "yes"},
        {"EXPLAIN SELECT * FROM t FOR UPDATE", "yes"},
        {"EXPLAIN SELECT nextval('seq')", "yes"},
        {"EXPLAIN SELECT volatile_f()", "yes"},
        {"EXPLAIN SELECT * FROM volatile_v", "yes"},
        {"EXPLAIN CREATE TABLE n AS SELECT 1", "yes"},
        {"EXPLAIN DECLARE c CURSOR FOR SELECT 1", "yes"},
        {"EXPLAIN SELECT * FROM unlogged_t", "no: reads public.unlogged_t, which is not logged"},
        {"EXPLAIN EXECUTE p", "no: prepares or executes by name"},
        {"EXPLAIN CREATE TABLE n AS EXECUTE p", "no: prepares or executes by name"},
        {"EXPLAIN ANALYZE SELECT * FROM t", "yes"},
        {"EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t", "yes"},
        {"EXPLAIN (ANALYZE false) SELECT 1", "yes"},
        {"EXPLAIN ANALYZE INSERT INTO t VALUES (1)", "no: writes"},
        {"EXPLAIN (ANALYZE) DELETE FROM t", "no: writes"},
        {"EXPLAIN (ANALYZE off) DELETE FROM t", "no: writes"},
        {"EXPLAIN ANALYZE SELECT * FROM t FOR UPDATE", "no: locks rows"},
        {"EXPLAIN ANALYZE SELECT nextval('seq')", "no: calls nextval(), which uses a sequence"},
        {"EXPLAIN ANALYZE EXECUTE p", "no: prepares or executes by name"},
        {"EXPLAIN ANALYZE CREATE TABLE n AS SELECT 1", "no: defines objects"},
    };
    CHECK(rows);
}

static void copy_reads_to_the_client_only(void **state)
{
    static const struct row rows[] = {
        {"COPY t TO STDOUT", "yes"},
        {"COPY t (a, b) TO STDOUT WITH (FORMAT csv)", "yes"},
        {"COPY (SELECT * FROM t) TO STDOUT", "yes"},
        {"COPY (VALUES (1)) TO STDOUT", "yes"},
        {"COPY (SELECT nextval('seq')) TO STDOUT", "no: calls nextval(), which uses a sequence"},
        {"COPY (SELECT * FROM t FOR UPDATE) TO STDOUT", "no: locks rows"},
        {"COPY (INSERT INTO t VALUES (1) RETURNING *) TO STDOUT", "no: writes"},
        {"COPY (WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x) TO STDOUT", "no: writes"},
        {"COPY unlogged_t TO STDOUT", "no: reads public.unlogged_t, which is not logged"},
        {"COPY t FROM STDIN", "no: copies into a table"},
        {"COPY t FROM STDIN WHERE a > 1", "no: copies into a table"},
        {"COPY t FROM '/tmp/x'", "no: copies into a table"},
        {"COPY t FROM PROGRAM 'cat'", "no: copies into a table"},
        {"COPY t TO '/tmp/x'", "no: copies a file of the server"},
        {"COPY t TO PROGRAM 'cat'", "no: copies a file of the server"},
        {"COPY (SELECT 1) TO '/tmp/x'", "no: copies a file of the server"},
    };
    CHECK(rows);
}

static void functions_of_postgresql_are_known(void **state)
{
    static const struct row rows[] = {
        {"SELECT nextval('s')", "no: calls nextval(), which uses a sequence"},
        {"SELECT pg_catalog.nextval('s')", "no: calls pg_catalog.nextval(), which uses a sequence"},
        {"SELECT setval('s', 1)", "no: calls setval(), which uses a sequence"},
        {"SELECT currval('s')", "no: calls currval(), which uses a sequence"},
        {"SELECT lastval()", "no: calls lastval(), which uses a sequence"},
        {"SELECT 1 FROM t WHERE a = (SELECT nextval('s'))",
         "no: calls nextval(), which uses a sequence"},
        {"SELECT 1 FROM t ORDER BY nextval('s')", "no: calls nextval(), which uses a sequence"},
        {"SELECT 1 FROM t JOIN u ON nextval('s') > 0",
         "no: calls nextval(), which uses a sequence"},
        {"SELECT count(*) FILTER (WHERE nextval('s') > 0) FROM t",
         "no: calls nextval(), which uses a sequence"},
        {"VALUES (nextval('s'))", "no: calls nextval(), which uses a sequence"},
        {"SELECT 1 LIMIT nextval('s')", "no: calls nextval(), which uses a sequence"},
        {"WITH x AS (SELECT lastval()) SELECT 1", "no: calls lastval(), which uses a sequence"},
        {"SELECT pg_sequence_last_value(1)",
         "no: calls pg_sequence_last_value(), which uses a sequence"},
        {"SELECT pg_advisory_lock(1)", "no: calls pg_advisory_lock(), an advisory lock"},
        {"SELECT pg_try_advisory_lock(1, 2)", "no: calls pg_try_advisory_lock(), an advisory lock"},
        {"SELECT pg_advisory_xact_lock(1)", "no: calls pg_advisory_xact_lock(), an advisory lock"},
        {"SELECT pg_try_advisory_xact_lock_shared(1)",
         "no: calls pg_try_advisory_xact_lock_shared(), an advisory lock"},
        {"SELECT pg_advisory_unlock_all()", "no: calls pg_advisory_unlock_all(), an advisory lock"},
        {"SELECT * FROM pg_advisory_lock(1)", "no: calls pg_advisory_lock(), an advisory lock"},
        {"SELECT pg_notify('a', 'b')", "no: calls pg_notify(), which writes"},
        {"SELECT txid_current()", "no: calls txid_current(), which is about transactions"},
        {"SELECT pg_current_xact_id()",
         "no: calls pg_current_xact_id(), which is about transactions"},
        {"SELECT pg_current_snapshot()",
         "no: calls pg_current_snapshot(), which is about transactions"},
        {"SELECT txid_current_if_assigned()",
         "no: calls txid_current_if_assigned(), which is about transactions"},
        {"SELECT txid_status(1)", "no: calls txid_status(), which is about transactions"},
        {"SELECT pg_export_snapshot()",
         "no: calls pg_export_snapshot(), which is about transactions"},
        {"SELECT lo_creat(1)", "no: calls lo_creat(), which writes"},
        {"SELECT lo_unlink(1)", "no: calls lo_unlink(), which writes"},
        {"SELECT lo_open(1, 2)", "no: calls lo_open(), which is about the session"},
        {"SELECT setseed(0.5)", "no: calls setseed(), which is about the session"},
        {"SELECT pg_listening_channels()",
         "no: calls pg_listening_channels(), which is about the session"},
        {"SELECT pg_is_in_recovery()", "yes"},
        {"SELECT pg_backend_pid()", "yes"},
        {"SELECT inet_server_addr()", "yes"},
        {"SELECT pg_current_wal_lsn()",
         "no: calls pg_current_wal_lsn(), which is about the server"},
        {"SELECT pg_last_wal_replay_lsn()",
         "no: calls pg_last_wal_replay_lsn(), which is about the server"},
        {"SELECT pg_stat_get_dead_tuples(1)", "yes"},
        {"SELECT pg_relation_size('t')", "no: calls pg_relation_size(), which is about the server"},
        {"SELECT pg_read_file('x')", "no: calls pg_read_file(), which is about the server"},
        {"SELECT pg_postmaster_start_time()",
         "no: calls pg_postmaster_start_time(), which is about the server"},
        {"SELECT pg_terminate_backend(1)", "no: calls pg_terminate_backend(), which writes"},
        {"SELECT pg_reload_conf()", "no: calls pg_reload_conf(), which writes"},
        {"SELECT pg_switch_wal()", "no: calls pg_switch_wal(), which writes"},
        {"SELECT pg_create_restore_point('x')",
         "no: calls pg_create_restore_point(), which writes"},
        {"SELECT pg_logical_emit_message(true, 'a', 'b')",
         "no: calls pg_logical_emit_message(), which writes"},
        {"SELECT pg_replication_origin_create('x')",
         "no: calls pg_replication_origin_create(), which writes"},
        {"SELECT pg_drop_replication_slot('x')",
         "no: calls pg_drop_replication_slot(), which writes"},
        {"SELECT pg_stat_reset()", "no: calls pg_stat_reset(), which writes"},
        {"SELECT query_to_xml('DELETE FROM t', true, true, '')",
         "no: calls query_to_xml(), which runs any text"},
        {"SELECT ts_stat('SELECT nextval(1)')", "no: calls ts_stat(), which runs any text"},
        {"SELECT table_to_xml('t', true, true, '')",
         "no: calls table_to_xml(), which runs any text"},
        {"SELECT current_setting('transaction_read_only')",
         "no: sets or asks for a setting of the primary"},
        {"SELECT current_setting('IN_HOT_STANDBY')",
         "no: sets or asks for a setting of the primary"},
        {"SELECT current_setting($1)", "no: sets or asks for a setting of the primary"},
        {"SELECT current_setting('transaction_' || 'read_only')",
         "no: sets or asks for a setting of the primary"},
        {"SELECT set_config('a' || 'b', 'c', false)",
         "no: sets or asks for a setting of the primary"},
        {"SELECT set_config('transaction_read_only', 'off', true)",
         "no: sets or asks for a setting of the primary"},
        {"SELECT set_config('default_transaction_isolation', 'serializable', false)",
         "no: sets or asks for a setting of the primary"},
        {"SELECT set_config('search_path', 'pg_temp', true)",
         "no: sets or asks for a setting of the primary"},
    };
    CHECK(rows);
}

static void other_functions_are_in_the_catalog(void **state)
{
    static const struct row rows[] = {
        {"SELECT stable_f()", "yes"},
        {"SELECT public.stable_f()", "yes"},
        {"SELECT other.stable_f()", "no: calls other.stable_f(), which is not known"},
        {"SELECT volatile_f()", "no: calls volatile_f(), which is volatile"},
        {"SELECT public.volatile_f()", "no: calls public.volatile_f(), which is volatile"},
        {"SELECT * FROM volatile_f() x", "no: calls volatile_f(), which is volatile"},
        {"SELECT twice()", "no: calls twice(), which is volatile"},
        {"SELECT a.twice()", "yes"},
        {"SELECT b.twice()", "no: calls b.twice(), which is volatile"},
        {"SELECT \"Stable_f\"()", "no: calls Stable_f(), which is not known"},
        {"SELECT STABLE_F()", "yes"},
        {"SELECT dblink_exec('x')", "no: calls dblink_exec(), which is not known"},
        {"SELECT lower('A')", "yes"},                                    /* ours is harmless too */
        {"SELECT to_char(1)", "no: calls to_char(), which is volatile"}, /* x.to_char() is not */
        {"SELECT pg_catalog.to_char(1)", "yes"},
        {"SELECT x.to_char(1)", "no: calls x.to_char(), which is volatile"},
        {"SELECT x.nextval()", "no: calls x.nextval(), which is not known"},
        {"SELECT random_normal()", "no: calls random_normal(), which is not known"},
        {"SELECT 1 OPERATOR(public.+) 2", "no: names an operator with its schema"},
        {"SELECT * FROM t ORDER BY a USING OPERATOR(x.<)", "no: names an operator with its schema"},
    };
    CHECK(rows);
}

static void relations_are_in_the_catalog(void **state)
{
    static const struct row rows[] = {
        {"SELECT * FROM unlogged_t", "no: reads public.unlogged_t, which is not logged"},
        {"SELECT * FROM public.unlogged_t", "no: reads public.unlogged_t, which is not logged"},
        {"SELECT * FROM other.unlogged_t", "yes"},
        {"SELECT 1 FROM t WHERE a IN (SELECT a FROM unlogged_t)",
         "no: reads public.unlogged_t, which is not logged"},
        {"WITH unlogged_t AS (SELECT 1) SELECT * FROM unlogged_t", "yes"},
        {"SELECT last_value FROM seq", "no: reads sequence public.seq"},
        {"SELECT * FROM foreign_t", "no: reads foreign table far.foreign_t"},
        {"SELECT * FROM volatile_v",
         "no: calls public.volatile_f(), which is volatile, in public.volatile_v"},
        {"SELECT * FROM policy_t",
         "no: calls public.volatile_f(), which is volatile, in public.policy_t"},
        {"SELECT * FROM harmless_v", "yes"},
        {"SELECT * FROM deep_v", "no: reads public.deep_v, which is not logged"},
        {"SELECT * FROM pg_locks", "no: calls pg_catalog.pg_lock_status(), which is "
                                   "about the server, in pg_catalog.pg_locks"},
        {"SELECT * FROM pg_temp.x", "no: reads temporary relation pg_temp.x"},
        {"SELECT * FROM pg_temp_3.x", "no: reads temporary relation pg_temp_3.x"},
    };
    CHECK(rows);
}

static void what_is_no_data_may_be_anywhere(void **state)
{
    static const struct row rows[] = {
        {"", "anywhere"},
        {" ; ;", "anywhere"},
        {"-- nothing", "anywhere"},
        {"SET work_mem = '1MB'", "anywhere"},
        {"SET LOCAL work_mem = '1MB'", "anywhere"},
        {"SET search_path = a, b", "anywhere"},
        {"SET ROLE x", "anywhere"},
        {"SET SESSION AUTHORIZATION x", "anywhere"},
        {"RESET work_mem", "anywhere"},
        {"RESET ALL", "anywhere"},
        {"SET default_transaction_read_only = on", "anywhere"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "anywhere"},
        {"SET TRANSACTION READ ONLY", "anywhere"},
        {"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "anywhere"},
        {"SET TRANSACTION READ WRITE", "no: begins a transaction that may write"},
        {"SET transaction_read_only = off", "no: begins a transaction that may write"},
        {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "no: begins a serializable transaction"},
        {"SET CONSTRAINTS ALL DEFERRED", "anywhere"},
        {"SHOW work_mem", "anywhere"},
        {"SHOW ALL", "anywhere"},
        {"SHOW transaction_read_only", "anywhere"},
        {"DISCARD ALL", "anywhere"},
        {"DISCARD PLANS", "anywhere"},
        {"DISCARD TEMP", "anywhere"},
        {"DEALLOCATE p", "anywhere"},
        {"DEALLOCATE ALL", "anywhere"},
        {"COMMIT", "anywhere"},
        {"ROLLBACK", "anywhere"},
        {"END", "anywhere"},
        {"COMMIT AND CHAIN", "anywhere"},
        {"SAVEPOINT a", "anywhere"},
        {"RELEASE a", "anywhere"},
        {"ROLLBACK TO a", "anywhere"},
        {"FETCH 1 FROM c", "anywhere"},
        {"MOVE 1 FROM c", "anywhere"},
        {"CLOSE c", "anywhere"},
        {"DECLARE c CURSOR FOR SELECT * FROM t", "anywhere"},
        {"DECLARE c CURSOR FOR SELECT nextval('s')", "no: calls nextval(), which uses a sequence"},
        {"DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE", "no: locks rows"},
        {"DECLARE c CURSOR FOR WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
         "no: writes"},
    };
    CHECK(rows);
}

static void transactions_have_modes(void **state)
{
    static const struct row rows[] = {
        {"BEGIN", "begin"},
        {"START TRANSACTION", "begin"},
        {"BEGIN READ ONLY", "begin read only"},
        {"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE",
         "begin read only"},
        {"START TRANSACTION READ ONLY", "begin read only"},
        {"BEGIN READ WRITE", "no: begins a transaction that may write"},
        {"START TRANSACTION READ ONLY, READ WRITE", "no: begins a transaction that may write"},
        {"BEGIN ISOLATION LEVEL SERIALIZABLE", "no: begins a serializable transaction"},
        {"BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
         "no: begins a serializable transaction"},
        {"BEGIN; SET TRANSACTION READ ONLY", "begin read only"},
        {"BEGIN; SET LOCAL transaction_read_only = yes", "begin read only"},
        {"BEGIN READ ONLY; SET TRANSACTION READ WRITE", "no: begins a transaction that may write"},
        {"BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
         "no: begins a serializable transaction"},
        {"BEGIN READ ONLY; SELECT 1; COMMIT", "yes"},
        {"BEGIN; SELECT 1; COMMIT", "yes"},
        {"BEGIN; COMMIT", "anywhere"},
        {"BEGIN; SELECT 1", "begin"},
        {"BEGIN READ ONLY; SELECT 1", "begin read only"},
        {"BEGIN READ ONLY; SELECT 1; COMMIT AND CHAIN", "begin read only"},
        {"BEGIN READ ONLY; DECLARE c CURSOR FOR SELECT 1; FETCH ALL FROM c; END", "anywhere"},
        {"BEGIN READ ONLY; INSERT INTO t VALUES (1); COMMIT", "no: writes"},
        {"BEGIN; INSERT INTO t VALUES (1); COMMIT", "no: writes"},
        {"BEGIN; SAVEPOINT a; SELECT 1; ROLLBACK TO a; END", "yes"},
        {"SELECT 1; BEGIN READ ONLY", "begin read only"},
        {"COMMIT; BEGIN READ ONLY", "begin read only"},
        {"COMMIT; SELECT 1", "yes"},
        {"BEGIN READ ONLY; COMMIT; BEGIN; SELECT 1", "begin"},
        {"SET default_transaction_read_only = on; BEGIN", "begin read only"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; BEGIN", "begin read only"},
        {"SET default_transaction_isolation = 'SERIALIZABLE'; BEGIN",
         "no: begins a serializable transaction"},
        {"RESET ALL; BEGIN", "no: begins a transaction that may write"},
        {"SET LOCAL default_transaction_read_only = on; BEGIN", "begin"},
    };
    CHECK(rows);
}

static void a_text_reads_if_all_of_it_does(void **state)
{
    static const struct row rows[] = {
        {"SELECT 1; SELECT 2", "yes"},
        {"SELECT 1; SET work_mem = 1", "yes"},
        {"SET work_mem = 1; RESET ALL", "anywhere"},
        {"SET search_path = a; SELECT * FROM t", "yes"},
        {"SHOW work_mem; SELECT 1", "yes"},
        {"SELECT 1; UPDATE t SET a = 1", "no: writes"},
        {"UPDATE t SET a = 1; SELECT 1", "no: writes"},
        {"SELECT 1; SELECT nextval('s'); SELECT 2", "no: calls nextval(), which uses a sequence"},
        {"SELECT 1; LISTEN a", "no: is a command for the primary"},
    };
    CHECK(rows);
}

static void without_a_catalog_little_is_known(void **state)
{
    static const struct row rows[] = {
        {"SELECT 1", "yes"},
        {"SELECT current_user, 1 + 2", "yes"},
        {"SHOW work_mem", "anywhere"},
        {"BEGIN READ ONLY", "begin read only"},
        {"SELECT * FROM t", "no: uses t, and the catalog is not there yet"},
        {"SELECT f()", "no: uses f, and the catalog is not there yet"},
        {"SELECT now()", "no: uses now, and the catalog is not there yet"},
        {"SELECT nextval('s')", "no: calls nextval(), which uses a sequence"},
        {"INSERT INTO t VALUES (1)", "no: writes"},
        {"EXPLAIN SELECT * FROM t", "no: uses t, and the catalog is not there yet"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i].text, rows[i].expected, NULL, NULL);
}

static void the_settings_have_the_last_word(void **state)
{
    static const struct row rows[] = {
        {"SELECT volatile_f()", "yes"},
        {"SELECT public.volatile_f()", "yes"},
        {"SELECT * FROM volatile_v", "yes"},
        {"SELECT pg_relation_size('t')", "yes"},
        {"SELECT * FROM pg_locks", "yes"},
        {"SELECT not_there()", "yes"},
        {"SELECT x.not_there()", "yes"},
        {"SELECT twice()", "yes"},
        {"SELECT b.twice()", "yes"},
        {"SELECT \"Quoted.f\"()", "yes"},
        {"SELECT quoted.f()", "no: calls quoted.f(), which is not known"},
        {"SELECT nextval('s')", "no: calls nextval(), which uses a sequence"},
        {"SELECT stable_f()", "no: calls stable_f(), which write_functions has"},
        {"SELECT * FROM harmless_v",
         "no: calls public.stable_f(), which write_functions has, in public.harmless_v"},
        {"SELECT random()", "no: calls random(), which write_functions has"},
        {"SELECT app.g()", "no: calls app.g(), which write_functions has"},
        {"SELECT g()", "no: calls g(), which write_functions has"},
        {"SELECT other.g()", "no: calls other.g(), which is not known"},
        {"EXPLAIN SELECT random()", "yes"},
        {"SELECT 1 AS keep_me", "no: matches write_patterns"},
        {"SELECT 1 AS keep_you", "yes"},
        {"select  2 from t", "no: matches write_patterns"},
        {"SELECT 1; SELECT 2 FROM t", "no: matches write_patterns"},
        {"BEGIN; SELECT 1 AS keep_me", "no: matches write_patterns"},
        {"SELECT 'it''s'", "no: matches write_patterns"},
        {"SHOW keep_me", "anywhere"},
    };
    struct err err = ERR_NONE;
    struct catalog *catalog = new_catalog();
    struct read_rules *rules = read_rules_new(
        " volatile_f,PG_relation_size , pg_catalog.pg_lock_status,not_there, b.twice, "
        "\"Quoted.f\", random, stable_f",
        "stable_f,pg_catalog.random, app.g", "keep_me 'SELECT +2 FROM' '''it'''''", &err);
    assert_non_null(rules);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i].text, rows[i].expected, rules, catalog);
    read_rules_unref(rules);
    catalog_unref(catalog);
}

static void rules_that_are_no_rules_are_refused(void **state)
{
    static const struct {
        const char *reads, *writes, *patterns, *message;
    } rows[] = {
        {"a b", NULL, NULL, "\"read_functions\" is not a list of names of functions at \"a b\""},
        {NULL, "a,1b", NULL, "\"write_functions\" is not a list of names of functions at \"1b\""},
        {NULL, "a,,b", NULL, "\"write_functions\" is not a list of names of functions at \",b\""},
        {"a.", NULL, NULL, "\"read_functions\" is not a list of names of functions at \"a.\""},
        {"a.b.c", NULL, NULL,
         "\"read_functions\" is not a list of names of functions at \"a.b.c\""},
        {"f()", NULL, NULL, "\"read_functions\" is not a list of names of functions at \"f()\""},
        {"\"f", NULL, NULL, "\"read_functions\" is not a list of names of functions at \"\"f\""},
        {"\"\"", NULL, NULL, "\"read_functions\" is not a list of names of functions at \"\"\"\""},
        {NULL, NULL, "a( b", "\"write_patterns\" has an invalid regular expression \"a(\""},
        {NULL, NULL, "a 'b", "\"write_patterns\" has quotes that do not match at \"'b\""},
        {NULL, NULL, "''", "\"write_patterns\" has quotes that do not match at \"''\""},
        {NULL, NULL, "'a'b", "\"write_patterns\" has quotes that do not match at \"'a'b\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = ERR_NONE;
        assert_null(read_rules_new(rows[i].reads, rows[i].writes, rows[i].patterns, &err));
        assert_string_equal(err.message, rows[i].message);
        assert_string_equal(err.sqlstate, "F0000");
    }
    struct read_rules *rules = read_rules_new("", " ", "\t", NULL);
    assert_non_null(rules);
    read_rules_unref(read_rules_ref(rules));
    read_rules_unref(rules);
    read_rules_unref(NULL);
}

static void each_reason_has_a_name(void **state)
{
    for (int i = 0; i < REASONS; i++) {
        struct reads_answer answer = {.reason = (enum reads_reason)i};
        char text[REASON_TEXT];
        assert_non_null(reads_reason_name(answer.reason));
        assert_non_null(reads_text(&answer, text));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(reads_reason_name((enum reads_reason)k),
                                    reads_reason_name(answer.reason));
    }
}

static int done(void **state)
{
    sql_thread_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_read),
        cmocka_unit_test(writes_and_locks_do_not),
        cmocka_unit_test(commands_go_to_the_primary),
        cmocka_unit_test(explain_runs_nothing_unless_it_analyzes),
        cmocka_unit_test(copy_reads_to_the_client_only),
        cmocka_unit_test(functions_of_postgresql_are_known),
        cmocka_unit_test(other_functions_are_in_the_catalog),
        cmocka_unit_test(relations_are_in_the_catalog),
        cmocka_unit_test(what_is_no_data_may_be_anywhere),
        cmocka_unit_test(transactions_have_modes),
        cmocka_unit_test(a_text_reads_if_all_of_it_does),
        cmocka_unit_test(without_a_catalog_little_is_known),
        cmocka_unit_test(the_settings_have_the_last_word),
        cmocka_unit_test(rules_that_are_no_rules_are_refused),
        cmocka_unit_test(each_reason_has_a_name),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, done);
}
