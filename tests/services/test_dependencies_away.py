"""Accept goes on while Valkey is away; results wait while PostgreSQL is."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from dayshift.domain import events as domain_events
from dayshift.domain.errors import LedgerAway, PlaneAway
from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Place, Started, Status
from dayshift.tasks import Outcome, following
from dayshift.tasks import outbox as outbox_module
from dayshift.tasks.background import Background
from dayshift.tasks.outbox import Outbox
from dayshift.telemetry import subscribe

from .conftest import AGENT, TENANT, Hands, House, eventually, opened
from .proxy import Proxy


@pytest.fixture
async def plane_line(valkey_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(valkey_url) as proxy:
        yield proxy


@pytest.fixture
async def ledger_line(ready_database_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(ready_database_url) as proxy:
        yield proxy


@pytest.fixture
async def far_house(ledger_line: Proxy, plane_line: Proxy) -> AsyncIterator[House]:
    """A process whose two lines can be cut."""
    house = House(ledger_line.url, plane_line.url)
    await house.open()
    assert await house.services.rebuild.rebuild_if_lost()
    yield house
    await house.services.close(grace_seconds=0.1)
    await house.close()


async def test_accept_goes_on_and_the_nudges_arrive_when_the_plane_is_back(far_house: House, plane_line: Proxy) -> None:
    hands = await Hands(far_house).register()
    await plane_line.cut()
    accepted = [(await far_house.submit(str(n))).task.id for n in range(5)]
    with pytest.raises(PlaneAway):
        await hands.claim()
    await plane_line.restore()

    async def all_found() -> bool:
        try:
            found.extend(await hands.claim(5))
        except PlaneAway:
            return False
        return len(found) == 5

    found: list[str] = []
    await eventually(all_found, 20)
    assert sorted(found) == sorted(accepted)


async def test_a_waiter_is_served_by_the_sweep_while_the_plane_is_away(far_house: House, plane_line: Proxy) -> None:
    hands = await Hands(far_house).register()
    receipt = await far_house.submit()
    await far_house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    waiting = asyncio.ensure_future(far_house.services.waiters.wait(receipt.task.id, TENANT, 20))
    await plane_line.cut()
    await far_house.services.finishing.finish(started, hands.id, Outcome(kind="succeeded", output=b"1"))
    task = await waiting
    assert task is not None
    assert task.status is Status.SUCCEEDED


async def test_a_waiter_who_comes_while_the_plane_is_away_is_not_left_to_the_sweep(
    far_house: House, plane_line: Proxy, ready_database_url: str, valkey_url: str
) -> None:
    """The task ended between its caller's look and the subscription, which nobody confirms."""
    receipt = await far_house.submit()
    await far_house.told()
    await plane_line.cut()
    async with opened(House(ready_database_url, valkey_url)) as near_house:
        hands = await Hands(near_house).register()
        await hands.claim_within(5)
        await hands.run(receipt.task.id)
    waiters = far_house.services.waiters
    waiters._sweep_seconds_while_away = 60.0
    task = await waiters.wait(receipt.task.id, TENANT, 20, known=True)
    assert task is not None
    assert task.status is Status.SUCCEEDED


async def test_an_open_stream_waits_for_the_ledger(far_house: House, ledger_line: Proxy) -> None:
    """The plane has forgotten the stream, so the reader needs a snapshot; and just then the ledger is away."""
    receipt = await far_house.submit()
    await far_house.told()
    async with aclosing(far_house.services.waiters.stream(receipt.task.id, TENANT)) as stream:
        assert (await anext(stream)).type == "task.queued"
        await far_house.plane.forget(receipt.task.id)
        await ledger_line.cut()
        upcoming = asyncio.ensure_future(anext(stream))
        far_house.services.waiters.look_again()

        async def is_away() -> bool:
            return far_house.services.pulse.ledger_is_away

        await eventually(is_away)
        assert not upcoming.done()
        await ledger_line.restore()
        async with asyncio.timeout(20):
            assert (await upcoming).type == "task.snapshot"


async def _ended_behind_the_back_of(far_house: House, plane_line: Proxy, near: House) -> AsyncGenerator[StreamEvent]:
    """A stream whose reader has seen the task queued, and is cut off from the plane while it runs and ends elsewhere."""
    hands = await Hands(near).register()
    receipt = await near.submit()
    stream = far_house.services.waiters.stream(receipt.task.id, TENANT)
    assert (await anext(stream)).type == "task.queued"
    await plane_line.cut()
    await hands.claim()
    await hands.run(receipt.task.id)
    await near.told()
    return stream


