"""Breakers of several workers over one plane, and of a worker that is alone."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.events import BreakerChanged
from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import Plane
from dayshift.llm.breakers import Breakers, Open, Permit
from dayshift.llm.breakers import breakers as module
from dayshift.tasks.pushes import Pushes
from dayshift.telemetry.bus import subscribe
from tests.hotplane.proxy import Proxy

RULE = BreakerSettings(error_ratio=0.5, window=60.0, min_calls=4, open=0.3)
LONG = BreakerSettings(error_ratio=0.5, window=60.0, min_calls=4, open=60.0)
OPENAI = ("openai", "gpt-5")


@contextlib.asynccontextmanager
async def a_worker(url: str) -> AsyncIterator[Breakers]:
    plane = Plane(url, timeout_seconds=0.5)
    await plane.open()
    pushes = Pushes(plane)
    breakers = Breakers(plane, pushes)
    await breakers.open()
    yield breakers
    await breakers.close()
    await pushes.close()
    await plane.close()


@pytest.fixture
async def one(valkey_url):
    async with a_worker(valkey_url) as worker:
        await worker.permit(*OPENAI, RULE)
        yield worker


@pytest.fixture
async def other(valkey_url):
    async with a_worker(valkey_url) as worker:
        await worker.permit(*OPENAI, RULE)
        yield worker


@pytest.fixture
def changes():
    seen: list[BreakerChanged] = []
    end = subscribe(BreakerChanged, seen.append)
    yield seen
    end()


async def until(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def fail(worker: Breakers, rule=RULE, count: int = 4) -> None:
    """That many calls at once that fail, if they may be made."""
    permits = [await worker.permit(*OPENAI, rule) for _call in range(count)]
    for permit in permits:
        assert isinstance(permit, Permit)
        permit.settle(True)


async def opened(*workers: Breakers, rule=RULE) -> None:
    await until(lambda: all(worker.look(*OPENAI, rule) is not None for worker in workers))


async def probe_of(worker: Breakers, rule=RULE) -> Permit:
    async with asyncio.timeout(8):
        while True:
            answer = await worker.permit(*OPENAI, rule)
            if isinstance(answer, Permit):
                assert answer.is_probe
                return answer
            await asyncio.sleep(min(answer.after_seconds, 0.05))


async def test_what_one_worker_met_all_workers_know(one, other, changes):
    assert isinstance(await other.permit(*OPENAI, LONG), Permit)
    waiting = other.opened(*OPENAI)
    await fail(one, LONG)
    async with asyncio.timeout(2):
        await waiting
    refused = other.look(*OPENAI, LONG)
    assert isinstance(refused, Open)
    assert 55 < refused.after_seconds <= 60
    assert isinstance(await other.permit(*OPENAI, LONG), Open)
    assert other.look("openai", "another", LONG) is None
    await opened(one, rule=LONG)
    assert [(change.state, change.is_shared) for change in changes] == [("open", True)] * 2
    assert other.opened(*OPENAI).done()


async def test_a_worker_that_comes_later_asks_before_its_first_call(one, valkey_url):
    await fail(one, LONG)
    await opened(one, rule=LONG)
    async with a_worker(valkey_url) as late:
        answers = await asyncio.gather(*[late.permit(*OPENAI, LONG) for _call in range(100)])
    assert all(isinstance(answer, Open) for answer in answers)


async def test_closed_it_costs_no_round_trip(one, monkeypatch):
    assert isinstance(await one.permit(*OPENAI, RULE), Permit)

    async def never(*_arguments, **_options):
        raise AssertionError("asked")

    for method in ("ask_permit", "look_at_breakers"):
        monkeypatch.setattr(one._plane, method, never)
    for _call in range(50):
        permit = await one.permit(*OPENAI, RULE)
        assert isinstance(permit, Permit)
        permit.settle(False)


async def test_successes_are_told_too_so_a_few_failures_do_not_open_it(one, other):
    for _call in range(10):
        (await other.permit(*OPENAI, RULE)).settle(False)
    view = other._views[module.BreakerName(*OPENAI)]
    await until(lambda: not view.has_counted)
    await fail(one)
    (await one.permit(*OPENAI, RULE)).settle(True)
    await asyncio.sleep(0.05)
    assert isinstance(await one.permit(*OPENAI, RULE), Permit)


async def test_what_says_nothing_counts_for_nothing(one):
    for _call in range(8):
        (await one.permit(*OPENAI, RULE)).settle(None)
    await fail(one, count=3)
    (await one.permit(*OPENAI, RULE)).settle(None)
    permit = await one.permit(*OPENAI, RULE)
    permit.settle(True)
    permit.settle(True)
    await opened(one)


async def test_one_of_all_waiting_calls_is_the_probe_and_its_success_closes(one, other, changes):
    closed = []
    one.on_closed(lambda *name: closed.append(name))
    await fail(one)
    await opened(one, other)
    await until(lambda: one.look(*OPENAI, RULE) is None and other.look(*OPENAI, RULE) is None)
    answers = await asyncio.gather(*[worker.permit(*OPENAI, RULE) for worker in (one, other) for _call in range(50)])
    permits = [answer for answer in answers if isinstance(answer, Permit)]
    assert len(permits) == 1
    permits[0].settle(False)
    await until(lambda: closed == [OPENAI])
    states = [change.state for change in changes]
    assert states.count("half-open") == states.count("closed") == 2
    await asyncio.gather(*[worker.permit(*OPENAI, RULE) for worker in (one, other) for _call in range(50)])
    assert closed == [OPENAI]


async def test_a_ramp_is_shared(one, other):
    await fail(one)
    await opened(one, other)
    (await probe_of(one)).settle(False)
    let_through, began = 0, monotonic_seconds()
    for _moment in range(40):
        answers = [await worker.permit(*OPENAI, RULE) for worker in (one, other)]
        let_through += sum(isinstance(answer, Permit) for answer in answers)
        await asyncio.sleep(0.01)
    seconds = int(monotonic_seconds() - began) + 2  # of the plane's: one that ended, and one that began meanwhile
    assert 2 <= let_through <= sum(2 * 3**second for second in range(seconds))


async def test_calls_from_before_the_opening_are_not_counted_when_they_end(one):
    old = [await one.permit(*OPENAI, RULE) for _call in range(20)]
    await fail(one)
    await opened(one)
    (await probe_of(one)).settle(False)
    view = one._views[module.BreakerName(*OPENAI)]
    await until(lambda: view.state == "ramp")
    for permit in old:
        permit.settle(True)
    await until(lambda: view.state == "closed")
    assert isinstance(await one.permit(*OPENAI, RULE), Permit)


async def test_a_probe_that_is_given_up_before_its_answer_came_is_free_for_others(one, other):
    await fail(one)
    await opened(one, other)
    await until(lambda: one.look(*OPENAI, RULE) is None)
    asking = asyncio.create_task(one.permit(*OPENAI, RULE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        (await asking).settle(None)
    async with asyncio.timeout(3):
        (await probe_of(other)).settle(None)


async def test_a_probe_that_nobody_settles_is_free_once_it_is_dropped(one, other):
    await fail(one)
    await opened(one, other)
    await probe_of(one)  # and forgotten
    async with asyncio.timeout(3):
        (await probe_of(other)).settle(None)


async def test_a_long_probe_keeps_its_right(one, other, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.2)
    await fail(one)
    await opened(one, other)
    probe = await probe_of(one)
    deadline = asyncio.get_running_loop().time() + module.LOOK_SECONDS + 5.5
    while asyncio.get_running_loop().time() < deadline:
        assert isinstance(await other.permit(*OPENAI, RULE), Open)
        await asyncio.sleep(0.1)
    probe.settle(False)
    await until(lambda: other._views[module.BreakerName(*OPENAI)].state == "ramp")


async def test_a_thread_may_settle(one):
    permits = [await one.permit(*OPENAI, LONG) for _call in range(4)]
    thread = threading.Thread(target=lambda: [permit.settle(True) for permit in permits])
    thread.start()
    await opened(one, rule=LONG)
    thread.join()


async def test_a_push_that_was_lost_is_made_up_for_within_a_second(one, other, monkeypatch):
    assert isinstance(await other.permit(*OPENAI, LONG), Permit)
    monkeypatch.setattr(other._views[module.BreakerName(*OPENAI)], "hear", _deaf_to_pushes(other))
    await fail(one, LONG)
    await opened(other, rule=LONG)


def _deaf_to_pushes(worker):
    hear = worker._views[module.BreakerName(*OPENAI)].hear

    def only_replies(seen, *, asked_at_mono=None):
        if asked_at_mono is not None:
            hear(seen, asked_at_mono=asked_at_mono)

    return only_replies


@pytest.fixture
async def proxy(valkey_url):
    proxy = Proxy(valkey_url)
    await proxy.accept()
    yield proxy
    await proxy.refuse()


async def test_without_the_plane_an_open_breaker_stays_open_and_probes_for_itself(one, proxy, changes):
    async with a_worker(proxy.url) as cut_off:
        assert isinstance(await cut_off.permit(*OPENAI, RULE), Permit)
        await fail(one)
        await opened(cut_off)
        await proxy.refuse()
        await until(lambda: cut_off._is_away)
        probe = await probe_of(cut_off)
        assert isinstance(await cut_off.permit(*OPENAI, RULE), Open)
        probe.settle(False)
        assert isinstance(await cut_off.permit(*OPENAI, RULE), Permit)
        assert [change.is_shared for change in changes if change.state == "closed"] == [False]
        await proxy.accept()


async def test_without_the_plane_failures_open_it_here_and_back_again_the_fleet_decides(one, proxy, changes):
    async with a_worker(proxy.url) as cut_off:
        await proxy.refuse()
        await fail(cut_off, LONG)  # the first call finds the plane away
        assert isinstance(await cut_off.permit(*OPENAI, LONG), Open)
        assert isinstance(await one.permit(*OPENAI, LONG), Permit)
        await proxy.accept()
        await until(lambda: cut_off.look(*OPENAI, LONG) is None)
        assert [(change.state, change.is_shared) for change in changes] == [("open", False), ("closed", True)]
        await fail(cut_off, LONG)
        await opened(one, cut_off, rule=LONG)


async def test_a_plane_that_forgot_all_is_believed(one, valkey_url):
    await fail(one, LONG)
    await opened(one, rule=LONG)
    await one._plane._state.wire.ask(b"FLUSHDB")
    await until(lambda: one.look(*OPENAI, LONG) is None)
    await fail(one, LONG)
    await opened(one, rule=LONG)


async def test_what_nobody_uses_is_forgotten(one, monkeypatch):
    await one.permit(*OPENAI, RULE)
    monkeypatch.setattr(module, "FORGET_SECONDS", 0.0)
    one._look_now.set()
    await until(lambda: not one._views)


async def test_closing_frees_the_probe(one, valkey_url):
    async with a_worker(valkey_url) as leaving:
        assert isinstance(await leaving.permit(*OPENAI, RULE), Permit)
        await fail(one)
        await opened(one, leaving)
        assert (await probe_of(leaving)).is_probe
    async with asyncio.timeout(3):
        (await probe_of(one)).settle(None)
