import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from dayshift.domain.errors import LedgerAway
from dayshift.ledger import connections as room
from dayshift.ledger.connections import Connections
from dayshift.ledger.database import Database


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Connections]:
    """Room for two connections."""
    made = Connections(lambda: asyncpg.connect(database_url), most=2)
    yield made
    await made.close()


async def test_the_connection_that_was_used_last_is_used_next(two):
    first, second = await two.take(), await two.take()
    two.give_back(first)
    two.give_back(second)
    assert await two.take() is second
    two.give_back(second)


async def test_no_more_than_the_most_are_open_and_who_waits_is_served_in_order(two):
    first, second = await two.take(), await two.take()
    waiting = [asyncio.ensure_future(two.take()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(turn.done() for turn in waiting)
    two.give_back(second)
    two.give_back(first)
    assert [await waiting[0], await waiting[1]] == [second, first]
    assert not waiting[2].done()
    two.give_back(first)
    two.give_back(await waiting[2])
    two.give_back(second)


async def test_who_leaves_the_line_takes_no_connection_along(two):
    first, second = await two.take(), await two.take()
    leaving, staying = asyncio.ensure_future(two.take()), asyncio.ensure_future(two.take())
    await asyncio.sleep(0)
    two.give_back(first)
    leaving.cancel()  # at the moment that it is served
    two.give_back(second)
    assert {await staying, await two.take()} == {first, second}
    two.give_back(first)
    two.give_back(second)


async def test_a_connection_that_broke_makes_room_for_whoever_waits(two):
    first, second = await two.take(), await two.take()
    waiting = asyncio.ensure_future(two.take())
    await asyncio.sleep(0)
    first.terminate()
    two.give_back(first)
    opened = await waiting
    assert opened not in {first, second}
    assert await opened.fetchval("SELECT 1") == 1
    two.give_back(opened)
    two.give_back(second)


async def test_after_a_dead_one_its_neighbours_are_replaced_too(two):
    first, second = await two.take(), await two.take()
    two.give_back(first)
    two.distrust_all()
    two.give_back(second)
    assert first.is_closed()
    assert second.is_closed()
    fresh = await two.take()
    assert fresh not in {first, second}
    two.give_back(fresh)


async def test_a_connection_that_could_not_be_opened_leaves_its_room_to_others(database_url):
    refusals = [OSError("refused")]

    async def connect() -> asyncpg.Connection:
        if refusals:
            raise refusals.pop()
        return await asyncpg.connect(database_url)

    one = Connections(connect, most=1)
    failing, waiting = asyncio.ensure_future(one.take()), asyncio.ensure_future(one.take())
    with pytest.raises(OSError, match="refused"):
        await failing
    one.give_back(await waiting)
    await one.close()


async def test_what_stays_idle_for_long_is_closed(two, monkeypatch):
    old, busy = await two.take(), await two.take()
    two.give_back(old)
    monkeypatch.setattr(room, "LONGEST_IDLE_SECONDS", -1.0)
    two.give_back(busy)
    assert old.is_closed()
    assert not busy.is_closed()


async def test_closing_waits_for_what_is_in_use(database_url):
    two = Connections(lambda: asyncpg.connect(database_url), most=2)
    used, idle = await two.take(), await two.take()
    two.give_back(idle)
    closing = asyncio.ensure_future(two.close())
    await asyncio.sleep(0)
    assert await used.fetchval("SELECT 1") == 1
    two.give_back(used)
    await closing
    assert used.is_closed()
    assert idle.is_closed()


async def test_a_statement_whose_caller_was_cancelled_disturbs_nobody(database_url):
    database = Database(database_url, pool_size=1)
    await database.open()

    async def wait_long() -> None:
        async with database.connection() as connection:
            await connection.fetch("SELECT pg_sleep(3)")

    cancelled = asyncio.ensure_future(wait_long())
    await asyncio.sleep(0.05)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await database.close()


async def test_nobody_waits_for_a_connection_for_ever(database_url, monkeypatch):
    monkeypatch.setattr("dayshift.ledger.database.CONNECT_TIMEOUT_SECONDS", 0.2)
    database = Database(database_url, pool_size=1)
    await database.open()
    async with database.connection():
        with pytest.raises(LedgerAway):
            await database.batch("clock")
    assert len(await database.batch("clock")) == 1
    await database.close()
