"""Schedules over real engines: each due time becomes one task, whoever looks and whenever."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from dayshift.domain import events as domain_events
from dayshift.domain import ids
from dayshift.domain.clock import now
from dayshift.domain.errors import Conflict, InvalidInput, NotFound
from dayshift.domain.schedules import Schedule, Times
from dayshift.domain.settings import QueueSettings, Settings
from dayshift.domain.task import Task
from dayshift.ledger import AgentRow, Step
from dayshift.maintenance import MaintenanceConfig
from dayshift.maintenance.depth_gauge import DepthGauge
from dayshift.maintenance.scheduler import Scheduler
from dayshift.tasks.schedules import ScheduleChange, ScheduledTask, ScheduleRequest
from dayshift.tasks.schedules.requests import request_of
from dayshift.telemetry import subscribe

from .conftest import AGENT, SCHEMA, TENANT, Hands, House, opened

MIDNIGHT = datetime(2026, 10, 25, tzinfo=UTC)  # an hour before Berlin's clock goes back
TASK = ScheduledTask(agent=AGENT, input=msgspec.Raw(b'{"text": "hello"}'))
EARLIEST = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))  # in UTC it is before all that a datetime can say
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def scheduled(
    house: House, times: Times, *, next_at: datetime, task: ScheduledTask = TASK, **said: object
) -> Schedule:
    """A schedule of any time: requests know only those to come."""
    schedule = Schedule(
        **{
            "id": ids.new(ids.SCHEDULE),
            "tenant": TENANT,
            "name": ids.new("name_"),
            "times": times,
            "catch_up": "one",
            "task": msgspec.json.encode(task),
            "created_at": now(),
            "updated_at": now(),
            "next_at": next_at,
            **said,
        }
    )
    made = await house.ledger.schedules.create(schedule, most=100)
    assert made == schedule
    return made


async def hourly(house: House, **said: object) -> Schedule:
    return await scheduled(house, Times(every=3_600, start_at=MIDNIGHT), next_at=MIDNIGHT, **said)


async def again(house: House, schedule: Schedule) -> Schedule:
    return await house.services.schedules.get(TENANT, schedule.id)


async def tasks_of(house: House, schedule: Schedule) -> list[Task]:
    tasks = await house.ledger.tasks.list(TENANT, limit=1_000)
    return [task for task in reversed(tasks) if msgspec.json.decode(task.metadata).get("schedule") == schedule.id]


def due_times(tasks: Iterable[Task]) -> list[datetime]:
    return [datetime.fromisoformat(msgspec.json.decode(task.metadata)["due_at"]) for task in tasks]


async def test_a_due_time_becomes_a_task_that_a_worker_gets(house: House, hands: Hands) -> None:
    task = msgspec.structs.replace(TASK, priority=7, user="u", metadata=msgspec.Raw(b'{"mine": [1]}'))
    schedule = await hourly(house, task=task)
    assert await house.services.scheduling.make_due(MIDNIGHT - MINUTE)
    assert await tasks_of(house, schedule) == []
    assert await house.services.scheduling.make_due(MIDNIGHT)
    (made,) = await tasks_of(house, schedule)
    assert msgspec.json.decode(made.metadata) == {
        "mine": [1],
        "schedule": schedule.id,
        "due_at": "2026-10-25T00:00:00Z",
    }
    assert (made.agent, made.priority, made.user, bytes(made.input)) == (AGENT, 7, "u", b'{"text": "hello"}')
    found = await again(house, schedule)
    assert (found.next_at, found.last_due_at, found.last_task) == (MIDNIGHT + HOUR, MIDNIGHT, made.id)
    await house.told()
    assert await hands.claim() == [made.id]


async def test_a_task_does_not_start_before_its_due_time(house: House) -> None:
    at = now().replace(microsecond=0) + HOUR
    schedule = await scheduled(house, Times(at=at), next_at=at)
    await house.services.scheduling.make_due(at)  # by a process whose clock is an hour ahead
    (made,) = await tasks_of(house, schedule)
    assert made.run_at == at
    assert (await again(house, schedule)).status == "ended"


class MovedClock:
    """A clock for several loops that somebody else moves. A loop that asks again has done what was due before."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment
        self._asked: Counter[int] = Counter()

    def of(self, loop: int):
        def clock() -> datetime:
            self._asked[loop] += 1
            return self.moment

        return clock

    async def move(self, to: datetime, loops: Iterable[int]) -> None:
        """Move it, and wait until each of these loops has looked at the new time and come to its end."""
        self.moment = to
        before = self._asked.copy()
        async with asyncio.timeout(20):
            while any(self._asked[loop] < before[loop] + 2 for loop in loops):
                await asyncio.sleep(0.001)


