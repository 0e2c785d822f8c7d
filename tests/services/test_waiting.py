"""Waiters are woken by pushes, streams resume without a gap or a repeat, and neither asks the database meanwhile."""

import asyncio

import msgspec
import pytest

from dayshift.domain.errors import NotFound
from dayshift.domain.stream import Append
from dayshift.domain.task import Started, Status, TaskError
from dayshift.hotplane import StreamPage
from dayshift.tasks import Outcome, events, following

from .conftest import TENANT, Hands, House, eventually, opened


class Queries:
    """Counts what a process asks its ledger."""

    def __init__(self, house: House) -> None:
        self.count = 0
        database = house.ledger._db
        for name in ("fetch", "fetch_one", "batch"):
            setattr(database, name, self._counting(getattr(database, name)))

    def _counting(self, ask):
        async def counted(statement: str, *arguments: object):
            self.count += statement != "poll"
            return await ask(statement, *arguments)

        return counted


@pytest.fixture
async def door(house: House, ready_database_url: str, valkey_url: str):
    """Another process, such as a gateway beside the worker's."""
    async with opened(House(ready_database_url, valkey_url)) as door:
        yield door


async def started_task(house: House, hands: Hands) -> Started:
    receipt = await house.submit()
    await house.told()
    await hands.claim_within(5)
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    return started


async def finish(house: House, hands: Hands, started: Started, output: bytes = b'"done"') -> None:
    await house.services.finishing.finish(started, hands.id, Outcome(kind="succeeded", output=output))


async def collect(door: House, task_id: str, after: int = 0, until: str | None = None) -> list[tuple[int, str]]:
    found = []
    async with asyncio.timeout(10):
        stream = door.services.waiters.stream(task_id, TENANT, after)
        async for event in stream:
            found.append((event.number, event.type))
            if event.type == until:
                break
        await stream.aclose()
    return found


async def test_many_waiters_are_woken_without_one_query(house: House, hands: Hands, door: House) -> None:
    started = await started_task(house, hands)
    waiting = [asyncio.ensure_future(door.services.waiters.wait(started.id, TENANT, 30)) for _ in range(200)]
    reading = asyncio.ensure_future(collect(door, started.id))

    async def all_wait() -> bool:
        awaited = door.services.waiters._awaited.get(started.id)
        return awaited is not None and awaited.waiters == 201 and bool(awaited._readers)

    await eventually(all_wait)
    queries = Queries(door)
    await asyncio.sleep(1.2)  # long enough for anybody who polls each second to be seen
    await finish(house, hands, started)
    tasks = await asyncio.gather(*waiting)
    assert {task.status for task in tasks if task} == {Status.SUCCEEDED}
    assert (await reading)[-1][1] == "task.succeeded"
    assert queries.count == 0
    assert not door.services.waiters._awaited


async def test_who_comes_after_the_end_gets_it_and_who_waits_in_vain_is_told(
    house: House, hands: Hands, door: House
) -> None:
    started = await started_task(house, hands)
    assert await door.services.waiters.wait(started.id, TENANT, 0.05) is None
    await finish(house, hands, started)
    await house.told()
    for known in (False, True):
        task = await door.services.waiters.wait(started.id, TENANT, 5, known=known)
        assert task is not None
        assert bytes(task.output) == b'"done"'


async def test_a_reader_who_looks_just_before_the_first_event_is_told_no_snapshot(
    house: House, hands: Hands, door: House
) -> None:
    receipt = await house.submit()
    await house.told()
    read = door.plane.read

    async def read_just_before(*_: object) -> StreamPage:
        door.plane.read = read
        return StreamPage([], starts_at_beginning=False)

    door.plane.read = read_just_before
    reading = asyncio.ensure_future(collect(door, receipt.task.id))
    await eventually(lambda: _is_awaited(door, receipt.task.id))
    await hands.claim_within(5)
    await hands.run(receipt.task.id)
    assert [name for _, name in await reading] == ["task.queued", "task.started", "task.succeeded"]


