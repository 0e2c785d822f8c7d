"""One engine is lost in the middle of everything: clients are told the truth, and running work does not notice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from msgspec import Struct

from tests.faults.postgres import Postgres
from tests.faults.valkey import Valkey
from tests.system.house import House, clean_environment
from tests.system.load import Load, final_of

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
    load = Load()
    streams = [asyncio.create_task(final_of(house, task_id)) for task_id in running[:20]]
    async with load.going_on(house, CLIENTS):
        await asyncio.sleep(0.5)
        await lose(engines)
        before = len(load.accepted)

        async def flows_again() -> bool:
            return len(load.accepted) > before + 50

        await house.until(flows_again, "accepting again", seconds=30)
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