async def test_a_reader_cut_off_from_the_plane_hears_no_end_before_what_led_to_it(
    far_house: House, plane_line: Proxy, ready_database_url: str, valkey_url: str
) -> None:
    async with opened(House(ready_database_url, valkey_url)) as near:
        stream = await _ended_behind_the_back_of(far_house, plane_line, near)
        upcoming = asyncio.ensure_future(anext(stream))

        async def knows_the_end() -> bool:
            return any(awaited.ended for awaited in far_house.services.waiters._awaited.values())

        await eventually(knows_the_end)
        assert not (await asyncio.wait({upcoming}, timeout=0.5))[0]
        await plane_line.restore()
        async with asyncio.timeout(20):
            assert [(await upcoming).type] + [event.type async for event in stream] == [
                "task.started",
                "task.succeeded",
            ]


async def test_a_reader_hears_the_end_from_the_ledger_when_the_plane_stays_away(
    far_house: House, plane_line: Proxy, ready_database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "AWAY_PATIENCE_SECONDS", 1.0)
    async with opened(House(ready_database_url, valkey_url)) as near:
        stream = await _ended_behind_the_back_of(far_house, plane_line, near)
        async with asyncio.timeout(20):
            assert [event.type async for event in stream] == ["task.succeeded"]


async def test_acks_and_events_are_repeated_until_answered(far_house: House, plane_line: Proxy) -> None:
    hands = await Hands(far_house).register()
    receipt = await far_house.submit()
    await far_house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    await far_house.told()
    await plane_line.cut()
    await far_house.services.finishing.finish(started, hands.id, Outcome(kind="succeeded", output=b"1"))
    await plane_line.restore()
    async with asyncio.timeout(20):
        await far_house.services.outbox.delivered()
    assert await hands.beat([]) == "same"
    assert (await far_house.plane.read(receipt.task.id)).events[-1].type == "task.succeeded"


async def test_a_result_waits_for_the_ledger_and_claims_stop_meanwhile(far_house: House, ledger_line: Proxy) -> None:
    hands = await Hands(far_house).register()
    receipt = await far_house.submit()
    await far_house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    await ledger_line.cut()
    finishing = asyncio.ensure_future(
        far_house.services.finishing.finish(started, hands.id, Outcome(kind="succeeded", output=b"1"))
    )

    async def is_backed_up() -> bool:
        return far_house.services.finishing.is_backed_up

    await eventually(is_backed_up)
    assert not finishing.done()
    await ledger_line.restore()
    async with asyncio.timeout(20):
        assert (await finishing).accepted
    assert not far_house.services.finishing.is_backed_up


async def test_accept_says_that_the_ledger_is_away_and_the_pulse_notices(far_house: House, ledger_line: Proxy) -> None:
    heard: list[domain_events.Event] = []
    ends = [
        subscribe(domain_events.DependencyLost, heard.append),
        subscribe(domain_events.DependencyBack, heard.append),
    ]
    far_house.services.intake._commit_deadline_seconds = 0.5
    await ledger_line.cut()
    with pytest.raises(LedgerAway):
        await far_house.submit()

    async def is_away() -> bool:
        return far_house.services.pulse.ledger_is_away

    async def is_back() -> bool:
        return not far_house.services.pulse.ledger_is_away

    await eventually(is_away)
    await ledger_line.restore()
    await eventually(is_back)
    for end in ends:
        end()
    kinds = [type(event) for event in heard if getattr(event, "dependency", "") == "ledger"]
    assert kinds == [domain_events.DependencyLost, domain_events.DependencyBack]
    assert (await far_house.submit()).task.status is Status.QUEUED


async def test_the_outbox_is_bounded_and_says_what_it_drops(far_house: House, plane_line: Proxy) -> None:
    faults: list[domain_events.Fault] = []
    end = subscribe(domain_events.Fault, faults.append)
    background = Background()
    outbox = Outbox(far_house.plane, background, max_bytes=10_000)
    await plane_line.cut()
    for number in range(1_000):
        outbox.place(Place(f"task_0190163d-8694-739b-aea5-{number:012}", AGENT, 5, TENANT, number + 1))
    end()
    assert outbox.pending_bytes <= 10_000
    assert [fault.error_type for fault in faults if fault.where == "tasks.outbox"] == ["Overflow"]
    await background.finish_within(0.0)


async def test_places_are_given_up_after_some_tries(
    far_house: House, plane_line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "PLACE_TRIES", 3)
    background = Background()
    outbox = Outbox(far_house.plane, background)
    await plane_line.cut()
    outbox.place(Place("task_0190163d-8694-739b-aea5-966c26f8ad91", AGENT, 5, TENANT, 1))
    async with asyncio.timeout(60):
        await outbox.delivered()
    assert outbox.pending_bytes == 0
    await background.finish_within(0.0)
