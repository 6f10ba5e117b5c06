#!/usr/bin/python3
"""ledger.py DSN SECONDS CLIENTS [KILL]: writes rows through a pooler and keeps a ledger of the answers.

Each attempt writes one token, unique for ever, and ends as "acknowledged", "refused" (an error of the
server, or a rollback of our own: the row must not be there) or "unknown" (the connection broke before
the answer).  Every answer must carry the token that was asked for; a foreign one is the worst that can
happen, and ends the run at once.  With KILL a connection, at DSN KILL, ends a random server now and then.

Prints one line "token outcome" an attempt, and at last a line of sums; test/t/310_ledger.pl compares.
"""

import asyncio
import random
import sys
import time

import asyncpg

# InternalClientError: what asyncpg says when a FATAL error comes between the steps of a statement.
BROKEN = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError,
          asyncpg.exceptions.AdminShutdownError, asyncpg.exceptions.CrashShutdownError,
          asyncpg.exceptions.CannotConnectNowError, asyncio.IncompleteReadError)
counts = {"acknowledged": 0, "refused": 0, "unknown": 0, "foreign": 0, "connects": 0}
outcomes = []


class Refused(Exception):
    """The attempt ended in a way that must leave no row."""


class Foreign(Exception):
    """An answer that belongs to somebody else."""


def check(answer, token):
    if answer != token:
        counts["foreign"] += 1
        raise Foreign(f"asked for {token}, got {answer}")


async def plain(connection, token):
    """A statement of its own, through the extended protocol."""
    check(await connection.fetchval("insert into ledger values ($1) returning token", token), token)


async def simple(connection, token):
    """Two statements in one simple query: one transaction."""
    tag = await connection.execute(f"select '{token}'; insert into ledger values ('{token}')")
    check(tag, "INSERT 0 1")


async def transaction(connection, token):
    async with connection.transaction():
        check(await connection.fetchval("insert into ledger values ($1) returning token", token), token)
        check(await connection.fetchval("select token from ledger where token = $1", token), token)


async def rollback(connection, token):
    try:
        async with connection.transaction():
            await connection.execute("insert into ledger values ($1)", token)
            raise Refused
    except Refused:
        check(await connection.fetchval("select $1::text", token), token)
        raise


async def failure(connection, token):
    try:
        await connection.fetchval("insert into ledger values ($1) returning 1 / (length(token) - $2)",
                                  token, len(token))
    except asyncpg.DivisionByZeroError:
        check(await connection.fetchval("select $1::text", token), token)
        raise Refused from None
    raise Foreign("a division by zero went well")


async def connect(dsn, deadline):
    while True:
        try:
            connection = await asyncpg.connect(dsn, statement_cache_size=0, timeout=60)
            counts["connects"] += 1
            return connection
        except BROKEN as error:
            if time.monotonic() > deadline + 30:
                raise
            await asyncio.sleep(random.random() / 10)


async def attempt(connection, token):
    """What became of the token, and whether the connection is still good."""
    kind = random.choice((plain, plain, simple, transaction, transaction, rollback, failure))
    refused = kind in (rollback, failure)
    try:
        await kind(connection, token)
        return "acknowledged", True
    except Refused:
        return "refused", True
    except BROKEN:
        # What was never to be committed is not there, whatever else happened.
        return ("refused" if refused else "unknown"), False


async def client(number, dsn, deadline):
    connection = await connect(dsn, deadline)
    turn = 0
    while time.monotonic() < deadline:
        turn += 1
        token = f"{number}-{turn}-{random.getrandbits(48):x}"
        outcome, good = await attempt(connection, token)
        counts[outcome] += 1
        outcomes.append(f"{token} {outcome}")
        if not good:
            connection.terminate()
            connection = await connect(dsn, deadline)
    await connection.close(timeout=30)


async def kill_servers(dsn, deadline):
    connection = await asyncpg.connect(dsn)
    while time.monotonic() < deadline:
        await asyncio.sleep(0.3)
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'app' order by random() limit 1")
    await connection.close()


async def main(dsn, seconds, clients, kill=None):
    deadline = time.monotonic() + float(seconds)
    tasks = [client(number, dsn, deadline) for number in range(int(clients))]
    if kill:
        tasks.append(kill_servers(kill, deadline))
    try:
        await asyncio.gather(*tasks)
    finally:
        print("\n".join(outcomes))
        print("sums", " ".join(f"{name}={count}" for name, count in counts.items()))


asyncio.run(main(*sys.argv[1:]))