async def test_an_end_too_large_to_be_pushed_is_fetched(house: House, hands: Hands, door: House) -> None:
    started = await started_task(house, hands)
    waiting = asyncio.ensure_future(door.services.waiters.wait(started.id, TENANT, 4))
    await eventually(lambda: _is_awaited(door, started.id))
    await finish(house, hands, started, b'"' + b"x" * 200_000 + b'"')
    task = await waiting
    assert task is not None
    assert len(bytes(task.output)) == 200_002


async def test_who_waits_for_a_retried_dead_letter_is_not_given_its_old_failure(
    house: House, hands: Hands, door: House
) -> None:
    started = await started_task(house, hands)
    async with door.services.waiters._awaiting(started.id) as awaited:  # somebody who stays, such as a slow reader
        await house.services.finishing.finish(started, hands.id, Outcome(kind="failed", error=TaskError("fatal", "x")))
        assert (await awaited.end_within(10)).status is Status.FAILED
        await house.services.control.retry(started.id, TENANT)

        async def is_open() -> bool:
            return awaited.ended is None

        await eventually(is_open)
        waiting = asyncio.ensure_future(door.services.waiters.wait(started.id, TENANT, 20, known=True))
        await hands.run((await hands.claim_within(5))[0])
        assert (await waiting).status is Status.SUCCEEDED


async def _is_awaited(door: House, task_id: str) -> bool:
    return task_id in door.services.waiters._awaited


@pytest.mark.parametrize("task_id", ["task_0190163d-8694-739b-aea5-966c26f8ad91", "nonsense", "task_"])
async def test_unknown_tasks_are_not_found(house: House, task_id: str) -> None:
    with pytest.raises(NotFound):
        await house.services.waiters.wait(task_id, TENANT, 1)
    with pytest.raises(NotFound):
        await collect(house, task_id)


async def test_another_tenants_task_is_not_found(house: House) -> None:
    receipt = await house.submit()
    with pytest.raises(NotFound):
        await house.services.waiters.wait(receipt.task.id, "another", 1)
    with pytest.raises(NotFound):
        async for _ in house.services.waiters.stream(receipt.task.id, "another"):
            pass


async def test_a_stream_is_live_and_resumes_without_gap_or_repeat(house: House, hands: Hands, door: House) -> None:
    started = await started_task(house, hands)
    reading = asyncio.ensure_future(collect(door, started.id))
    for number in range(50):
        house.services.outbox.tell(events.build(started.id, 1, "agent.event", name="step", n=number))
        if number % 7 == 0:
            await house.told()
    await finish(house, hands, started)
    whole = await reading
    assert [event_type for _, event_type in whole] == [
        "task.queued",
        "task.started",
        *["agent.event"] * 50,
        "task.succeeded",
    ]
    numbers = [number for number, _ in whole]
    assert numbers == sorted(set(numbers))
    for cut in (0, 1, 2, 20, len(whole) - 2):
        assert await collect(door, started.id, after=numbers[cut]) == whole[cut + 1 :]
    assert await collect(door, started.id, after=numbers[-1]) == []


