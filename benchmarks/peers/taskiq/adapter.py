"""How Taskiq is started, fed and watched."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.peer import Command, Peer

SUBMITTERS = 50


class Taskiq(Peer):
    """Async tasks over a Valkey stream; memory only, as fast as its Python goes."""

    name = "taskiq"
    packages = ("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop", "openai")
    engines = ("valkey",)
    remembers = "tasks and results in Valkey's memory (no AOF); no journal"
    noops = 10_000
    settings: ClassVar[dict[str, str]] = {
        "drain": "RedisStreamBroker, --workers 1 --max-async-tasks 1000 --max-prefetch 1000, uvloop, hiredis, log WARNING;"
        " kiq() from 50 coroutines (there is no batch)",
        "latency": "the same; wait_result(check_interval=0.005)",
        "agents": "the same",
    }
    recovery: ClassVar[dict[str, str]] = {
        "default": "idle_timeout 10 min",
        "best": "idle_timeout 10 s (must exceed the longest task), unacknowledged_lock_timeout 5 s; a no-op sent each second",
    }

    _submitted = 0
    _nudged_at = 0.0

    async def open(self) -> None:
        import redis.asyncio

        from benchmarks.peers.taskiq import app

        self._tasks: dict[str, Any] = {"noop": app.noop, "agent": app.agent}
        self._broker = app.broker
        await self._broker.startup()
        self._results = redis.asyncio.Redis.from_url(self.place.valkey_url + "/1")

    def worker(self, number: int) -> Command:
        arguments = [str(Path(sys.executable).with_name("taskiq")), "worker", "benchmarks.peers.taskiq.app:broker"]
        arguments += ["--workers", "1", "--max-async-tasks", "1000", "--max-prefetch", "1000", "--log-level", "WARNING"]
        return Command(arguments, {"VARIANT": self.ask.variant if self.ask.question == "kill" else "default"})

    async def submit(self, agent: str, count: int) -> None:
        numbers = iter(range(count))

        async def submitter() -> None:
            for number in numbers:
                arguments = (number, self.ask.calls) if agent == "agent" else (number,)
                await self._tasks[agent].kiq(*arguments)

        await asyncio.gather(*(submitter() for _ in range(SUBMITTERS)))
        self._submitted = count

    async def call(self, number: int) -> int:
        task = await self._tasks["noop"].kiq(number)
        result = await task.wait_result(check_interval=0.005, timeout=30)
        return int(result.return_value)

    async def unfinished(self) -> int:
        if self.ask.question == "kill" and self.ask.variant == "best" and time.monotonic() > self._nudged_at + 1:
            self._nudged_at = time.monotonic()
            await self._tasks["noop"].kiq(0)  # a worker looks for what was left only after a delivery
            self._submitted += 1
        return self._submitted - int(await self._results.dbsize())

    async def close(self) -> None:
        if hasattr(self, "_results"):
            await self._results.aclose()
            await self._broker.shutdown()


ADAPTER = Taskiq
