"""A small house for one worker: real ledger, real plane, the services, and what app.py would wire."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec

from dayshift.agents import LoadedAgents, load
from dayshift.domain.events import WorkerReady
from dayshift.domain.settings import Settings
from dayshift.domain.task import Task
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.llm.budgets import Budgets
from dayshift.llm.capture import Addresses, capturing
from dayshift.llm.layer import LlmLayer
from dayshift.llm.providers import addresses_of, first_providers
from dayshift.llm.routing import Provider
from dayshift.tasks.announce import Announce
from dayshift.tasks.inputs import TaskRequest
from dayshift.tasks.policy import Policy
from dayshift.tasks.rebuild import Rebuild
from dayshift.tasks.services import Services
from dayshift.telemetry import subscribe
from dayshift.worker import Worker

AGENTS = Path(__file__).with_name("agents_under_test.py")
ROOT = Path(__file__).parents[2]
TENANT = "acme"


class House:
    """What a test holds in its hands. `settings` may be swapped; `look_again` follows. `agents` is the file of workers to come."""

    def __init__(
        self,
        database_url: str,
        valkey_url: str,
        *,
        version: str = "test",
        pins: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.database_url = database_url
        self.valkey_url = valkey_url
        self.settings = Settings()
        self.agents = AGENTS
        self.worker: Worker | None = None
        self.ledger = Ledger(database_url)
        self.plane = Plane(valkey_url)
        self.children: list[asyncio.subprocess.Process] = []
        self.services = Services(
            self.ledger,
            self.plane,
            lambda: self.settings,
            version=version,
            pins=pins,
            worker_id=lambda: self.worker.worker_id if self.worker is not None else None,
        )

    def make_worker(self, loaded: LoadedAgents, **options) -> Worker:
        defaults = {
            "slots": 20,
            "grace_seconds": 30.0,
            "spawn_quarantine": self.spawn_quarantine,
            "heartbeat_planes": lambda: (Ledger(self.database_url, pool_size=2), Plane(self.valkey_url)),
        }
        self.worker = Worker(
            self.services,
            loaded,
            **(defaults | options),
        )
        return self.worker

    async def spawn_quarantine(self, task_id: str, worker_id: str) -> "AloneProcess":
        process = await asyncio.create_subprocess_exec(
            *process_command("alone", task_id, worker_id), env=self.environment
        )
        self.children.append(process)
        return AloneProcess(process)

    @property
    def environment(self) -> dict[str, str]:
        engines = {"HOUSE_DATABASE": self.database_url, "HOUSE_VALKEY": self.valkey_url}
        return {**os.environ, **engines, "HOUSE_AGENTS": str(self.agents)}

    def start_process(self) -> subprocess.Popen[bytes]:
        """A worker in a process of its own."""
        return subprocess.Popen(process_command("worker"), env=self.environment)

    async def submit(self, agent: str, *, options: dict | None = None, **task_input) -> str:
        request = TaskRequest(agent=agent, input=msgspec.Raw(msgspec.json.encode(task_input)), **(options or {}))
        receipt = await self.services.intake.submit(request, tenant=TENANT)
        return receipt.task.id

    async def finished(self, task_id: str, seconds: float = 30.0) -> Task:
        task = await self.services.waiters.wait(task_id, TENANT, seconds)
        assert task is not None, f"{await self.ledger.tasks.get(task_id, None)} did not end in {seconds} s"
        return task

    async def event(self, task_id: str, name: str, seconds: float = 15.0) -> dict:
        """Wait for an event of the task's stream, by its type or its emitted name."""
        async with asyncio.timeout(seconds):
            async with contextlib.aclosing(self.services.waiters.stream(task_id, TENANT)) as events:
                async for event in events:
                    data = msgspec.json.decode(event.data)
                    if name in (event.type, data.get("name")):
                        return {"type": event.type, **data}
        raise AssertionError(f"the stream ended without {name}")


def process_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.worker.process", *words]


@contextlib.asynccontextmanager
async def opened(house: House, *, rebuild: bool = True) -> AsyncIterator[House]:
    await house.ledger.open()
    await house.ledger.migrate()
    await house.plane.open()
    if rebuild:
        policy, announce = Policy(house.plane, lambda: house.settings), Announce(house.ledger, house.plane)
        await Rebuild(house.ledger, house.plane, policy, announce).rebuild_if_lost()
    await house.services.open()
    try:
        yield house
    finally:
        await house.services.close()
        await house.plane.close()
        await house.ledger.close()


@contextlib.asynccontextmanager
async def working(house: House, loaded: LoadedAgents | None = None, **options) -> AsyncIterator[Worker]:
    """A worker in this process, drained at the end."""
    ready = asyncio.Event()
    end = subscribe(WorkerReady, lambda _: ready.set())
    with capturing(addresses_now):
        async with llm_layer(house) as llm:
            worker = house.make_worker(loaded or load(str(house.agents)), **{**llm, **options})
            running = asyncio.create_task(worker.run())
            await asyncio.wait_for(ready.wait(), 30)
            end()
            try:
                yield worker
            finally:
                worker.stop_hard()
                await asyncio.wait_for(running, 30)


@contextlib.asynccontextmanager
async def llm_layer(house: House) -> AsyncIterator[dict[str, Any]]:
    """The way of LLM calls, as app.py wires it: what a worker is given."""
    budgets = Budgets(house.plane, house.ledger, lambda: house.settings)
    layer = LlmLayer(
        house.plane,
        house.services.pushes,
        lambda: house.settings,
        budgets=budgets,
        providers=providers_now(),
        secret_named=os.environ.get,
        on_back=house.services.provider_waits.is_back,
    )
    await layer.open()
    try:
        yield {"lines": layer.line, "budgets": budgets}
    finally:
        await layer.close()


def providers_now() -> tuple[Provider, ...]:
    """Those that the environment names at this moment."""
    return first_providers(**{name: os.environ.get(name.upper()) for name in ("openai_base_url", "anthropic_base_url")})


def addresses_now() -> Addresses:
    return addresses_of(providers_now())


def agents_under_test() -> ModuleType:
    """The agents' module, as the worker's loader knows it."""
    return sys.modules[AGENTS.stem]


async def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class AloneProcess:
    """A quarantine process without a supervisor's pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def wait_ended(self) -> int:
        return await self._process.wait()

    def drain(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
