"""Every SHOW of the console through Python's drivers, in every protocol and format that each has.
usage: console.py DRIVER HOST PORT USER DATABASE"""

import sys
from decimal import Decimal

driver, host, port, user, database = sys.argv[1:6]

# What does not change between two looks at it.
STABLE = {"HELP", "CONFIG", "VERSION", "STATE", "DATABASES", "USERS", "DNS_HOSTS", "DNS_ZONES"}


def shows(help_rows):
    """All that HELP names, without what takes an argument, or is not for TCP."""
    names = [row[0].split(" ", 1)[1] for row in help_rows
             if row[0].startswith("SHOW ") and "on the unix socket only" not in row[2]]
    names.remove("variable")
    assert len(names) > 20, names
    return names


def check(name, columns, ways):
    """ways: how it was read -> rows"""
    kinds = (int, str, Decimal, type(None))
    for way, rows in ways.items():
        for row in rows:
            assert len(row) == len(columns), (name, way, row)
            assert all(isinstance(value, kinds) for value in row), (name, way, row)
    if name in STABLE:
        first = [tuple(row) for row in next(iter(ways.values()))]
        for way, rows in ways.items():
            assert [tuple(row) for row in rows] == first, (name, way, first, rows)


def psycopg3():
    import psycopg

    dsn = f"host={host} port={port} user={user} dbname={database}"
    with psycopg.connect(dsn, autocommit=True) as c:
        def read(query, binary, **how):
            with c.cursor(binary=binary) as cursor:
                cursor.execute(query, **how)
                return [column.name for column in cursor.description], cursor.fetchall()

        for name in shows(c.execute("SHOW HELP").fetchall()):
            query = f"SHOW {name}"
            columns, simple = read(query, False)
            described, text = read(query, False, prepare=True)
            assert columns == described, (name, described)
            described, binary = read(query, True)
            assert columns == described, (name, described)
            _, prepared = read(query, True, prepare=True)
            check(name, columns, {"simple": simple, "text": text, "binary": binary, "prepared": prepared})
            # Some columns, in another order.
            some, rows = read(f'SHOW {name} ("{columns[-1]}", "{columns[0]}")', True)
            assert some == [columns[-1], columns[0]], (name, some)
        for binary in (False, True):
            _, rows = read("SHOW CONFIG (key, value) WHERE key = 'default_pool_size'", binary, prepare=True)
            assert rows == [("default_pool_size", "7")], rows
        with c.cursor(binary=True) as cursor:
            cursor.execute("SHOW POOLS")
            assert all(isinstance(row[2], int) for row in cursor)
        try:
            read("SHOW POOLS (nothing)", True)
            raise AssertionError("no error")
        except psycopg.errors.UndefinedColumn as error:
            assert "database, user, cl_active" in error.diag.message_hint
        with c.pipeline():
            cursors = [c.execute(f"SHOW {name}") for name in ("POOLS", "LISTS", "VERSION")]
            assert cursors[2].fetchone()[0].startswith("howdah ")
    # A transaction around it, as the driver makes one by itself.
    with psycopg.connect(dsn) as c:
        assert c.execute("SHOW VERSION").fetchone()[0].startswith("howdah ")
        c.commit()


def psycopg2():
    import psycopg2 as module

    c = module.connect(host=host, port=port, user=user, dbname=database)
    c.autocommit = True

    def read(query):
        cursor = c.cursor()
        cursor.execute(query)
        return [column.name for column in cursor.description], cursor.fetchall()

    for name in shows(read("SHOW HELP")[1]):
        columns, rows = read(f"SHOW {name}")
        check(name, columns, {"simple": rows, "again": read(f"SHOW {name}")[1]})
    c.close()


def asyncpg():
    import asyncio
    import asyncpg as module

    async def run():
        c = await module.connect(host=host, port=port, user=user, database=database)
        for name in shows(await c.fetch("SHOW HELP")):
            statement = await c.prepare(f"SHOW {name}")
            columns = [attribute.name for attribute in statement.get_attributes()]
            check(name, columns, {"prepared": await statement.fetch(), "again": await c.fetch(f"SHOW {name}")})
        async with c.transaction():
            assert len([row async for row in c.cursor("SHOW CONFIG", prefetch=10)]) > 90
        await c.close()

    asyncio.run(run())


{"psycopg3": psycopg3, "psycopg2": psycopg2, "asyncpg": asyncpg}[driver]()
print("done")
