-- What drivers and frameworks send, in their manner of writing.

-- Rails
SELECT "orders".* FROM "orders" WHERE "orders"."id" = $1 LIMIT $2 /*application='Shop',controller='orders',action='show'*/;
SELECT "orders".* FROM "orders" INNER JOIN "customers" ON "customers"."id" = "orders"."customer_id" WHERE "customers"."country" IN ('de', 'at') ORDER BY "orders"."created_at" DESC LIMIT 20 OFFSET 40;
SELECT 1 AS one FROM "customers" WHERE "customers"."email" = $1 LIMIT $2;
INSERT INTO "orders" ("customer_id", "state", "total_cents", "created_at", "updated_at") VALUES ($1, $2, $3, $4, $5) RETURNING "id";
UPDATE "orders" SET "state" = $1, "updated_at" = $2 WHERE "orders"."id" = $3;
DELETE FROM "line_items" WHERE "line_items"."order_id" = $1;
SELECT COUNT(*) FROM "orders" WHERE "orders"."state" != $1;
SELECT COUNT(DISTINCT "orders"."customer_id") AS count_customer_id, DATE_TRUNC('day', "orders"."created_at") AS d FROM "orders" GROUP BY DATE_TRUNC('day', "orders"."created_at");
SELECT SUM("line_items"."price" * "line_items"."quantity") FROM "line_items" WHERE "line_items"."order_id" = 7;
SELECT "schema_migrations"."version" FROM "schema_migrations" ORDER BY "schema_migrations"."version" ASC;
SET client_min_messages TO 'warning';
SET standard_conforming_strings = on;
SET SESSION timezone TO 'UTC';
SET intervalstyle = iso_8601;
SHOW max_identifier_length;
SHOW search_path;
SELECT pg_try_advisory_lock(4242424242);
SELECT pg_advisory_unlock(4242424242);
SELECT t.oid, t.typname FROM pg_type as t WHERE t.typname IN ('int2', 'int4', 'timestamptz');
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attrelid = '"orders"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;
SAVEPOINT active_record_1;
RELEASE SAVEPOINT active_record_1;
ROLLBACK TO SAVEPOINT active_record_1;
INSERT INTO "tags" ("name") VALUES ('a'), ('b'), ('c') ON CONFLICT DO NOTHING RETURNING "id";
UPDATE "products" SET "stock" = COALESCE("stock", 0) - 1 WHERE "products"."id" = 5 AND (stock > 0);
SELECT "orders".* FROM "orders" WHERE "orders"."id" = 1 LIMIT 1 FOR UPDATE;
SELECT "jobs".* FROM "jobs" WHERE "jobs"."run_at" <= '2026-01-01 00:00:00' ORDER BY "jobs"."priority" LIMIT 5 FOR UPDATE SKIP LOCKED;

-- Django
SELECT "shop_order"."id", "shop_order"."total", T3."name" FROM "shop_order" LEFT OUTER JOIN "shop_customer" T3 ON ("shop_order"."customer_id" = T3."id") WHERE ("shop_order"."paid" AND NOT ("shop_order"."state" = 'x')) ORDER BY "shop_order"."id" ASC;
SELECT (1) AS "a" FROM "auth_user" WHERE "auth_user"."username" = 'ann' LIMIT 1;
SELECT COUNT(*) AS "__count" FROM "shop_order" WHERE UPPER("shop_order"."note"::text) LIKE UPPER('%a%');
UPDATE "auth_user" SET "last_login" = '2026-01-01T00:00:00+00:00'::timestamptz WHERE "auth_user"."id" = 3;
DECLARE "_django_curs_140_sync_1" NO SCROLL CURSOR WITH HOLD FOR SELECT "shop_order"."id" FROM "shop_order";
DECLARE "_django_curs_140_sync_2" NO SCROLL CURSOR WITHOUT HOLD FOR SELECT 1;
FETCH FORWARD 2000 FROM "_django_curs_140_sync_1";
CLOSE "_django_curs_140_sync_1";
SET TIME ZONE 'Europe/Berlin';
SELECT set_config('TimeZone', 'UTC', false);
INSERT INTO "django_session" ("session_key", "session_data", "expire_date") VALUES ('k', 'd', '2026-02-02'::timestamptz);
SELECT "a"."id", ROW_NUMBER() OVER (PARTITION BY "a"."g" ORDER BY "a"."x" DESC NULLS LAST) AS "rn" FROM "a" WHERE EXISTS(SELECT 1 AS "a" FROM "b" U0 WHERE U0."a_id" = ("a"."id") LIMIT 1);

