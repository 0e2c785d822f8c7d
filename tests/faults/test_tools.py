"""Each fault does what it says; a tool that did nothing would prove everything."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
import redis.exceptions

from dayshift.hotplane.scripts import SCRIPTS
from dayshift.ledger.statements import SQL
from tests.faults import dialects
from tests.faults.clock import clock_off_by
from tests.faults.postgres import DiskCannotBeFilled, Postgres
from tests.faults.proxy import Proxy
from tests.faults.valkey import Valkey
from tests.system.house import clean_environment


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[Postgres]:
    made = Postgres(tmp_path / "postgres")
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    made = Valkey(tmp_path / "valkey")
    await made.start()
    yield made
    await made.close()


async def sql(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_postgres_keeps_what_was_committed_over_kill_and_immediate_restart(postgres: Postgres) -> None:
    url = postgres.url
    await sql(url, "CREATE TABLE kept AS SELECT 1 AS n")
    await postgres.kill()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await sql(url, "SELECT 1")
    await postgres.start()
    await sql(url, "INSERT INTO kept VALUES (2)")
    session = await asyncpg.connect(url)
    await postgres.restart_immediate()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await session.fetchval("SELECT 1")
    assert postgres.url == url
    assert await sql(url, "SELECT sum(n) FROM kept") == 3


async def test_a_frozen_postgres_answers_nobody_until_it_is_thawed(postgres: Postgres) -> None:
    session = await asyncpg.connect(postgres.url)
    postgres.freeze()
    answer = asyncio.ensure_future(session.fetchval("SELECT 1"))
    done, _ = await asyncio.wait({answer}, timeout=0.3)
    assert not done
    postgres.thaw()
    assert await asyncio.wait_for(answer, 10) == 1
    await session.close()


async def test_a_full_disk_refuses_writes_until_there_is_room(tmp_path: Path) -> None:
    try:
        postgres = Postgres(tmp_path / "small", small_disk=True)
    except DiskCannotBeFilled as reason:
        pytest.skip(str(reason))
    try:
        await postgres.start()
        await sql(postgres.url, "CREATE TABLE filled (b text)")
        postgres.fill_disk()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await sql(postgres.url, "INSERT INTO filled SELECT repeat('x', 1000) FROM generate_series(1, 60000)")
        postgres.free_disk()
        async with asyncio.timeout(30):
            while True:
                try:
                    await sql(postgres.url, "INSERT INTO filled VALUES ('room')")
                    break
                except (asyncpg.PostgresError, OSError):
                    await asyncio.sleep(0.05)  # it may be recovering from a panic over its WAL
        assert await sql(postgres.url, "SELECT count(*) FROM filled WHERE b = 'room'") == 1
    finally:
        await postgres.close()


async def test_valkey_forgets_or_goes_back_on_command(valkey: Valkey) -> None:
    async def keys() -> set[bytes]:
        async with redis.asyncio.from_url(valkey.url) as client:
            return set(await client.keys())

    async with redis.asyncio.from_url(valkey.url) as client:
        await client.set("old", 1)
        snapshot = await valkey.save_snapshot()
        await client.set("new", 1)
    assert await keys() == {b"old", b"new"}
    await valkey.restart_with(snapshot)
    assert await keys() == {b"old"}
    await valkey.flushall()
    assert await keys() == set()
    await valkey.restart_with(snapshot)
    await valkey.restart_empty()
    assert await keys() == set()


async def test_a_frozen_valkey_answers_nobody_until_it_is_thawed(valkey: Valkey) -> None:
    async with redis.asyncio.from_url(valkey.url) as client:
        await client.ping()
        valkey.freeze()
        answer = asyncio.ensure_future(client.ping())
        done, _ = await asyncio.wait({answer}, timeout=0.3)
        assert not done
        valkey.thaw()
        assert await asyncio.wait_for(answer, 10)


@pytest.fixture
async def proxy(valkey: Valkey) -> AsyncIterator[Proxy]:
    host, port = valkey.url.rpartition("@")[2].split(":")
    made = Proxy((host, int(port)), dialects.Valkey)
    await made.start()
    yield made
    await made.close()


async def test_a_lost_reply_is_of_a_request_that_was_carried_out(valkey: Valkey, proxy: Proxy) -> None:
    async with redis.asyncio.from_url(proxy.url(valkey.url), retry=None) as client:
        await client.ping()
        proxy.lose_reply("incrby")
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.incr("counted")
        assert int(await client.get("counted")) == 1
        assert proxy.hits == {"incrby": 1}
        proxy.lose_reply("incrby", cut=False)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.incr("counted"), 0.3)
    async with redis.asyncio.from_url(valkey.url) as client:
        assert int(await client.get("counted")) == 2


async def test_a_partition_holds_everything_and_a_delay_passes_it_late(valkey: Valkey, proxy: Proxy) -> None:
    async with redis.asyncio.from_url(proxy.url(valkey.url)) as client:
        await client.ping()
        proxy.partition()
        answer = asyncio.ensure_future(client.ping())
        done, _ = await asyncio.wait({answer}, timeout=0.3)
        assert not done
        proxy.heal()
        assert await asyncio.wait_for(answer, 10)
        proxy.delay(0.1)
        began = time.monotonic()
        await client.ping()
        assert time.monotonic() - began >= 0.2
        proxy.delay(0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.delay(0.2)
    began = time.monotonic()
    for _ in range(20):
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        await asyncio.sleep(0.01)  # each is a piece of its own
    refused = b"-NOAUTH Authentication required.\r\n"
    assert await asyncio.wait_for(reader.readexactly(20 * len(refused)), 5) == 20 * refused
    assert 0.4 <= time.monotonic() - began < 2, "a delay that adds up is a narrow way, not a long one"
    writer.close()


async def test_a_proxy_knows_statements_by_their_names(postgres: Postgres) -> None:
    host, port = postgres.url.rpartition("@")[2].split("/")[0].split(":")
    proxy = Proxy((host, int(port)), dialects.Postgres)
    await proxy.start()
    try:
        session = await asyncpg.connect(proxy.url(postgres.url))
        await session.execute("CREATE TABLE said (n int)")
        prepared = await session.prepare("SELECT 1")
        assert await prepared.fetchval() == 1
        assert proxy.heard["CREATE"] == 1
        assert proxy.heard["SELECT"] >= 1
        proxy.lose_reply("INSERT")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
            await session.execute("INSERT INTO said VALUES (1)")
        assert await sql(postgres.url, "SELECT count(*) FROM said") == 1
    finally:
        await proxy.close()


def test_scripts_and_statements_of_dayshift_are_known_by_name() -> None:
    sha = SCRIPTS["claim"].sha
    sent = b"*3\r\n$7\r\nEVALSHA\r\n$40\r\n%b\r\n$1\r\n0\r\n" % sha
    listener = dialects.Valkey()
    assert listener.heard(sent[:30]) == []
    assert listener.heard(sent[30:] + b"*1\r\n$4\r\nPING\r\n") == ["claim", "ping"]
    text = SQL["start_tasks"].encode()
    start_up = (8).to_bytes(4) + (3 << 16).to_bytes(4)
    parse = b"__1__\0" + text + b"\0\0\0"
    bind = b"\0__1__\0\0\0\0\0\0\0"
    sent = start_up + b"P" + (len(parse) + 4).to_bytes(4) + parse + b"B" + (len(bind) + 4).to_bytes(4) + bind
    frontend = dialects.Postgres()
    assert frontend.heard(sent[:-3]) == []
    assert frontend.heard(sent[-3:]) == ["start_tasks"]
    http = dialects.Http()
    assert http.heard(b"POST /v1/tasks?a=1 HTTP/1.1\r\nHost: x\r\n\r\n{}") == ["POST /v1/tasks"]
    assert http.heard(b"GET /livez HTTP/1.1\r\n\r\n") == ["GET /livez"]


def test_a_child_with_a_wrong_clock_reads_it_everywhere(tmp_path: Path) -> None:
    code = "import time; from dayshift.domain.clock import machine_now; print(time.time(), machine_now().timestamp(), time.monotonic())"
    environment = clock_off_by(600, tmp_path, clean_environment())
    before = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    wall, date, monotonic = map(float, out.stdout.split())
    assert 590 < wall - time.time() < 610
    assert 590 < date - time.time() < 610
    assert before <= monotonic <= time.monotonic()
