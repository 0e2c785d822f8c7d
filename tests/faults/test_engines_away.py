"""An engine that hangs, has no room, or remembers less than it did: under clients who go on all the while.

The engines' restarts and losses are in tests/system/test_planes_lost.py; these here last longer.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec import Struct, field

from tests.faults.fleet import Fleet
from tests.faults.postgres import DiskCannotBeFilled, Postgres
from tests.faults.valkey import Valkey
from tests.system.load import Load, final_of

pytestmark = pytest.mark.system

WORKERS = ("one", "two")
SLOTS = 30
CLIENTS = 3
FROZEN_SECONDS = 15.0
FULL_SECONDS = 6.0


class House(Struct):
    """Everything that a test here needs. `running` were entered before the trouble, and end after it."""

    postgres: Postgres
    valkey: Valkey
    fleet: Fleet
    load: Load
    running: list[str] = field(default_factory=list)
    worker_ids: list[str] = field(default_factory=list)
    during: Counter[int] = field(default_factory=Counter)

    async def suffer(self, begin: Callable[[], object], end: Callable[[], object], seconds: float) -> None:
        """Begin the trouble in the middle of everything, note what clients are told until it ends, and see all end well."""
        fleet = self.fleet
        self.worker_ids = [await fleet.worker_of(fleet[name]) for name in WORKERS]
        self.running = await fleet.submit_many([{"agent": "slow", "input": {"seconds": seconds + 3}}] * SLOTS)
        await fleet.all_entered(self.running)
        streams = [asyncio.create_task(final_of(fleet, task_id)) for task_id in self.running[:5]]
        async with self.load.going_on(fleet, CLIENTS):
            await flows(self.load, 10)
            before = self.load.statuses.copy()
            begin()
            await asyncio.sleep(seconds)
            self.during = self.load.statuses - before
            end()
            await flows(self.load, 10)
        assert self.load.wrong == []
        tasks = await fleet.all_ended([*self.running, *self.load.accepted])
        assert Counter(task["status"] for task in tasks) == {"succeeded": len(tasks)}
        assert {(task["attempt"], task["losses"], task["failures"]) for task in tasks} == {(1, 0, 0)}
        assert fleet.entries() == dict.fromkeys(self.running, 1)
        assert await asyncio.gather(*streams) == ["task.succeeded"] * len(streams)
        assert [await fleet.worker_of(fleet[name]) for name in WORKERS] == self.worker_ids
        await fleet.nothing_left()


async def flows(load: Load, count: int) -> None:
    """Wait until so many more requests were accepted."""
    wanted = len(load.accepted) + count
    async with asyncio.timeout(40):
        while len(load.accepted) < wanted:
            await asyncio.sleep(0.05)


async def opened(tmp_path: Path, postgres: Postgres) -> AsyncIterator[House]:
    valkey = Valkey(tmp_path / "valkey")
    await asyncio.gather(postgres.start(), valkey.start())
    fleet = Fleet(tmp_path, postgres.url, valkey.url)
    try:
        await fleet.open(workers=WORKERS, slots=SLOTS)
        yield House(postgres, valkey, fleet, Load())
    finally:
        postgres.thaw()
        valkey.thaw()
        await fleet.close()
        await asyncio.gather(postgres.close(), valkey.close())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for made in opened(tmp_path, Postgres(tmp_path / "postgres")):
        yield made


@pytest.fixture
async def house_on_a_small_disk(tmp_path: Path) -> AsyncIterator[House]:
    try:
        postgres = Postgres(tmp_path / "postgres", small_disk=True)
    except DiskCannotBeFilled as reason:
        pytest.skip(str(reason))
    async for made in opened(tmp_path, postgres):
        yield made


@pytest.mark.long_fault
async def test_a_valkey_that_hangs_stops_no_accept_and_no_attempt(house: House) -> None:
    await house.suffer(house.valkey.freeze, house.valkey.thaw, FROZEN_SECONDS)
    assert house.during[202] > 20
    assert set(house.load.statuses) == {202}


@pytest.mark.long_fault
async def test_a_postgres_that_hangs_is_told_to_clients_and_stops_no_attempt(house: House) -> None:
    await house.suffer(house.postgres.freeze, house.postgres.thaw, FROZEN_SECONDS)
    assert set(house.during) <= {202, 503}
    assert house.during[503] >= CLIENTS


@pytest.mark.long_fault
async def test_a_postgres_without_room_is_told_to_clients_and_loses_nothing(house_on_a_small_disk: House) -> None:
    house = house_on_a_small_disk
    await house.suffer(house.postgres.fill_disk, house.postgres.free_disk, FULL_SECONDS)
    assert house.during[503] >= CLIENTS


async def test_a_plane_set_back_to_an_older_state_runs_nothing_again_and_forgets_nothing(house: House) -> None:
    """As a lagging replica that is promoted: it proposes what has ended, and knows nothing of what came since."""
    fleet = house.fleet
    with fleet["one"].frozen(), fleet["two"].frozen():
        old = await fleet.submit_many([{"agent": "slow", "input": {"seconds": 0.1}}] * SLOTS)
        await fleet.queued_in_plane("slow", SLOTS)
        snapshot = await house.valkey.save_snapshot()
    await fleet.all_ended(old)
    running = await fleet.submit_many([{"agent": "slow", "input": {"seconds": 4}}] * SLOTS)
    await fleet.all_entered(running)
    with fleet["one"].frozen(), fleet["two"].frozen():
        waiting = await fleet.submit_many([{"agent": "slow", "input": {"seconds": 0.1}}] * SLOTS)
        await house.valkey.restart_with(snapshot)
    since = await fleet.submit_many([{"agent": "slow", "input": {"seconds": 0.1}}] * SLOTS)
    tasks = await fleet.all_ended([*old, *running, *waiting, *since])
    assert {(task["status"], task["attempt"], task["losses"]) for task in tasks} == {("succeeded", 1, 0)}
    assert fleet.entries() == dict.fromkeys([*old, *running, *waiting, *since], 1)
    fleet.plane.epoch = (await fleet.ledger.plane_state.get()).epoch
    await fleet.nothing_left()
