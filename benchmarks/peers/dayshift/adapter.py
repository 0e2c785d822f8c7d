"""How dayshift is started, fed and watched, for the same table."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.peers.http_client import Pool
from benchmarks.peers.peer import Command, Peer
from benchmarks.peers.processes import free_port, wait_until_listening

APP = str(Path(__file__).with_name("app.py"))
SLOTS = {"drain": "100", "latency": "100", "agents": "1000", "kill": "100"}
SETTING_SECONDS = 1.2
BATCH_ROWS = 1000
SUBMITTERS = 4


class Dayshift(Peer):
    """Tasks in PostgreSQL, order and leases in Valkey."""

    name = "dayshift"
    packages = ("dayshift", "asyncpg", "redis", "hiredis", "uvloop", "openai")
    engines = ("postgresql", "valkey")
    remembers = "tasks, results and the journal of LLM calls in PostgreSQL (fsync), order in Valkey"
    noops = 20_000
    worker_first = True
    settings: ClassVar[dict[str, str]] = {
        "drain": "one gateway, one maintenance, dayshift worker (100 slots), telemetry on, log info;"
        " POST /v1/tasks/batch of 1,000 over 4 connections",
        "latency": "the same; POST /v1/tasks with Prefer: wait over kept connections",
        "agents": "--slots 1000; ctx.openai()",
    }
    recovery: ClassVar[dict[str, str]] = {
        "default": "dayshift worker, nobody supervises: the lease runs out after 10 s",
        "best": "dayshift serve --workers 1: its supervisor releases the lease and starts the next worker",
    }

    _processes: tuple[subprocess.Popen[bytes], ...] = ()
    _worker_pid: int | None = None

    async def open(self) -> None:
        self._port = free_port()
        self._supervised = self.ask.question == "kill" and self.ask.variant == "best"
        self._variables = {
            "DAYSHIFT_DATA": str(self.place.folder / "dayshift"),
            "DAYSHIFT_HOST": "127.0.0.1",
            "DAYSHIFT_PORT": str(self._port),
            "DAYSHIFT_DATABASE_URL": self.place.database_url,
            "DAYSHIFT_VALKEY_URL": self.place.valkey_url,
            "OPENAI_BASE_URL": self.place.provider_url + "/v1",
            "OPENAI_API_KEY": "fake",
        }
        await asyncio.to_thread(self._run, "migrate")
        made = await asyncio.to_thread(self._run, "keys", "create", "--tenant", "bench", "--scope", "admin", "--json")
        key = json.loads(made)
        self._http = Pool("127.0.0.1", self._port, {"Authorization": f"Bearer {key['key']}"})
        if not self._supervised:
            self._processes = (self._start("gateway"), self._start("maintenance"))

    def _run(self, *arguments: str) -> bytes:
        command = [sys.executable, "-m", "dayshift", *arguments]
        return subprocess.run(command, env=os.environ | self._variables, capture_output=True, check=True).stdout

    def _start(self, kind: str) -> subprocess.Popen[bytes]:
        with (self.place.folder / f"{kind}.log").open("wb") as log:
            command = [sys.executable, "-m", "dayshift", kind]
            return subprocess.Popen(command, env=os.environ | self._variables, stdout=log, stderr=log)

    def worker(self, number: int) -> Command:
        kind = ["serve", APP, "--gateways", "1", "--workers", "1"] if self._supervised else ["worker", APP]
        arguments = [sys.executable, "-m", "dayshift", *kind, "--slots", SLOTS[self.ask.question]]
        return Command(arguments, self._variables)

    async def workers_are_up(self, count: int) -> None:
        if self._processes:
            await asyncio.to_thread(wait_until_listening, self._port, self._processes[0])
        while len(workers := await self._workers()) < count:
            await asyncio.sleep(0.05)
        self._worker_pid = workers[0]["pid"]
        await self._set("tenants.bench.max_queued", 10_000_000)
        await self._set("queues.default.max_depth", 10_000_000)
        await self._set("queues.default.paused", value=self.ask.question != "latency")
        await asyncio.sleep(SETTING_SECONDS)

    async def _workers(self) -> list[dict[str, Any]]:
        try:
            workers: list[dict[str, Any]] = (await self._http.request("GET", "/v1/workers"))["data"]
        except OSError:  # the supervisor's gateway is not there yet
            return []
        return workers

    async def _set(self, path: str, value: Any) -> None:
        await self._http.request("PUT", f"/v1/settings/{path}", {"value": value})

    async def submit(self, agent: str, count: int) -> None:
        starts = iter(range(0, count, BATCH_ROWS))

        async def submitter() -> None:
            for start in starts:
                numbers = range(start, min(count, start + BATCH_ROWS))
                more = {"calls": self.ask.calls} if agent == "agent" else {}
                tasks = [{"agent": agent, "input": {"number": number, **more}} for number in numbers]
                answer = await self._http.request("POST", "/v1/tasks/batch", {"tasks": tasks})
                if any("id" not in row for row in answer["data"]):
                    raise RuntimeError(f"the batch was answered {answer['data'][:1]}")

        await asyncio.gather(*(submitter() for _ in range(SUBMITTERS)))

    async def release(self) -> None:
        await self._set("queues.default.paused", value=False)

    async def call(self, number: int) -> int:
        body = {"agent": "noop", "input": {"number": number}}
        task = await self._http.request("POST", "/v1/tasks", body, "Prefer: wait=10\r\n")
        return int(task["output"])

    async def unfinished(self) -> int:
        """Up to 100 of each; the ledger answers."""
        waiting = [await self._http.request("GET", f"/v1/tasks?status={s}&limit=100") for s in ("queued", "running")]
        return sum(len(answer["data"]) for answer in waiting)

    def supervised_worker(self) -> int | None:
        return self._worker_pid if self._supervised else None

    def engine_pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    async def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            await asyncio.to_thread(process.wait, 30)


ADAPTER = Dayshift
