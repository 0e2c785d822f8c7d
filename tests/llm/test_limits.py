"""The limiter of a worker: waiting in turn beside others, being told to go elsewhere, leaving, and a plane that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.events import Fault
from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import Plane, keys
from dayshift.hotplane.limits import LimitTelling
from dayshift.llm.limits import Ask, LimitBusy, Limiter
from dayshift.llm.limits.teller import Teller
from dayshift.llm.limits.used import Used
from dayshift.tasks.pushes import Pushes

FAST = ProviderLimits(requests_per_minute=6_000, window=10)
ONE = ProviderLimits(concurrent=1)


def ask(limits=FAST, **said):
    said = {"agent": "a", "tenant": "t", "input_tokens": 100} | said
    return Ask(provider="p", model="m", credentials=("c",), limits=limits, **said)


@asynccontextmanager
async def limiter(valkey_url, worker_id="w") -> AsyncIterator[Limiter]:
    faults = []
    plane = Plane(valkey_url)
    await plane.open()
    ear = Pushes(plane)
    made = Limiter(plane, ear, worker_id, emit=faults.append)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await ear.close()
        await plane.close()
    assert not [event for event in faults if isinstance(event, Fault)]


async def test_workers_share_a_limit_and_use_it(valkey_url):
    async with limiter(valkey_url, "v") as first, limiter(valkey_url, "w") as second:
        (await first.reserve(ask())).give_back()
        starts = []

        async def caller(worker):
            while len(starts) < 150:
                reservation = await worker.reserve(ask())
                starts.append(monotonic_seconds())
                await asyncio.sleep(0.01)
                reservation.settle(input_tokens=10, output_tokens=10)

        await asyncio.gather(*(caller(worker) for worker in (first, second) for _ in range(8)))
        took = starts[149] - starts[0]
    assert took * 98.5 + 1 >= 150 - 15  # what the bucket holds, and what it refills
    assert took < 3


async def test_a_freed_place_goes_to_the_other_worker_at_once(valkey_url):
    async with limiter(valkey_url, "v") as first, limiter(valkey_url, "w") as second:
        held = await first.reserve(ask(ONE))
        waiting = asyncio.create_task(second.reserve(ask(ONE)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        freed = monotonic_seconds()
        held.settle(input_tokens=None, output_tokens=None)
        (await waiting).settle(input_tokens=1, output_tokens=1)
        assert monotonic_seconds() - freed < 0.5


async def test_a_call_is_told_at_once_that_it_would_wait_too_long(valkey_url):
    async with limiter(valkey_url) as worker:
        with pytest.raises(LimitBusy) as busy:
            await worker.reserve(ask(ProviderLimits(requests_per_minute=1), max_wait_seconds=0.5))
        assert busy.value.wait_seconds > 0.5


async def test_a_call_that_waits_longer_than_it_was_told_goes_elsewhere(valkey_url):
    async with limiter(valkey_url) as worker:
        await worker.reserve(ask(ONE))
        began = monotonic_seconds()
        with pytest.raises(LimitBusy):
            await worker.reserve(ask(ONE, deadline_mono=began + 0.3))
        assert monotonic_seconds() - began < 1.0


async def test_what_a_stream_says_at_its_beginning_does_not_stand_for_the_word_that_it_runs():
    """Unconfirmed, its tokens would go back after a second, to others."""
    told = []

    class Ear:
        async def limit_tell(self, line, tellings):
            told.extend((telling.op, telling.name) for telling in tellings)
            return len(tellings)

    teller = Teller(Ear())
    teller.confirm("line", "stream", 900_000)
    teller.tell("line", LimitTelling("h", "stream", "1 1 1 1", "2 2 2 2"))
    teller.confirm("line", "short", 900_000)
    teller.tell("line", LimitTelling("s", "short", 1, 1))
    await teller.close()
    assert told == [("c", "stream"), ("h", "stream"), ("s", "short")]


async def test_one_who_leaves_the_line_leaves_nothing_behind(valkey_url):
    async with limiter(valkey_url, "v") as first, limiter(valkey_url, "w") as second:
        held = await first.reserve(ask(ONE))
        gone = [asyncio.create_task(second.reserve(ask(ONE))) for _ in range(5)]
        await asyncio.sleep(0.05)
        for waiting in gone:
            waiting.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        held.settle(input_tokens=None, output_tokens=None)
        async with asyncio.timeout(1):
            (await first.reserve(ask(ONE))).give_back()


async def test_one_cancelled_while_it_is_granted_gives_back(valkey_url):
    async with limiter(valkey_url) as worker:
        for _ in range(30):
            waiting = asyncio.create_task(worker.reserve(ask(ONE)))
            for _ in range(3):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(1):
            (await worker.reserve(ask(ONE))).give_back()


async def test_the_more_urgent_of_a_worker_goes_first(valkey_url):
    async with limiter(valkey_url) as worker:
        held = await worker.reserve(ask(ONE))
        order = []

        async def caller(priority):
            reservation = await worker.reserve(ask(ONE, priority=priority))
            order.append(priority)
            reservation.settle(input_tokens=1, output_tokens=1)

        callers = [asyncio.create_task(caller(priority)) for priority in (1, 5, 9)]
        await asyncio.sleep(0.05)
        held.settle(input_tokens=1, output_tokens=1)
        await asyncio.gather(*callers)
    assert order == [9, 5, 1]


async def test_the_more_urgent_that_comes_while_the_plane_is_asked_is_not_kept_behind(valkey_url):
    async with limiter(valkey_url, "v") as first, limiter(valkey_url, "w") as second:
        held = await first.reserve(ask(ONE))
        low = asyncio.create_task(second.reserve(ask(ONE, priority=1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # now the plane is being asked
        high = asyncio.create_task(second.reserve(ask(ONE, priority=9)))
        await asyncio.sleep(0.1)
        held.settle(input_tokens=1, output_tokens=1)
        (await high).settle(input_tokens=1, output_tokens=1)
        (await low).give_back()


async def test_without_the_plane_a_worker_uses_its_share():
    plane = Plane("unix:///nowhere/valkey.sock")
    plane_opening = asyncio.create_task(plane.open_whenever())
    ear = Pushes(plane)
    worker = Limiter(plane, ear, "w")
    await worker.open()
    began = monotonic_seconds()
    for _ in range(20):
        (await worker.reserve(ask())).settle(input_tokens=10, output_tokens=10)
    assert 0.15 < monotonic_seconds() - began < 1.5
    with pytest.raises(LimitBusy):
        await worker.reserve(ask(ProviderLimits(requests_per_minute=1), max_wait_seconds=0.1))
    await worker.close()
    await ear.close()
    plane_opening.cancel()
    await asyncio.gather(plane_opening, return_exceptions=True)
    await plane.close()


async def test_a_call_without_limits_asks_nobody():
    plane = Plane("unix:///nowhere/valkey.sock")
    worker = Limiter(plane, Pushes(plane), "w")
    (await worker.reserve(ask(ProviderLimits()))).settle(input_tokens=1, output_tokens=1)


def counted(plane, name):
    """Count the questions put to the plane by that method."""
    asked = []
    method = getattr(plane, name)

    async def counting(*arguments):
        asked.append(arguments)
        return await method(*arguments)

    setattr(plane, name, counting)
    return asked


PLENTY = ProviderLimits(requests_per_minute=600_000, tokens_per_minute=600_000_000)


async def come(worker, number, *, limits=PLENTY, seconds_apart=0.02):
    """So many calls, one after the other."""
    for _ in range(number):
        reservation = await worker.reserve(ask(limits))
        await asyncio.sleep(seconds_apart)
        reservation.settle(input_tokens=10, output_tokens=10)


async def until(holds):
    async with asyncio.timeout(5):
        while not await holds():
            await asyncio.sleep(0.02)


async def places_taken(worker):
    """How many calls the plane thinks are under way."""
    packed = await worker._plane._state.wire.ask(b"GET", keys.LIMIT_KEYS["LIMIT_ACCOUNT"] + "p:c")
    account = msgspec.msgpack.decode(packed, strict=False)
    return account["open"], sum(account.get("in_hand", []))


async def test_where_there_is_plenty_most_calls_ask_nobody(valkey_url):
    async with limiter(valkey_url) as worker:
        await come(worker, 60)  # a bucket that nobody knew begins empty
        asked = counted(worker._plane, "limit_reserve")
        await come(worker, 40)
        assert len(asked) <= 20
        assert all(call.is_in_hand for _, calls in asked for call in calls)

        async def nothing_is_left():
            return await places_taken(worker) == (0, 0)

        await until(nothing_is_left)


async def test_rare_calls_leave_nothing_in_hand(valkey_url):
    async with limiter(valkey_url) as worker:
        asked = counted(worker._plane, "limit_reserve")
        await come(worker, 3, seconds_apart=0.6)
        assert len(asked) == 3
        assert not any(call.is_in_hand for _, calls in asked for call in calls)


async def test_a_call_that_needs_more_than_is_in_hand_asks_for_itself(valkey_url):
    async with limiter(valkey_url) as worker:
        await come(worker, 60)  # a bucket that nobody knew begins empty
        asked = counted(worker._plane, "limit_reserve")
        (await worker.reserve(ask(PLENTY, input_tokens=100_000))).give_back()
        assert [[call.input_tokens for call in calls] for _, calls in asked] == [
            [worker._tokens(ask(input_tokens=100_000))[0]]
        ]


async def test_what_is_in_hand_goes_back_when_the_limits_change(valkey_url):
    async with limiter(valkey_url) as worker:
        await come(worker, 60)  # a bucket that nobody knew begins empty
        assert (await places_taken(worker))[1] > 0
        other = ProviderLimits(requests_per_minute=599_999)
        (await worker.reserve(ask(other))).give_back()

        async def nothing_is_left():
            return await places_taken(worker) == (0, 0)

        await until(nothing_is_left)


async def test_near_the_limit_nothing_is_in_hand(valkey_url):
    tight = ProviderLimits(requests_per_minute=1_200)  # the bucket holds 18, and others want half of it
    async with limiter(valkey_url) as worker:
        asked = counted(worker._plane, "limit_reserve")
        await asyncio.gather(*(come(worker, 15, limits=tight, seconds_apart=0.05) for _ in range(4)))
        single = [call for _, calls in asked for call in calls if not call.is_in_hand]
    assert len({call.id for call in single}) >= 30


async def test_what_a_worker_used_of_its_limits_is_told(valkey_url, monkeypatch):
    monkeypatch.setattr("dayshift.llm.limits.limiter.BEAT_SECONDS", 0.05)
    told = {}
    async with limiter(valkey_url) as worker:
        worker._emit = lambda event: told.update({(event.provider, event.limit): event.ratio})
        limits = ProviderLimits(requests_per_minute=6_000, tokens_per_minute=1_000_000)
        for _ in range(3):
            (await worker.reserve(ask(limits))).settle(input_tokens=1_000, output_tokens=500)
        (await worker.reserve(ask(limits))).give_back()

        async def is_told():
            return told.get(("p", "requests")) == pytest.approx(3 / 6_000)

        await until(is_told)
    assert told["p", "tokens"] == pytest.approx(4_500 / 1_000_000)
    assert told.keys() == {("p", "requests"), ("p", "tokens")}


def test_what_was_used_is_forgotten_after_a_minute(monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr("dayshift.llm.limits.used.monotonic_seconds", lambda: now[0])
    used, limits = Used(), ProviderLimits(tokens_per_minute=100, output_tokens_per_minute=50)
    for _ in range(20):
        used.add(1, 6, 4)
        now[0] += 10
    assert dict(used.ratios(limits, credentials=2)) == {"tokens": 50 / 200, "output_tokens": 20 / 100}
    now[0] += 60
    assert dict(used.ratios(limits, credentials=2)) == {"tokens": 0, "output_tokens": 0}
