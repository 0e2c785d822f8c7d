"""How DBOS is started, fed and watched."""

import asyncio
import sys
from typing import Any, ClassVar

from benchmarks.peers.peer import Command, Peer

APPLICATION = "peers"
QUEUE = "work"
TRANSACTION_ROWS = 500
POLLING_INTERVAL = {"drain": "0.05", "latency": "0.01", "agents": "0.05", "kill": "0.05"}


class Dbos(Peer):
    """Durable workflows as a library over PostgreSQL; every step is checkpointed."""

    name = "dbos"
    packages = ("dbos", "psycopg", "SQLAlchemy", "uvloop", "openai")
    engines = ("postgresql",)
    remembers = "workflows, results and every step in PostgreSQL (fsync)"
    noops = 3_000
    settings: ClassVar[dict[str, str]] = {
        "drain": "async workflows on uvloop, polling_interval_sec=0.05, no limit of concurrency (two workers: 500 each), log WARNING;"
        " enqueue_in_transaction, 500 a transaction",
        "latency": "polling_interval_sec=0.01; DBOSClient.enqueue_async, get_result(polling_interval_sec=0.005)",
        "agents": "polling_interval_sec=0.05; each call a step",
    }
    recovery: ClassVar[dict[str, str]] = {
        "default": "executor_id unset (`local`): the process that starts next recovers",
        "new executor": "the next process has an executor_id of its own, as on another host; no Conductor",
    }

    _submitted = 0

    async def open(self) -> None:
        import psycopg
        import sqlalchemy
        from dbos import DBOSClient, run_dbos_database_migrations

        await asyncio.to_thread(run_dbos_database_migrations, self.place.database_url)
        self._engine = sqlalchemy.create_engine(self.place.database_url.replace("postgresql:", "postgresql+psycopg:"))
        self._client: Any = DBOSClient(system_database_url=self.place.database_url)
        self._watching = await psycopg.AsyncConnection.connect(self.place.database_url, autocommit=True)

    def worker(self, number: int) -> Command:
        variables = {
            "POLLING_INTERVAL": POLLING_INTERVAL[self.ask.question],
            "WORKER_CONCURRENCY": "500" if self.ask.workers > 1 else "0",  # without one, the first takes all
        }
        if self.ask.workers > 1 or self.ask.variant == "new executor":
            variables["EXECUTOR"] = f"worker-{number}"
        return Command([sys.executable, "-m", "benchmarks.peers.dbos.app"], variables)

    def _options(self, agent: str) -> dict[str, Any]:
        return {"queue_name": QUEUE, "workflow_name": agent, "application_name": APPLICATION}

    async def submit(self, agent: str, count: int) -> None:
        arguments = (self.ask.calls,) if agent == "agent" else ()
        await asyncio.to_thread(self._submit, agent, count, arguments)
        self._submitted = count

    def _submit(self, agent: str, count: int, arguments: tuple[int, ...]) -> None:
        for start in range(0, count, TRANSACTION_ROWS):
            with self._engine.begin() as transaction:
                for number in range(start, min(count, start + TRANSACTION_ROWS)):
                    self._client.enqueue_in_transaction(transaction, self._options(agent), number, *arguments)

    async def call(self, number: int) -> int:
        handle = await self._client.enqueue_async(self._options("noop"), number)
        return int(await handle.get_result(polling_interval_sec=0.005))

    async def unfinished(self) -> int:
        cursor = await self._watching.execute("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'")
        row = await cursor.fetchone()
        return self._submitted - (row[0] if row else 0)

    async def close(self) -> None:
        if hasattr(self, "_watching"):
            await self._watching.close()
            self._client.destroy()
            self._engine.dispose()


ADAPTER = Dbos
