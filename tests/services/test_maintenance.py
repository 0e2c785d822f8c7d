"""Maintenance as a whole: it runs, heals and stops, in any number of processes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dayshift import maintenance
from dayshift.domain import events as domain_events
from dayshift.domain.clock import now
from dayshift.domain.errors import PlaneAway, WrongUse
from dayshift.domain.settings import RetentionSettings, Settings
from dayshift.domain.task import Started, Status, TaskError
from dayshift.maintenance import MaintenanceConfig
from dayshift.maintenance import janitor as janitor_module
from dayshift.maintenance.depth_gauge import DepthGauge
from dayshift.maintenance.expirer import Expirer
from dayshift.maintenance.janitor import Janitor
from dayshift.maintenance.loop import Loop
from dayshift.maintenance.rescuer import Rescuer
from dayshift.tasks import Outcome
from dayshift.telemetry import subscribe

from .conftest import TENANT, Hands, House, eventually, opened

QUICK = MaintenanceConfig(rebuild_interval=0.2, announce_interval=0.2, rescue_interval=0.2, silent_after=1.0)


@pytest.fixture
async def maintained(house: House, ready_database_url: str, valkey_url: str) -> AsyncIterator[House]:
    """The house, with two maintenance processes beside it."""
    stop = asyncio.Event()
    async with (
        opened(House(ready_database_url, valkey_url)) as one,
        opened(House(ready_database_url, valkey_url)) as two,
    ):
        running = [asyncio.ensure_future(maintenance.run(each.services, stop, QUICK)) for each in (one, two)]
        yield house
        stop.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*running)


async def test_a_lost_plane_is_back_by_itself(maintained: House, hands: Hands) -> None:
    task_id = (await maintained.submit()).task.id
    await maintained.told()
    before = maintained.plane.epoch
    await maintained.plane._wire.ask(b"FLUSHDB")

    async def is_back() -> bool:
        try:
            return await hands.claim() == [task_id]
        except PlaneAway:
            return False

    await eventually(is_back, 15)
    assert maintained.plane.epoch == before + 1


async def test_a_silent_workers_task_is_started_elsewhere(maintained: House, hands: Hands) -> None:
    dead: list[domain_events.WorkerDead] = []
    end = subscribe(domain_events.WorkerDead, dead.append)
    task_id = (await maintained.submit()).task.id
    await maintained.told()
    await hands.claim()
    assert isinstance(await hands.start(task_id), Started)
    heir = await Hands(maintained).register()

    async def is_taken_over() -> bool:
        await maintained.ledger.workers.beat(heir.id, 0, False, 0.0)
        return any([isinstance(await heir.start(claimed), Started) for claimed in await heir.claim()])

    async def is_told() -> bool:
        return bool(dead)

    await eventually(is_taken_over, 15)
    await eventually(is_told)  # which comes behind the rescue that made the takeover possible
    end()
    assert [event.worker_id for event in dead] == [hands.id]


async def test_a_rescue_that_was_cut_short_between_the_planes_is_finished_at_once(house: House, hands: Hands) -> None:
    rescuer = Rescuer(house.services, MaintenanceConfig())
    await rescuer.run_once()  # what the plane alone remembers is not looked for again for minutes
    heir = await Hands(house).register()
    task_id = (await house.submit()).task.id
    await house.told()
    assert await hands.claim() == [task_id]
    await house.ledger.workers.release(hands.id, "its rescuer died before it reached the plane")
    await rescuer.run_once()
    assert await heir.claim() == [task_id]


async def test_a_rescuer_that_lost_the_plane_looks_at_all_it_holds_when_it_is_back(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_arguments: object) -> object:
        raise PlaneAway("Valkey does not answer")

    rescuer = Rescuer(house.services, MaintenanceConfig())
    await rescuer.run_once()
    heir = await Hands(house).register()
    task_id = (await house.submit()).task.id
    await house.told()
    assert await hands.claim() == [task_id]
    await house.ledger.workers.release(hands.id, "its process died")
    with monkeypatch.context() as patch:
        patch.setattr(house.plane, "release_worker", away)
        with pytest.raises(PlaneAway):
            await rescuer.run_once()
    async with house.ledger._db.transaction() as connection:
        await connection.execute(
            "UPDATE workers SET released_at = released_at - interval '1 hour' WHERE released_at IS NOT NULL"
        )
    await rescuer.run_once()
    assert await heir.claim() == [task_id]


async def test_expired_tasks_end_and_their_conversation_goes_on(house: House, hands: Hands) -> None:
    expiring = (await house.submit("1", conversation="c")).task.id
    behind = (await house.submit("2", conversation="c")).task.id
    async with house.ledger._db.transaction() as connection:
        await connection.execute(
            "UPDATE tasks SET expires_at = now() - interval '1 second' WHERE id = $1", expiring.removeprefix("task_")
        )
    await Expirer(house.services, MaintenanceConfig()).run_once()
    task = await house.services.waiters.wait(expiring, TENANT, 5)
    assert task is not None
    assert (task.status, task.error and task.error.code) == (Status.FAILED, "expired")
    await house.told()
    assert behind in await hands.claim_within(5, 5)


async def test_depths_are_counted_and_told_also_when_a_queue_runs_empty(house: House, hands: Hands) -> None:
    measured: list[domain_events.DepthMeasured] = []
    end = subscribe(domain_events.DepthMeasured, measured.append)
    gauge = DepthGauge(house.services, MaintenanceConfig(depth_interval=0.000_001, depth_duty_ratio=1.0))
    await house.submit()
    await house.told()
    await gauge.run_once()
    await hands.run((await hands.claim())[0])
    await gauge.run_once()
    end()
    assert [(event.queue, event.ready, event.running) for event in measured] == [("default", 1, 0), ("default", 0, 0)]
    depths = await house.ledger.tasks.depths()
    assert depths is not None
    assert depths.again_seconds > 0.000_001  # it took time, so it rests for longer


async def test_the_janitor_keeps_what_is_young_and_dead_letters(house: House, hands: Hands) -> None:
    house.settings = Settings(retention=RetentionSettings(tasks="1s"))
    done, dead = (await house.submit("1")).task.id, (await house.submit("2")).task.id
    await house.told()
    await hands.claim(2)
    for task_id, outcome in (
        (done, Outcome(kind="succeeded", output=b"1")),
        (dead, Outcome(kind="failed", error=TaskError("fatal", "no"))),
    ):
        started = await hands.start(task_id)
        assert isinstance(started, Started)
        await house.services.finishing.finish(started, hands.id, outcome)
    janitor = Janitor(house.services, MaintenanceConfig())
    await janitor.run_once()
    assert await house.ledger.tasks.get(done, TENANT) is not None

    async def is_gone() -> bool:
        await janitor.run_once()
        return await house.ledger.tasks.get(done, TENANT) is None

    await eventually(is_gone)
    assert await house.ledger.tasks.get(dead, TENANT) is not None


async def test_the_janitor_goes_on_at_once_while_there_is_more_than_a_turn_deletes(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor_module, "_PAGE", 1)
    monkeypatch.setattr(janitor_module, "_MOST_PAGES", 2)
    house.settings = Settings(retention=RetentionSettings(tasks="1s"))
    for _ in range(7):
        await house.submit()
    await house.told()
    sent = await hands.claim(7)
    for task_id in sent:
        await hands.run(task_id)
    janitor, stop = Janitor(house.services, MaintenanceConfig(janitor_interval=3_600)), asyncio.Event()

    async def all_are_old() -> bool:
        ended = [task.finished_at for task in await house.ledger.tasks.finished_among(sent)]
        return all(at is not None and (now() - at).total_seconds() > 1.5 for at in ended)

    await eventually(all_are_old)
    running = asyncio.ensure_future(janitor.run(stop))

    async def all_gone() -> bool:
        return await house.ledger.tasks.finished_among(sent) == []

    await eventually(all_gone)
    stop.set()
    await running


async def test_the_janitor_sweeps_through_conversations_and_keeps_histories_as_long_as_it_is_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor_module, "_PAGE", 2)
    monkeypatch.setattr(janitor_module, "_MOST_PAGES", 1)
    talks = house.ledger.conversations
    for number in range(4):
        await talks.create(TENANT, f"c{number}", [b"said"] if number == 1 else [])
    await house.submit(conversation="busy")

    async def names_after_a_sweep(**kept: str) -> list[str]:
        house.settings = Settings(retention=RetentionSettings(**kept))
        janitor = Janitor(house.services, MaintenanceConfig())
        for _ in range(3):  # a turn looks at one page
            await janitor.run_once()
        return sorted(row.name for row in await talks.list(TENANT, limit=9))

    async def silent_ones_are_gone() -> bool:
        return await names_after_a_sweep(tasks="1s") == ["busy", "c1"]

    assert await names_after_a_sweep() == ["busy", "c0", "c1", "c2", "c3"]
    await eventually(silent_ones_are_gone)
    assert await names_after_a_sweep(tasks="1s", conversations="1h") == ["busy", "c1"]
    assert await names_after_a_sweep(tasks="1h", conversations="1s") == ["busy"]


async def test_a_loop_survives_errors_backs_off_and_stops_at_once() -> None:
    class Failing(Loop):
        name = "failing"
        turns = 0

        async def run_once(self) -> None:
            self.turns += 1
            raise PlaneAway("gone") if self.turns % 2 else RuntimeError("a bug")

    faults: list[domain_events.Fault] = []
    end = subscribe(domain_events.Fault, faults.append)
    loop, stop = Failing(3_600), asyncio.Event()
    running = asyncio.ensure_future(loop.run(stop))

    async def turned() -> bool:
        loop.kick()
        return loop.turns >= 4

    await eventually(turned)
    stop.set()
    async with asyncio.timeout(2):
        await running
    end()
    assert [fault.error_type for fault in faults[:3]] == ["PlaneAway", "RuntimeError", "RuntimeError"]


@pytest.mark.parametrize("said", [{"silent_after": 0}, {"depth_interval": float("nan")}, {"depth_duty_ratio": 2}])
def test_a_config_that_makes_no_sense_is_refused(said: dict[str, float]) -> None:
    with pytest.raises(WrongUse):
        MaintenanceConfig(**said)
