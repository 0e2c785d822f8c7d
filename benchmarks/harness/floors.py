"""What the same machine does with less, in the same run: the least that an answer could cost."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import asyncpg

from benchmarks.harness.client import Connection
from benchmarks.harness.measuring import Figures
from benchmarks.harness.serving import ROOT, Served, run

ROWS_A_STATEMENT = 500
WRITERS = 2

_INSERT = """
INSERT INTO bare (id, input, state)
SELECT gen_random_uuid(), $1, 0 FROM generate_series(1, $2::int) RETURNING id
"""
_UPDATE = "UPDATE bare SET state = state + 1 WHERE id = ANY ($1::uuid[])"


@contextlib.contextmanager
def constant_server(processes: int = 1) -> Iterator[Served]:
    """uvicorn as the gateway uses it, answering a constant (see constant.py)."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "benchmarks.harness.constant", str(descriptor)]
        servers = [subprocess.Popen(command, pass_fds=(descriptor,), cwd=ROOT) for _ in range(processes)]
        try:
            served = Served(servers[0], "127.0.0.1", listener.getsockname()[1], "none")  # type: ignore[arg-type]
            run(_answers(served))
            yield served
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait()


async def _answers(served: Served) -> None:
    """The socket listens already, so the first answer comes when the first process is up."""
    connection = await Connection(served.host, served.port, served.key).open()
    await connection.send(connection.encode("GET", "/"))
    await connection.close()


async def bare_table(database_url: str, rows: int) -> Figures:
    """Rows a second of a table with a key, a payload and a number, in the same PostgreSQL with the same durability: put in,
    and then changed twice, 500 a statement over two connections. What any queue in this database pays at the least.
    """
    pool = await asyncpg.create_pool(database_url, min_size=WRITERS, max_size=WRITERS)
    async with pool:
        await pool.execute("DROP TABLE IF EXISTS bare")
        await pool.execute("CREATE TABLE bare (id uuid PRIMARY KEY, input bytea NOT NULL, state int NOT NULL)")
        began = time.perf_counter()
        batches = [range(at, min(at + ROWS_A_STATEMENT, rows)) for at in range(0, rows, ROWS_A_STATEMENT)]
        inserted = await asyncio.gather(*(pool.fetch(_INSERT, os.urandom(32), len(batch)) for batch in batches))
        insert_seconds = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(2):
            await asyncio.gather(*(pool.execute(_UPDATE, [row["id"] for row in batch]) for batch in inserted))
        update_seconds = time.perf_counter() - began
        await pool.execute("DROP TABLE bare")
    return {"inserted_per_second": rows / insert_seconds, "changed_twice_per_second": rows / update_seconds}


async def bare_commits(database_url: str, commits: int) -> list[float]:
    """The seconds that each of some single-row commits took, one after another."""
    connection = await asyncpg.connect(database_url)
    took = []
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS bare_commits (id bigint PRIMARY KEY, input bytea NOT NULL)"
        )
        insert = await connection.prepare("INSERT INTO bare_commits VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        for number in range(commits):
            began = time.perf_counter()
            await insert.fetch(number, b"x" * 32)
            took.append(time.perf_counter() - began)
        await connection.execute("DROP TABLE bare_commits")
    finally:
        await connection.close()
    return took
