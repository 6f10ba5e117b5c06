"""A real workload through transaction pooling, driver by driver: prepared statements, pipelines, COPY,
cancel requests, errors, transactions.  usage: python.py DRIVER HOST PORT USER DATABASE"""

import sys

driver, host, port, user, database = sys.argv[1:6]
table = f"driver_{driver}"


def psycopg3():
    import psycopg
    import threading
    import time

    dsn = f"host={host} port={port} user={user} dbname={database}"
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as c:
        c.execute(f"drop table if exists {table}")
        c.execute(f"create table {table}(i int primary key, t text)")
        for i in range(50):
            c.execute(f"insert into {table} values (%s, %s)", (i, f"text {i}"))
        assert c.execute(f"select count(*) from {table}").fetchone() == (50,)
        for binary in (False, True):
            cursor = c.cursor(binary=binary)
            for i in range(50):
                assert cursor.execute(f"select t from {table} where i = %s", (i,)).fetchone() == (f"text {i}",)
        with c.pipeline():
            cursors = [c.execute("select %s::int * 2", (i,)) for i in range(200)]
            assert [q.fetchone()[0] for q in cursors] == [i * 2 for i in range(200)]
        try:
            with c.pipeline():
                c.execute("select 1")
                c.execute("select 1 / %s", (0,))
                c.execute("select 2")
            raise AssertionError("no error")
        except psycopg.errors.DivisionByZero:
            pass
        try:
            c.execute(f"insert into {table} values (1, 'again')")
            raise AssertionError("no error")
        except psycopg.errors.UniqueViolation:
            pass
        with c.cursor() as q, q.copy(f"copy {table} from stdin") as copy:
            for i in range(1000, 6000):
                copy.write_row((i, "x" * 100))
        with c.cursor() as q, q.copy(f"copy (select * from {table} where i >= %s) to stdout", (1000,)) as copy:
            assert sum(1 for _ in copy.rows()) == 5000
        try:
            with c.cursor() as q, q.copy(f"copy {table} from stdin") as copy:
                copy.write("nonsense\n")
            raise AssertionError("no error")
        except psycopg.errors.DataError:
            pass
        timer = threading.Timer(0.3, c.cancel)
        timer.start()
        start = time.monotonic()
        try:
            c.execute("select pg_sleep(20)")
            raise AssertionError("not cancelled")
        except psycopg.errors.QueryCanceled:
            assert time.monotonic() - start < 15
        with c.transaction():
            c.execute(f"delete from {table} where i < %s", (10,))
            try:
                with c.transaction():
                    c.execute("select nonsense")
            except psycopg.errors.UndefinedColumn:
                pass
            assert c.execute(f"select count(*) from {table} where i < 50").fetchone() == (40,)
        with c.transaction(), c.cursor("named") as q:
            q.execute(f"select i from {table} where i >= 1000 order by i")
            assert [r[0] for r in q] == list(range(1000, 6000))
        c.execute(f"drop table {table}")


def psycopg2():
    import io
    import psycopg2 as driver2
    import psycopg2.errors

    c = driver2.connect(host=host, port=port, user=user, dbname=database)
    q = c.cursor()
    q.execute(f"drop table if exists {table}; create table {table}(i int primary key, t text)")
    c.commit()
    q.executemany(f"insert into {table} values (%s, %s)", [(i, f"it's {i}") for i in range(100)])
    c.commit()
    q.execute(f"select count(*), max(t) from {table}")
    assert q.fetchone()[0] == 100
    try:
        q.execute("select 1 / 0")
        raise AssertionError("no error")
    except psycopg2.errors.DivisionByZero:
        c.rollback()
    q.copy_from(io.StringIO("".join(f"{i}\tx\n" for i in range(1000, 3000))), table)
    c.commit()
    out = io.StringIO()
    q.copy_to(out, table)
    assert out.getvalue().count("\n") == 2100
    c.rollback()
    c.set_client_encoding("LATIN1")
    q.execute("show client_encoding")
    assert q.fetchone() == ("LATIN1",)
    c.rollback()
    q.execute("show client_encoding")
    assert q.fetchone() == ("LATIN1",)
    q.execute(f"drop table {table}")
    c.commit()
    c.close()


def asyncpg():
    import asyncio
    import asyncpg as driver3

    async def one(n):
        c = await driver3.connect(host=host, port=int(port), user=user, database=database)
        for i in range(30):
            assert await c.fetchval("select $1::int + $2::int", n, i) == n + i
        statement = await c.prepare("select generate_series(1, $1::int)")
        assert len(await statement.fetch(100)) == 100
        async with c.transaction():
            cursor = [r[0] async for r in c.cursor("select generate_series(1, 200)")]
            assert cursor == list(range(1, 201))
        try:
            await c.fetch("select * from nonsense")
            raise AssertionError("no error")
        except driver3.UndefinedTableError:
            pass
        try:
            await asyncio.wait_for(c.fetch("select pg_sleep(20)"), 0.3)
            raise AssertionError("not cancelled")
        except asyncio.TimeoutError:
            pass
        assert await c.fetchval("select 7") == 7
        await c.close()

    async def main():
        c = await driver3.connect(host=host, port=int(port), user=user, database=database)
        await c.execute(f"drop table if exists {table}; create table {table}(i int, t text)")
        await c.copy_records_to_table(table, records=[(i, "y") for i in range(5000)])
        await c.executemany(f"insert into {table} values ($1, $2)", [(i, "z") for i in range(500)])
        assert await c.fetchval(f"select count(*) from {table}") == 5500
        await asyncio.gather(*(one(n) for n in range(20)))
        await c.execute(f"drop table {table}")
        await c.close()

    asyncio.run(main())


{"psycopg3": psycopg3, "psycopg2": psycopg2, "asyncpg": asyncpg}[driver]()
print("done")
