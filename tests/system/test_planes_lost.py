"""One engine is lost in the middle of everything: clients are told the truth, and running work does not notice."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from msgspec import Struct, field

from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey
from tests.system.house import House, clean_environment

pytestmark = pytest.mark.system

RUNNING = 150
QUEUED = 250
CLIENTS = 6


class Engines(Struct):
    postgres: Postgres
    valkey: Valkey


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[Engines]:
    made = Engines(Postgres(tmp_path / "postgres"), Valkey(tmp_path / "valkey"))
    await asyncio.gather(made.postgres.start(), made.valkey.start())
    yield made
    await asyncio.gather(made.postgres.close(), made.valkey.close())


@pytest.fixture
async def house(tmp_path: Path, engines: Engines) -> AsyncIterator[House]:
    environment = {
        **clean_environment(),
        "DAYSHIFT_DATABASE_URL": engines.postgres.url,
        "DAYSHIFT_VALKEY_URL": engines.valkey.url,
        "DAYSHIFT_DATA": str(tmp_path / "data"),
        "DAYSHIFT_HOST": "127.0.0.1",
        "DAYSHIFT_LOG": "json",
        "OPENAI_API_KEY": "not-used",
        "WITNESS": str(tmp_path / "witness.txt"),
    }
    made = House(tmp_path, environment)
    yield made
    await made.close()


class Load(Struct):
    """What clients saw who went on all the while."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def submit_until(self, house: House, is_over: asyncio.Event, client: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            body = {"agent": "echo", "input": f"{client}-{number}"}
            try:
                answer = await house.http.post("/v1/tasks", json=body)
            except httpx2.TransportError as error:
                self.wrong.append(repr(error))  # no gateway was killed
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 202:
                self.accepted.append(answer.json()["id"])
            elif answer.status_code != 503 or "retry-after" not in answer.headers:
                self.wrong.append(f"{answer.status_code} {answer.text}")
            await asyncio.sleep(0.02)


Lose = Callable[[Engines], Awaitable[None]]


async def flush_all(engines: Engines) -> None:
    await engines.valkey.flushall()


async def kill_valkey(engines: Engines) -> None:
    await engines.valkey.restart_empty()


async def restart_postgres(engines: Engines) -> None:
    await engines.postgres.restart_immediate()


@pytest.mark.parametrize("lose", [flush_all, kill_valkey, restart_postgres])
async def test_losing_one_engine_costs_no_task_and_no_attempt(house: House, engines: Engines, lose: Lose) -> None:
    await house.serve(gateways=1, workers=2, slots=RUNNING)
    running = await house.submit_many([{"agent": "slow", "input": {"seconds": 4}}] * RUNNING)

    async def all_run() -> bool:
        [row] = await house.rows("SELECT count(*) n FROM tasks WHERE status = 'running'")
        return int(row["n"]) == RUNNING

    await house.until(all_run, "all running")
    queued = await house.submit_many([{"agent": "slow", "input": {"seconds": 0.2}}] * QUEUED)
    load, is_over = Load(), asyncio.Event()
    clients = [asyncio.create_task(load.submit_until(house, is_over, client)) for client in range(CLIENTS)]
    streams = [asyncio.create_task(final_of(house, task_id)) for task_id in running[:20]]
    await asyncio.sleep(0.5)
    await lose(engines)
    before = len(load.accepted)

    async def flows_again() -> bool:
        return len(load.accepted) > before + 50

    await house.until(flows_again, "accepting again", seconds=30)
    is_over.set()
    await asyncio.gather(*clients)
    tasks = await house.all_ended([*running, *queued, *load.accepted])
    assert load.wrong == []
    assert set(load.statuses) <= {202, 503}
    assert Counter(task["status"] for task in tasks) == {"succeeded": len(tasks)}
    assert [task["id"] for task in tasks if task["failures"] or task["losses"] or task["attempt"] != 1] == []
    assert entries(house) == dict.fromkeys([*running, *queued], 1), "no code was entered twice"
    assert await asyncio.gather(*streams) == ["task.succeeded"] * len(streams)


def entries(house: House) -> Counter[str]:
    """How often the code of each task was entered, as the outside saw it."""
    return Counter(line.split()[0] for line in Path(house.environment["WITNESS"]).read_text().splitlines())


async def final_of(house: House, task_id: str) -> str:
    """Follow the task's stream to its final event, by Last-Event-ID when it breaks; numbers rise all the way."""
    last, deadline = 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            async with house.http.stream(
                "GET", f"/v1/tasks/{task_id}/events", headers={"Last-Event-ID": str(last)}
            ) as answer:
                assert answer.status_code in {200, 503}
                name = ""
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        assert int(line[4:]) > last, "an event came twice, or out of order"
                        last = int(line[4:])
                    elif line.startswith("event: "):
                        name = line[7:]
                    elif line == "" and name in {"task.succeeded", "task.failed", "task.cancelled"}:
                        return name
        await asyncio.sleep(0.2)
    raise AssertionError(f"no final event of {task_id}")
