"""How pgqueuer is started, fed and watched."""

import json
import sys
from datetime import timedelta
from typing import Any, ClassVar

from benchmarks.peers.peer import Command, Peer

BATCH_SIZES = {"drain": 1000, "latency": 1, "agents": 500, "kill": 100}
HEARTBEAT_TIMEOUT_SECONDS = {"default": 30, "best": 2}


class PgQueuer(Peer):
    """Claims and acknowledgements by batch in PostgreSQL, wake-up by LISTEN/NOTIFY. Keeps a status, no result."""

    name = "pgqueuer"
    packages = ("pgqueuer", "asyncpg", "uvloop", "openai")
    engines = ("postgresql",)
    remembers = "tasks in PostgreSQL (fsync), done within 0.1 s of the end; no results, no journal"
    noops = 20_000
    settings: ClassVar[dict[str, str]] = {
        "drain": "pgqueuer.run(batch_size=1000), uvloop, autovac applied, durability durable; one enqueue() of all",
        "latency": "pgqueuer.run(batch_size=1) (done is written at once), CompletionWatcher(debounce=1 ms)",
        "agents": "pgqueuer.run(batch_size=500), no limit of concurrency",
    }
    recovery: ClassVar[dict[str, str]] = {"default": "heartbeat_timeout 30 s", "best": "heartbeat_timeout 2 s"}

    _connections: list[Any]

    async def open(self) -> None:
        import asyncpg
        from pgqueuer.core.completion import CompletionWatcher
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        self._connections = [await asyncpg.connect(self.place.database_url) for _ in range(2)]
        self._queries = Queries(AsyncpgDriver(self._connections[0]))
        await self._queries.install()
        await self._queries.optimize_autovacuum()
        watching = AsyncpgDriver(self._connections[1])
        self._watcher = CompletionWatcher(watching, queries=Queries(watching), debounce=timedelta(milliseconds=1))
        if self.ask.question == "latency":
            await self._watcher.__aenter__()

    def worker(self, number: int) -> Command:
        variant = self.ask.variant if self.ask.question == "kill" else "default"
        variables = {
            "BATCH_SIZE": str(BATCH_SIZES[self.ask.question]),
            "HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_SECONDS[variant]),
        }
        return Command([sys.executable, "-m", "benchmarks.peers.pgqueuer.app"], variables)

    async def submit(self, agent: str, count: int) -> None:
        payloads = [json.dumps({"number": n, "calls": self.ask.calls}).encode() for n in range(count)]
        await self._queries.enqueue([agent] * count, payloads, [0] * count)

    async def call(self, number: int) -> int:
        job_ids = await self._queries.enqueue("noop", json.dumps({"number": number}).encode())
        status = await self._watcher.wait_for(job_ids[0])
        if status != "successful":
            raise RuntimeError(f"job {job_ids[0]} is {status}")
        return number

    async def unfinished(self) -> int:
        return int(await self._connections[0].fetchval("SELECT count(*) FROM pgqueuer"))

    async def close(self) -> None:
        for connection in getattr(self, "_connections", []):
            await connection.close()


ADAPTER = PgQueuer