@pytest.fixture
async def three_houses(house: House, ready_database_url: str, valkey_url: str) -> AsyncIterator[list[House]]:
    async with (
        opened(House(ready_database_url, valkey_url)) as two,
        opened(House(ready_database_url, valkey_url)) as three,
    ):
        yield [house, two, three]


def berlin(cron: str) -> Times:
    return Times(cron=cron, time_zone="Europe/Berlin")


def autumn(*clocks: str) -> list[datetime]:
    return [datetime.fromisoformat(f"2026-10-{clock}Z") for clock in clocks]


def spring(*clocks: str) -> list[datetime]:
    return [datetime.fromisoformat(f"2026-03-{clock}Z") for clock in clocks]


# Times, catch-up, what is due, and the first and the last that is skipped. Berlin shows 1 at 23:00 UTC, 2 at 00:00 and again at 01:00, 3 at 02:00.
CLOCK_GOES_BACK = [
    (berlin("0 * * * *"), "skip", autumn("24T23:00", "25T00:00", "25T04:00"), autumn("25T01:00", "25T03:00")),
    (
        berlin("0 * * * *"),
        "one",
        autumn("24T23:00", "25T00:00", "25T03:00", "25T04:00"),
        autumn("25T01:00", "25T02:00"),
    ),
    (berlin("0 * * * *"), "all", autumn("24T23:00", "25T00:00", "25T01:00", "25T02:00", "25T03:00", "25T04:00"), None),
    (berlin("30 2 * * *"), "skip", [], autumn("25T00:30", "25T00:30")),
    (berlin("30 2 * * *"), "one", autumn("25T00:30"), None),
    (berlin("*/30 2 * * *"), "all", autumn("25T00:00", "25T00:30", "25T01:00", "25T01:30"), None),
    (berlin("30 1,4 * * *"), "all", autumn("24T23:30", "25T03:30"), None),
    (
        Times(every=3_000, start_at=autumn("24T22:30")[0]),
        "one",
        autumn("24T23:20", "25T00:10", "25T02:40", "25T03:30"),
        autumn("25T01:00", "25T01:50"),
    ),
    (Times(at=autumn("25T02:00")[0]), "skip", [], autumn("25T02:00", "25T02:00")),
    (Times(at=autumn("25T02:00")[0]), "one", autumn("25T02:00"), None),
    (Times(at=autumn("25T05:00")[0]), "one", [], None),
]
# It shows 0 at 23:00 UTC, 1 at 00:00, 3 at 01:00.
CLOCK_GOES_ON = [
    (berlin("0 * * * *"), "skip", spring("28T23:00", "29T00:00", "29T04:00"), spring("29T01:00", "29T03:00")),
    (
        berlin("0 * * * *"),
        "one",
        spring("28T23:00", "29T00:00", "29T03:00", "29T04:00"),
        spring("29T01:00", "29T02:00"),
    ),
    (berlin("0 * * * *"), "all", spring("28T23:00", "29T00:00", "29T01:00", "29T02:00", "29T03:00", "29T04:00"), None),
    (berlin("30 2 * * *"), "skip", [], spring("29T01:00", "29T01:00")),
    (berlin("30 2 * * *"), "one", spring("29T01:00"), None),
    (berlin("0,30 2,3 * * *"), "one", spring("29T01:30"), spring("29T01:00", "29T01:00")),
    (berlin("0,30 2,3 * * *"), "all", spring("29T01:00", "29T01:30"), None),
    (berlin("*/30 2 * * *"), "all", [], None),
    (berlin("30 */2 * * *"), "all", spring("28T23:30", "29T02:30"), None),
    (
        Times(every=3_000, start_at=spring("28T22:30")[0]),
        "all",
        spring("28T23:20", "29T00:10", "29T01:00", "29T01:50", "29T02:40", "29T03:30"),
        None,
    ),
]


