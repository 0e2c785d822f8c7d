"""The limiter of a worker: waiting in turn beside others, being told to go elsewhere, leaving, and a plane that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import Plane
from dayshift.llm.limits import Ask, LimitBusy, Limiter
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
    assert not faults


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
