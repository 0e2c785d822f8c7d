"""Real processes for a fault to hit, each with ways of its own to the engines: a proxy before PostgreSQL, one before Valkey.

gateway       behind a proxy, too: `door`
workers       as many as a test starts, by name
maintenance   straight on the engines; it is never what is hit here
"""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from tests.faults import dialects
from tests.faults.dialects import MakeDialect
from tests.faults.proxy import Proxy
from tests.faults.started import Process, start_dayshift
from tests.hotplane.audit import audit
from tests.system.house import House, clean_environment, free_port

ROOT = Path(__file__).parents[2]
AGENTS = "tests.faults.agents"
BOOKS_ARE_READ = 5


class Fleet(House):
    """`open`, then start what the test needs; `close` ends it all."""

    def __init__(self, folder: Path, database_url: str, valkey_url: str) -> None:
        super().__init__(folder, {
            **clean_environment(),
            "DAYSHIFT_DATABASE_URL": database_url,
            "DAYSHIFT_VALKEY_URL": valkey_url,
            "DAYSHIFT_DATA": str(folder / "data"),
            "DAYSHIFT_HOST": "127.0.0.1",
            "DAYSHIFT_LOG": "json",
            "OPENAI_API_KEY": "not-used",
            "WITNESS": str(folder / "witness.txt"),
            "PYTHONPATH": str(ROOT),
        })  # fmt: skip
        self.witness_path = folder / "witness.txt"
        self.processes: dict[str, Process] = {}
        self.door: Proxy
        self.plane = Plane(valkey_url)
        self.ledger = Ledger(database_url, pool_size=2)
        self._proxies: list[Proxy] = []

    async def open(
        self,
        *,
        workers: Iterable[str] = ("worker",),
        slots: int = 50,
        gateway: Mapping[str, str] | None = None,
        worker: Mapping[str, str] | None = None,
    ) -> None:
        """The schema, maintenance, a gateway, and these workers; returns when all of them are known.

        `gateway`, `worker`: their environments, where it is not everybody's.
        """
        async with self.ledger:
            await self.ledger.migrate()
        await self.ledger.open()
        await self.plane.open()
        names = list(workers)
        starting = [self.start_worker(name, slots=slots, environment=worker) for name in names]
        await asyncio.gather(self.start_gateway(environment=gateway), self.start_maintenance(), *starting)
        await self.until(lambda: self.has_workers(len(names)), f"{len(names)} workers")
        await self.until(self._plane_is_built, "the plane built")

    async def start_gateway(self, *, environment: Mapping[str, str] | None = None) -> Process:
        """A gateway that lets this machine in without a key; `http` asks it straight, `through_door` by its proxy."""
        port = free_port()
        options = ("--port", str(port), "--open-loopback")
        started = await self._spawn("gateway", "gateway", *options, environment=environment)
        self.url = f"http://127.0.0.1:{port}"
        self.door = await self._proxy(("127.0.0.1", port), dialects.Http)
        await self.http.aclose()
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=90)
        await self.until(self._is_ready, "ready")
        return started

    async def start_worker(
        self,
        name: str = "worker",
        *,
        slots: int = 50,
        grace_seconds: float = 30.0,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        options = ("--slots", str(slots), "--grace", str(grace_seconds))
        return await self._spawn(name, "worker", AGENTS, *options, environment=environment)

    async def start_maintenance(self) -> Process:
        return await self._spawn("maintenance", "maintenance")

    def through_door(self) -> httpx2.AsyncClient:
        """A client whose every request goes through the proxy before the gateway."""
        return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.door.port}", timeout=30)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def entries(self) -> Counter[str]:
        """How often the code of each task was entered, as the outside saw it."""
        return Counter(line[0] for line in self.witnessed() if line[-1] not in {"done", "stopped"})

    def witnessed(self) -> list[list[str]]:
        if not self.witness_path.exists():
            return []
        return [line.split() for line in self.witness_path.read_text().splitlines()]

    async def all_entered(self, ids: list[str], times: int = 1) -> None:
        """Wait until the code of each was entered that often."""

        async def entered() -> bool:
            entries = self.entries()
            return all(entries[task_id] >= times for task_id in ids)

        await self.until(entered, f"all entered {times} times")

    async def queued_in_plane(self, agent: str, count: int) -> None:
        """Wait until so many tasks of the agent stand ready in the hot plane."""

        async def are_ready() -> bool:
            epoch = (await self.plane.state()).marker_epoch  # maintenance may have begun after we looked first
            ready = await self.plane._wire.ask(b"HGET", f"ds:{{0}}:E{epoch}:ready", agent)
            return int(ready or 0) >= count

        await self.until(are_ready, f"{count} tasks of {agent} in the plane")

    async def nothing_left(self) -> None:
        """Wait until the hot plane shows no task with any worker, and its books agree, as they must once all have ended."""

        async def is_empty() -> bool:
            return not await self.plane.holders()

        await self.until(is_empty, "every slot freed in the plane", seconds=20)
        for _ in range(BOOKS_ARE_READ):
            with contextlib.suppress(AssertionError, KeyError):  # maintenance may announce something meanwhile
                await audit(self.plane)
                return
            await asyncio.sleep(0.1)
        await audit(self.plane)

    async def events_of(self, task_id: str) -> list[str]:
        """The types of an ended task's events, in the order of its stream."""
        return [name for _, name in await self.stream_of(task_id)]

    async def stream_of(self, task_id: str, *, after: int = 0, events: int | None = None) -> list[tuple[int, str]]:
        """Number and type of a task's events behind `after`, until its stream ends or so many have come."""
        found: list[tuple[int, str]] = []
        number = 0
        async with self.http.stream("GET", f"/v1/tasks/{task_id}/events", params={"after": after}) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("event: "):
                    found.append((number, line[7:]))
                    if len(found) == events:
                        break
        return found

    async def worker_of(self, process: Process) -> str:
        """The id under which a worker process is known now."""
        rows = {row["pid"]: row["id"] for row in await self.workers()}
        return str(rows[process.pid])

    def heal(self) -> None:
        for proxy in self._proxies:
            proxy.heal()

    async def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End one process and wait until it is gone."""
        await self.processes.pop(name).end(number)

    async def close(self) -> None:
        await asyncio.gather(*(self.end(name) for name in list(self.processes)))
        await asyncio.gather(*(proxy.close() for proxy in self._proxies))
        await self.plane.close()
        await self.ledger.close()
        await super().close()

    def log(self) -> str:
        """The ends of all logs, for a failure."""
        paths = [process.log_path for process in self.processes.values()]
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in paths)

    async def until(self, condition: Any, what: str, *, seconds: float = 60) -> None:
        gone = [process.name for process in self.processes.values() if process.child.returncode is not None]
        assert not gone, f"{gone} ended:\n{self.log()}"
        await super().until(condition, what, seconds=seconds)

    async def _plane_is_built(self) -> bool:
        """Whether it is ready under the ledger's epoch, which the test's own plane takes over then."""
        self.plane.epoch = (await self.ledger.plane_state.get()).epoch
        return (await self.plane.state()).marker_epoch == self.plane.epoch

    async def _spawn(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        ledger = await self._proxy_before(self.environment["DAYSHIFT_DATABASE_URL"], dialects.Postgres)
        plane = await self._proxy_before(self.environment["DAYSHIFT_VALKEY_URL"], dialects.Valkey)
        env = {
            **self.environment,
            **(environment or {}),
            "DAYSHIFT_DATABASE_URL": ledger.url(self.environment["DAYSHIFT_DATABASE_URL"]),
            "DAYSHIFT_VALKEY_URL": plane.url(self.environment["DAYSHIFT_VALKEY_URL"]),
        }
        log_path = self.folder / f"{name}.jsonl"
        child = await start_dayshift(*arguments, environment=env, log_path=log_path)
        made = self.processes[name] = Process(name, ledger, plane, log_path, child)
        return made

    async def _proxy_before(self, url: str, dialect: MakeDialect) -> Proxy:
        address = url.rpartition("@")[2].partition("/")[0]
        host, _, port = address.rpartition(":")
        return await self._proxy((host, int(port)), dialect)

    async def _proxy(self, upstream: tuple[str, int], dialect: MakeDialect) -> Proxy:
        made = Proxy(upstream, dialect)
        await made.start()
        self._proxies.append(made)
        return made