@pytest.mark.parametrize(
    ("midnight", "expected"),
    [(autumn("25T00:00")[0], CLOCK_GOES_BACK), (spring("29T00:00")[0], CLOCK_GOES_ON)],
    ids=["back", "on"],
)
async def test_three_processes_a_change_of_the_clock_and_three_hours_without_any(
    three_houses: list[House],
    midnight: datetime,
    expected: list[tuple[Times, str, list[datetime], list[datetime] | None]],
) -> None:
    """From an hour and a half before midnight (UTC) on. For three hours, in which Berlin's clock is changed at 01:00, nobody looks."""
    house = three_houses[0]
    start, down_at, up_at, end = (midnight + timedelta(hours=hours) for hours in (-1.5, 1 / 6, 3 + 1 / 6, 4 + 1 / 30))
    schedules = [
        await scheduled(house, times, next_at=_first(times, start), catch_up=catch_up)
        for times, catch_up, _, _ in expected
    ]
    clock, stop, config = MovedClock(start), asyncio.Event(), MaintenanceConfig(schedule_interval=0.001)
    running = [
        asyncio.ensure_future(Scheduler(each.services, config, clock.of(number)).run(stop))
        for number, each in enumerate(three_houses)
    ]
    while clock.moment < down_at:
        await clock.move(clock.moment + timedelta(seconds=50), range(3))
    await clock.move(up_at, range(3))
    running[2].cancel()  # amid whatever it does
    while clock.moment < end:
        await clock.move(clock.moment + timedelta(seconds=50), range(2))
    stop.set()
    await asyncio.gather(*running, return_exceptions=True)

    for schedule, (times, catch_up, due, skipped) in zip(schedules, expected, strict=True):
        found = await again(house, schedule)
        assert due_times(await tasks_of(house, schedule)) == due, (times, catch_up)
        assert [found.skipped_from, found.skipped_until] == (skipped or [None, None]), (times, catch_up)
        assert found.error_code is None


def _first(times: Times, start: datetime) -> datetime:
    from dayshift.tasks.schedules.due_times import due_after

    found = due_after(times, start)
    assert found is not None
    return found


async def test_many_at_once_are_shared_by_all_who_look(three_houses: list[House]) -> None:
    house = three_houses[0]
    schedules = [await hourly(house, catch_up="all") for _ in range(20)]
    moment = MIDNIGHT + timedelta(hours=2, minutes=5)
    await asyncio.gather(*(each.services.scheduling.make_due(moment) for each in three_houses * 2))
    tasks = await house.ledger.tasks.list(TENANT, limit=1_000)
    assert len(tasks) == 60
    for schedule in schedules:
        assert due_times(await tasks_of(house, schedule)) == [MIDNIGHT, MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR]


async def test_who_decided_on_a_schedule_that_was_changed_since_makes_nothing(house: House) -> None:
    schedule = await hourly(house)
    await house.services.schedules.change(TENANT, schedule.id, ScheduleChange(name="another"))
    new = await house.services.intake.admitted(request_of(schedule, MIDNIGHT), tenant=TENANT)
    assert await house.ledger.schedules.advance(schedule, Step(next_at=None, tasks=[new], due=[MIDNIGHT])) is None
    assert await tasks_of(house, schedule) == []
    assert (await again(house, schedule)).next_at == MIDNIGHT


async def test_what_a_queue_has_no_room_for_waits_and_says_so(house: House) -> None:
    refused: list[domain_events.ScheduleRefused] = []
    end = subscribe(domain_events.ScheduleRefused, refused.append)
    await DepthGauge(house.services, MaintenanceConfig()).run_once()
    house.settings = Settings(queues={"default": QueueSettings(max_depth=2)})
    schedule = await hourly(house, catch_up="all")
    moment = MIDNIGHT + timedelta(hours=4, minutes=2)
    await house.services.scheduling.make_due(moment)
    assert due_times(await tasks_of(house, schedule)) == [MIDNIGHT, MIDNIGHT + HOUR]
    waiting = await again(house, schedule)
    assert (waiting.error_code, waiting.next_at) == ("queue_full", MIDNIGHT + 2 * HOUR)
    assert "max_depth" in (waiting.error_message or "")
    assert waiting.retry_at == moment + timedelta(seconds=10)
    house.settings = Settings()
    await house.services.scheduling.make_due(moment + timedelta(seconds=9))
    assert len(await tasks_of(house, schedule)) == 2
    await house.services.scheduling.make_due(moment + timedelta(seconds=10))
    assert due_times(await tasks_of(house, schedule)) == [MIDNIGHT + number * HOUR for number in range(5)]
    served = await again(house, schedule)
    assert (served.error_code, served.retry_at, served.next_at) == (None, None, MIDNIGHT + 5 * HOUR)
    end()
    assert [(event.schedule, event.error_code) for event in refused] == [(schedule.id, "queue_full")]