async def test_a_long_stream_is_read_in_pages(
    house: House, hands: Hands, door: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE_EVENTS", 3)
    started = await started_task(house, hands)
    await house.plane.append([events.build(started.id, 1, "agent.event", n=n) for n in range(7)])
    await finish(house, hands, started)
    await house.told()
    assert len(await collect(door, started.id)) == 10
    assert (await door.services.waiters.wait(started.id, TENANT, 5, known=True)) is not None


async def test_a_reader_goes_on_with_a_snapshot_after_the_plane_was_lost(
    house: House, hands: Hands, door: House
) -> None:
    started = await started_task(house, hands)
    seen: list[tuple[int, str, bytes]] = []

    async def read() -> None:
        async for event in door.services.waiters.stream(started.id, TENANT):
            seen.append((event.number, event.type, event.data))  # noqa: PERF401 - the test looks while it grows

    reading = asyncio.ensure_future(read())
    await eventually(lambda: _has(seen, "task.started"))
    await house.plane._wire.ask(b"FLUSHDB")
    await house.services.rebuild.rebuild_if_lost()
    await eventually(lambda: _has(seen, "task.snapshot"))
    house.services.outbox.tell(events.build(started.id, 1, "agent.event", name="after"))
    await finish(house, hands, started)
    async with asyncio.timeout(10):
        await reading
    assert [event_type for _, event_type, _ in seen] == [
        "task.queued",
        "task.started",
        "task.snapshot",
        "agent.event",
        "task.succeeded",
    ]
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(set(numbers))
    assert msgspec.json.decode(seen[2][2])["task"]["status"] == "running"
    resumed = await collect(door, started.id, after=numbers[1])
    assert [event_type for _, event_type in resumed] == ["task.snapshot", "agent.event", "task.succeeded"]
    assert resumed[1:] == [(number, event_type) for number, event_type, _ in seen[3:]]
    assert await collect(door, started.id, after=numbers[2]) == resumed[1:]


async def _has(seen: list[tuple[int, str, bytes]], event_type: str) -> bool:
    return any(kind == event_type for _, kind, _ in seen)


async def test_an_end_whose_stream_is_gone_comes_from_the_ledger(house: House, hands: Hands, door: House) -> None:
    started = await started_task(house, hands)
    await finish(house, hands, started)
    await house.told()
    last = (await collect(door, started.id))[-1][0]
    await house.plane.forget(started.id)
    for after in (0, last - 1):
        ((number, event_type),) = await collect(door, started.id, after=after)
        assert event_type == "task.succeeded"
        assert number > after


async def test_a_lost_push_is_made_good_by_the_sweep(house: House, hands: Hands, door: House) -> None:
    started = await started_task(house, hands)
    door.services.waiters._sweep_seconds = 0.2
    door.services.waiters._sweep_seconds_while_away = 0.1
    waiting = asyncio.ensure_future(door.services.waiters.wait(started.id, TENANT, 20))
    reading = asyncio.ensure_future(collect(door, started.id))
    await eventually(lambda: _is_awaited(door, started.id))
    house.services.outbox.tell = lambda event: None  # type: ignore[method-assign]  # the final event is lost
    await finish(house, hands, started)
    task = await waiting
    assert task is not None
    assert [event_type for _, event_type in await reading][-1] == "task.succeeded"


async def test_closing_lets_every_waiter_go(house: House, hands: Hands, door: House) -> None:
    started = await started_task(house, hands)
    waiting = asyncio.ensure_future(door.services.waiters.wait(started.id, TENANT, 30))
    reading = asyncio.ensure_future(collect(door, started.id))

    async def both_wait() -> bool:
        awaited = door.services.waiters._awaited.get(started.id)
        return awaited is not None and awaited.waiters == 2 and bool(awaited._readers)

    await eventually(both_wait)
    await door.services.waiters.close()
    assert await waiting is None
    assert [event_type for _, event_type in await reading] == ["task.queued", "task.started"]


async def test_a_superseded_attempts_events_are_refused(house: House, hands: Hands) -> None:
    started = await started_task(house, hands)
    await house.plane.append([Append(started.id, 2, "task.started", b"{}")])
    assert await house.plane.append([events.build(started.id, 1, "agent.event")]) == [0]


async def test_reads_that_come_while_one_runs_share_the_next_query(house):
    tasks = [(await house.submit()).task for _ in range(20)]
    queries = Queries(house)
    found = await asyncio.gather(*(house.services.lookup.of_tenant(task.id, TENANT) for task in tasks))
    assert [task.id for task in found if task is not None] == [task.id for task in tasks]
    assert queries.count <= 2
    assert await house.services.lookup.of_tenant(tasks[0].id, "another") is None