-- Hibernate and pgjdbc
BEGIN;
COMMIT;
ROLLBACK;
SET extra_float_digits = 3;
SET application_name = 'PostgreSQL JDBC Driver';
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SHOW TRANSACTION ISOLATION LEVEL;
select o1_0.id,o1_0.customer_id,c1_0.name from orders o1_0 left join customers c1_0 on c1_0.id=o1_0.customer_id where o1_0.id=$1;
select nextval('orders_seq');
select nextval ('orders_seq');
insert into orders (customer_id,total,id) values ($1,$2,$3);
update orders set version=$1,total=$2 where id=$3 and version=$4;
delete from orders where id=$1 and version=$2;
select p1_0.id from parts p1_0 where p1_0.id=$1 for no key update;
select p1_0.id from parts p1_0 order by p1_0.id offset $1 rows fetch first $2 rows only;
SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) WHERE true AND i.indisprimary;
SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e WHERE t.oid = $1 and t.typelem = e.oid;
select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute}'::text[]);
call do_it($1, $2);
SELECT * FROM do_it($1) AS result;
PREPARE TRANSACTION 'bitronix_1';
COMMIT PREPARED 'bitronix_1';
ROLLBACK PREPARED 'bitronix_1';

-- psycopg, asyncpg, SQLAlchemy
select pg_catalog.version();
select current_schema();
show standard_conforming_strings;
SELECT CAST('test plain returns' AS VARCHAR(60)) AS anon_1;
SELECT orders.id AS orders_id, orders.total AS orders_total FROM orders WHERE orders.id = $1::INTEGER;
SELECT anon_1.id FROM (SELECT orders.id AS id FROM orders LIMIT 10) AS anon_1 LEFT OUTER JOIN items AS items_1 ON anon_1.id = items_1.order_id;
INSERT INTO orders (a, b) SELECT p0::INTEGER, p1::VARCHAR FROM (VALUES ($1, $2, 0), ($3, $4, 1)) AS imp_sen(p0, p1, sen_counter) ORDER BY sen_counter RETURNING orders.id, orders.id AS id__1;
SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;
DEALLOCATE ALL;
DEALLOCATE "_pg3_0";
COPY "orders" ("id", "total") TO STDOUT;
COPY (SELECT id, total FROM orders WHERE total > 10) TO STDOUT WITH (FORMAT csv, HEADER);
EXPLAIN (FORMAT JSON) SELECT * FROM orders;

-- node-pg, Prisma, PostgREST, sqlc, Go
SELECT "public"."User"."id", "public"."User"."email" FROM "public"."User" WHERE ("public"."User"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3;
INSERT INTO "public"."User" ("email","name") VALUES ($1,$2), (DEFAULT,$3) RETURNING "public"."User"."id";
select set_config('search_path', $1, true), set_config('role', $2, true), set_config('request.jwt.claims', $3, true), set_config('request.method', $4, true);
WITH pgrst_source AS ( SELECT "public"."items".* FROM "public"."items" WHERE "public"."items"."id" > $1 LIMIT $2 OFFSET $3 ) SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body, nullif(current_setting('response.headers', true), '') AS response_headers FROM ( SELECT * FROM pgrst_source ) _postgrest_t;
-- name: GetAuthor :one
SELECT * FROM authors WHERE id = $1 LIMIT 1;
-- name: ListAuthors :many
SELECT a.*, count(b.id) FROM authors a LEFT JOIN books b ON b.author_id = a.id GROUP BY a.id ORDER BY name;
begin read only;
begin isolation level serializable;
start transaction isolation level read committed read write;
LISTEN "changes";
NOTIFY changes, 'payload; with ''quotes''';
UNLISTEN "changes";
SELECT pg_notify('changes', $1);
SET statement_timeout TO '30s';
SET LOCAL statement_timeout = 0;
RESET statement_timeout;
SET ROLE app_reader;
RESET ROLE;
SET LOCAL ROLE app_writer;
SET SESSION AUTHORIZATION 'app';
RESET SESSION AUTHORIZATION;
SET LOCAL my.tenant = '42';
SELECT set_config('my.tenant', '42', false);
SELECT current_setting('my.tenant', true);
DISCARD ALL;
DISCARD PLANS;
DISCARD TEMP;

-- pgbench
UPDATE pgbench_accounts SET abalance = abalance + -4711 WHERE aid = 12345;
SELECT abalance FROM pgbench_accounts WHERE aid = 12345;
UPDATE pgbench_tellers SET tbalance = tbalance + -4711 WHERE tid = 5;
UPDATE pgbench_branches SET bbalance = bbalance + -4711 WHERE bid = 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (5, 1, 12345, -4711, CURRENT_TIMESTAMP);
END;
vacuum pgbench_branches;
truncate pgbench_history;

-- pg_dump, psql, pgAdmin, monitoring
SELECT pg_catalog.set_config('search_path', '', false);
SET idle_in_transaction_session_timeout = 0;
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET TRANSACTION SNAPSHOT '00000003-0000001B-1';
LOCK TABLE public.orders IN ACCESS SHARE MODE;
SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v') AND n.nspname !~ '^pg_toast' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2;
SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default;
SELECT pid, state, now() - query_start AS runtime, left(query, 100) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid();
SELECT pg_size_pretty(pg_database_size(current_database()));
SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn(), extract(epoch FROM now() - pg_last_xact_replay_timestamp());
SELECT name, setting FROM pg_settings WHERE name ~ 'mem';
UPDATE pg_settings SET setting = '8MB' WHERE name = 'work_mem';
SELECT setval('orders_id_seq', (SELECT max(id) FROM orders));
SELECT currval('orders_id_seq'), lastval();