@pytest.mark.parametrize(("catch_up", "made"), [("skip", []), ("one", [MIDNIGHT])])
async def test_an_agent_that_comes_later_gets_what_is_not_missed_for_good(
    house: House, catch_up: str, made: list[datetime]
) -> None:
    schedule = await hourly(house, catch_up=catch_up, task=ScheduledTask(agent="later"))
    for seconds in range(0, 120, 11):
        await house.services.scheduling.make_due(MIDNIGHT + timedelta(seconds=seconds))
    found = await again(house, schedule)
    skips = catch_up == "skip"
    assert (found.error_code, found.next_at) == ((None, MIDNIGHT + HOUR) if skips else ("unknown_agent", MIDNIGHT))
    assert (found.skipped_from, found.skipped_until) == ((MIDNIGHT, MIDNIGHT) if skips else (None, None))
    await house.ledger.registry.register(
        [AgentRow(name="later", version="v1", queue="default", input_schema=b"{}", output_schema=b"{}")]
    )
    await house.services.scheduling.make_due(MIDNIGHT + timedelta(seconds=140))
    assert due_times(await tasks_of(house, schedule)) == made


async def test_one_that_cannot_be_carried_out_holds_up_no_other(house: House) -> None:
    faults: list[domain_events.Fault] = []
    end = subscribe(domain_events.Fault, faults.append)
    broken = await scheduled(house, Times(cron="0 * * * *", time_zone="Atlantis/Capital"), next_at=MIDNIGHT - HOUR)
    schedule = await hourly(house)
    assert await house.services.scheduling.make_due(MIDNIGHT)
    end()
    assert due_times(await tasks_of(house, schedule)) == [MIDNIGHT]
    found = await again(house, broken)
    assert (found.error_code, found.next_at) == ("internal_error", MIDNIGHT - HOUR)
    assert [fault.where for fault in faults] == ["schedules"]


async def test_large_inputs_are_made_in_small_steps(house: House) -> None:
    big = ScheduledTask(agent="big", input=msgspec.Raw(msgspec.json.encode({"text": "x" * 600_000})))
    await house.ledger.registry.register(
        [AgentRow(name="big", version="v1", queue="default", input_schema=b"{}", output_schema=b"{}")]
    )
    schedule = await hourly(house, catch_up="all", task=big)
    assert await house.services.scheduling.make_due(MIDNIGHT + 15 * HOUR)
    assert due_times(await tasks_of(house, schedule)) == [MIDNIGHT + number * HOUR for number in range(16)]
    assert (await again(house, schedule)).revision == 3  # steps of six


async def test_pausing_skips_and_resuming_goes_on(house: House) -> None:
    made = await house.services.schedules.create(TENANT, ScheduleRequest(name="ticks", task=TASK, every=3_600))
    paused = await house.services.schedules.pause(TENANT, made.id)
    assert (paused.status, paused.next_at) == ("paused", None)
    assert await house.services.schedules.pause(TENANT, made.id) == paused
    await house.services.scheduling.make_due(now() + 5 * HOUR)
    assert await tasks_of(house, made) == []
    resumed = await house.services.schedules.resume(TENANT, made.id)
    assert (resumed.status, resumed.next_at) == ("active", made.next_at)
    assert await house.services.schedules.resume(TENANT, made.id) == resumed


async def test_one_whose_time_passed_while_it_was_paused_is_not_resumed(house: House) -> None:
    schedule = await scheduled(house, Times(at=MIDNIGHT), next_at=MIDNIGHT)
    await house.services.schedules.pause(TENANT, schedule.id)
    if now() > MIDNIGHT:
        with pytest.raises(Conflict, match="give it another") as caught:
            await house.services.schedules.resume(TENANT, schedule.id)
        assert caught.value.code == "schedule_ended"


async def test_other_times_begin_now_and_what_was_refused_is_tried_again(house: House) -> None:
    schedule = await hourly(house, task=ScheduledTask(agent="nobody"))
    await house.services.scheduling.make_due(MIDNIGHT)
    assert (await again(house, schedule)).error_code == "unknown_agent"
    mended = await house.services.schedules.change(TENANT, schedule.id, ScheduleChange(task=TASK))
    assert (mended.error_code, mended.retry_at, mended.next_at) == (None, None, MIDNIGHT)
    moved = await house.services.schedules.change(
        TENANT, schedule.id, ScheduleChange(cron="0 0 1 1 *", time_zone="Asia/Tokyo")
    )
    assert moved.times == Times(cron="0 0 1 1 *", time_zone="Asia/Tokyo")
    assert moved.next_at is not None
    assert (moved.next_at > now(), moved.next_at.hour) == (True, 15)
    zoned = await house.services.schedules.change(TENANT, schedule.id, ScheduleChange(time_zone="UTC"))
    assert (zoned.times.cron, zoned.next_at and zoned.next_at.hour) == ("0 0 1 1 *", 0)


