"""Notifications through transaction pooling, as drivers offer them.  usage: listen.py DRIVER HOST PORT USER DATABASE"""

import sys

driver, host, port, user, database = sys.argv[1:6]
N = 50


def psycopg3():
    import psycopg

    dsn = f"host={host} port={port} user={user} dbname={database}"
    with psycopg.connect(dsn, autocommit=True) as c, psycopg.connect(dsn, autocommit=True) as d:
        c.execute("listen news")
        for i in range(N):
            d.execute("select pg_notify('news', %s)", (str(i),))
        heard = c.notifies()
        assert [next(heard).payload for _ in range(N)] == [str(i) for i in range(N)]
        heard.close()
        c.execute("unlisten news")
        d.execute("notify news, 'lost'")
        c.execute("listen news")
        d.execute("notify news, 'again'")
        assert next(c.notifies()).payload == "again"


def asyncpg():
    import asyncio

    import asyncpg

    async def run():
        options = dict(host=host, port=int(port), user=user, database=database)
        pool = await asyncpg.create_pool(min_size=2, max_size=2, **options)
        heard, all_heard = [], asyncio.Event()

        def take(connection, pid, channel, payload):
            heard.append(payload)
            if len(heard) == N:
                all_heard.set()

        async with pool.acquire() as c, pool.acquire() as d:
            await c.add_listener("news", take)
            for i in range(N):
                await d.execute("select pg_notify('news', $1)", str(i))
            await asyncio.wait_for(all_heard.wait(), 30)
            assert heard == [str(i) for i in range(N)]
            await c.remove_listener("news", take)
            await d.execute("notify news, 'lost'")
            assert await c.fetchval("select 1") == 1
        async with pool.acquire() as c:
            assert await c.fetchval("select 2") == 2
        assert len(heard) == N
        await pool.close()

    asyncio.run(run())


{"psycopg3": psycopg3, "asyncpg": asyncpg}[driver]()
