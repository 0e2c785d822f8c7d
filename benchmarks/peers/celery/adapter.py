"""How Celery is started, fed and watched."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.peer import Command, Peer

POOLS = {
    "drain": ["--pool", "prefork", "--concurrency", "1"],
    "latency": ["--pool", "prefork", "--concurrency", "1"],
    "agents": ["--pool", "gevent", "--concurrency", "1000"],
    "kill": ["--pool", "threads", "--concurrency", "100"],
}
PREFETCH = {"drain": "128", "latency": "128", "agents": "1", "kill": "1"}
WAITERS = 32


class Celery(Peer):
    """The queue most in use; plain functions, so agents run in greenlets."""

    name = "celery"
    packages = ("celery", "kombu", "redis", "gevent", "openai")
    engines = ("valkey",)
    remembers = "tasks and results in Valkey's memory (no AOF); by default a started task is acknowledged, and lost"
    noops = 3_000
    settings: ClassVar[dict[str, str]] = {
        "drain": "Valkey broker and results, prefork -c 1, worker_prefetch_multiplier 128, no gossip, mingle, heartbeat;"
        " apply_async from one thread over one connection (there is no batch)",
        "latency": "the same; AsyncResult.get() in threads",
        "agents": "gevent -c 1000, prefetch 1, sync OpenAI client",
    }
    recovery: ClassVar[dict[str, str]] = {
        "default": "threads -c 100; acknowledged early",
        "best": "threads -c 100; task_acks_late, task_reject_on_worker_lost, visibility_timeout 10 s, looked at each second",
    }

    _submitted = 0

    async def open(self) -> None:
        import redis

        os.environ["VARIANT"] = self.ask.variant if self.ask.question == "kill" else "default"
        from benchmarks.peers.celery import app

        self._app: Any = app
        self._results = redis.Redis.from_url(self.place.valkey_url + "/1")
        self._threads = ThreadPoolExecutor(WAITERS)

    def worker(self, number: int) -> Command:
        arguments = [str(Path(sys.executable).with_name("celery")), "-A", "benchmarks.peers.celery.app", "worker"]
        arguments += [
            *POOLS[self.ask.question],
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel",
            "WARNING",
        ]
        return Command([*arguments, "--hostname", f"worker{number}@peers"], {"PREFETCH": PREFETCH[self.ask.question]})

    async def submit(self, agent: str, count: int) -> None:
        await asyncio.to_thread(self._submit, agent, count)
        self._submitted = count

    def _submit(self, agent: str, count: int) -> None:
        task = getattr(self._app, agent)
        with self._app.app.producer_or_acquire() as producer:
            for number in range(count):
                arguments = (number, self.ask.calls) if agent == "agent" else (number,)
                task.apply_async(arguments, producer=producer)

    async def call(self, number: int) -> int:
        loop = asyncio.get_running_loop()
        return int(await loop.run_in_executor(self._threads, self._call, number))

    def _call(self, number: int) -> int:
        return int(self._app.noop.delay(number).get(timeout=30))

    async def unfinished(self) -> int:
        return self._submitted - int(self._results.dbsize())

    async def close(self) -> None:
        if hasattr(self, "_results"):
            self._results.close()
            self._app.app.close()
            self._threads.shutdown(wait=False, cancel_futures=True)


ADAPTER = Celery