async def test_trigger_makes_a_task_beside_the_due_times(house: House) -> None:
    schedule = await hourly(house)
    await house.services.schedules.pause(TENANT, schedule.id)
    receipt, _ = await house.services.schedules.trigger(TENANT, schedule.id, key="once")
    again_receipt, _ = await house.services.schedules.trigger(TENANT, schedule.id, key="once")
    assert again_receipt.replayed
    assert [task.id for task in await tasks_of(house, schedule)] == [receipt.task.id]
    assert msgspec.json.decode(receipt.task.metadata) == {"schedule": schedule.id}
    with pytest.raises(NotFound):
        await house.services.schedules.trigger("other", schedule.id)


async def test_names_are_taken_once_and_there_is_an_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    schedules = house.services.schedules
    first = await schedules.create(TENANT, ScheduleRequest(name="a", task=TASK, every=60))
    with pytest.raises(Conflict, match=first.id):
        await schedules.create(TENANT, ScheduleRequest(name="a", task=TASK, every=60))
    await schedules.create("other", ScheduleRequest(name="a", task=TASK, every=60))
    second = await schedules.create(TENANT, ScheduleRequest(name="b", task=TASK, every=60))
    with pytest.raises(Conflict, match="named 'a'"):
        await schedules.change(TENANT, second.id, ScheduleChange(name="a"))
    monkeypatch.setattr("dayshift.tasks.schedules.schedules.MOST_SCHEDULES", 2)
    with pytest.raises(Conflict, match="delete one"):
        await schedules.create(TENANT, ScheduleRequest(name="c", task=TASK, every=60))
    await schedules.delete(TENANT, first.id)
    await schedules.create(TENANT, ScheduleRequest(name="a", task=TASK, every=60))


@pytest.mark.parametrize(
    ("said", "paths"),
    [
        ({}, ["cron"]),
        ({"cron": "* * * * *", "every": 5}, ["every"]),
        ({"cron": "99 * * * *"}, ["cron"]),
        ({"cron": "* * */20 * 1L"}, ["cron"]),
        ({"cron": "* * * * *", "time_zone": "Mars/Base"}, ["time_zone"]),
        ({"cron": "* * * * *", "start_at": MIDNIGHT}, ["start_at"]),
        ({"every": 5, "time_zone": "UTC"}, ["time_zone"]),
        ({"at": datetime(2020, 1, 1, tzinfo=UTC)}, ["at"]),
        ({"at": datetime(3000, 1, 1, tzinfo=UTC)}, ["at"]),
        ({"every": 5, "start_at": datetime(3000, 1, 1, tzinfo=UTC)}, ["start_at"]),
        ({"every": 5, "start_at": EARLIEST}, ["start_at"]),
        ({"at": EARLIEST}, ["at"]),
        ({"every": 5, "task": ScheduledTask(agent=AGENT)}, ["task.input"]),
        ({"every": 5, "task": ScheduledTask(agent="nobody")}, ["task.agent"]),
        ({"every": 5, "task": msgspec.structs.replace(TASK, priority=10)}, ["task.priority"]),
        (
            {"every": 5, "task": msgspec.structs.replace(TASK, metadata=msgspec.Raw(b'{"due_at": 1}'))},
            ["task.metadata.due_at"],
        ),
    ],
)
async def test_what_is_wrong_is_told_with_its_path(house: House, said: dict[str, object], paths: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.services.schedules.create(TENANT, ScheduleRequest(**{"name": "x", "task": TASK, **said}))
    assert [fault.path for fault in caught.value.errors] == paths


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (ScheduledTask(agent="nobody"), "no agent is named 'nobody'"),
        (msgspec.structs.replace(TASK, priority=10), "task.priority: must be from 0 to 9"),
    ],
)
async def test_the_sentence_about_a_task_reads_well(house: House, task: ScheduledTask, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await house.services.schedules.create(TENANT, ScheduleRequest(name="x", task=task, every=5))
    assert caught.value.message.startswith(sentence)


async def test_the_schema_is_that_of_the_agents_newest_version(house: House) -> None:
    """A schedule outlives versions: its input is checked again whenever it is due."""
    schedule = await hourly(house)
    newer = SCHEMA.replace(b'"text"', b'"words"')
    await house.ledger.registry.register(
        [AgentRow(name=AGENT, version="v2", queue="default", input_schema=newer, output_schema=b"{}")]
    )
    await house.services.agents_known.refresh()
    await house.services.scheduling.make_due(MIDNIGHT)
    found = await again(house, schedule)
    assert found.error_code == "invalid_input"
    assert "text" in (found.error_message or "")
