"""The limits that all workers share: what the scripts promise, by a clock that the tests move."""

import asyncio

import pytest

from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import channels, keys
from dayshift.hotplane.limits import LimitCall, LimitPlace, LimitTelling

TEN_A_SECOND = ProviderLimits(requests_per_minute=600)
PLACES = 9  # what the bucket of such a limit holds


@pytest.fixture
async def plane(plane):
    plane.limit_clock_ms = 1e12
    return plane


def place(worker="w", limits=TEN_A_SECOND, credentials=("c",)):
    return LimitPlace("p", f"{worker}/0", worker, credentials, limits)


def call(name, *, tenant="t", priority=5, waited_ms=0.0, longest_wait_ms=None, tokens=(0, 0)):
    return LimitCall(name, tenant, 1.0, priority, waited_ms, longest_wait_ms, *tokens)


def calls(count, start=0):
    return [call(f"r{number}") for number in range(start, start + count)]


async def full(plane, limits=TEN_A_SECOND):
    """A line whose bucket is full."""
    await plane.limit_reserve(place(limits=limits), [call("first", longest_wait_ms=0.0)])
    plane.limit_clock_ms += 120_000


def kinds(answers):
    return [answer.kind for answer in answers]


async def test_a_bucket_that_nobody_knew_begins_empty(plane):
    (answer,) = await plane.limit_reserve(place(), calls(1))
    assert answer.kind == "waits"
    assert answer.wait_ms == pytest.approx(1000 / 9.85, rel=0.01)


async def test_a_full_bucket_lets_through_what_it_holds_and_tells_the_next_its_time(plane):
    await full(plane)
    answers = await plane.limit_reserve(place(), calls(PLACES + 3))
    assert kinds(answers) == ["granted"] * PLACES + ["waits"]
    assert answers[-1].wait_ms == pytest.approx(1000 / 9.85, abs=5)


async def test_who_asks_when_it_was_told_to_starts(plane):
    await full(plane)
    answers = await plane.limit_reserve(place(), calls(PLACES + 1))
    plane.limit_clock_ms += answers[-1].wait_ms
    assert kinds(await plane.limit_reserve(place(), calls(2, start=PLACES))) == ["granted", "waits"]


async def test_a_call_that_may_not_wait_is_told_how_long_it_would(plane):
    await full(plane)
    await plane.limit_reserve(place(), calls(PLACES))
    (answer,) = await plane.limit_reserve(place("v"), [call("hasty", longest_wait_ms=20.0)])
    assert answer.kind == "busy"
    assert answer.wait_ms > 20


async def test_nothing_is_taken_of_one_bucket_when_another_has_too_little(plane):
    both = ProviderLimits(requests_per_minute=600, tokens_per_minute=60_000)
    await full(plane, both)
    refused = await plane.limit_reserve(place(limits=both), [call("a", tokens=(800, 0)), call("b", tokens=(800, 0))])
    assert kinds(refused) == ["granted", "waits"]
    await plane.limit_leave("p", "w/0")
    small = [call(f"s{number}", tokens=(1, 0)) for number in range(PLACES)]
    assert kinds(await plane.limit_reserve(place(limits=both), small))[: PLACES - 1] == ["granted"] * (PLACES - 1)


async def test_a_call_larger_than_the_bucket_leaves_a_debt(plane):
    limits = ProviderLimits(tokens_per_minute=60_000)  # holds 900
    await full(plane, limits)
    assert kinds(await plane.limit_reserve(place(limits=limits), [call("large", tokens=(4_000, 1_000))])) == ["granted"]
    (answer,) = await plane.limit_reserve(place(limits=limits), [call("next", tokens=(100, 0))])
    assert answer.wait_ms == pytest.approx((5_000 - 900 + 100) / 0.985, rel=0.01)


async def test_what_was_not_used_comes_back_and_wakes_the_head(plane):
    limits = ProviderLimits(tokens_per_minute=60_000)
    await full(plane, limits)
    await plane.limit_reserve(place(limits=limits), [call("large", tokens=(4_000, 1_000))])
    heard = asyncio.Queue()
    subscription = plane.subscriber(lambda *message: heard.put_nowait(message))
    await subscription.add(channels.limits("v"))
    (waits,) = await plane.limit_reserve(place("v", limits), [call("next", tokens=(100, 0))])
    assert waits.kind == "waits"
    assert await plane.limit_tell("p", [LimitTelling("s", "large", 50, 10)]) == 1
    channel, payload = await asyncio.wait_for(heard.get(), 5)
    await subscription.close()
    assert (channel, payload.split()[0]) == (channels.limits("v"), b"p")
    assert float(payload.split()[1]) == 0
    assert kinds(await plane.limit_reserve(place("v", limits), [call("next", tokens=(100, 0))])) == ["granted"]


async def test_a_settlement_told_twice_counts_once(plane):
    limits = ProviderLimits(tokens_per_minute=60_000)
    await full(plane, limits)
    await plane.limit_reserve(place(limits=limits), [call("large", tokens=(4_000, 1_000))])
    settled = [LimitTelling("s", "large", 4_000, 900)]
    assert await plane.limit_tell("p", settled) == 1
    assert await plane.limit_tell("p", settled) == 0


async def test_concurrent_calls_are_bounded_and_a_freed_place_is_pushed(plane):
    two = ProviderLimits(concurrent=2)
    assert kinds(await plane.limit_reserve(place(limits=two), calls(3))) == ["granted", "granted", "waits_for_a_place"]
    heard = asyncio.Queue()
    subscription = plane.subscriber(lambda *message: heard.put_nowait(message))
    await subscription.add(channels.limits("w"))
    await plane.limit_tell("p", [LimitTelling("s", "r0", -1, -1)])
    await asyncio.wait_for(heard.get(), 5)
    await subscription.close()
    assert kinds(await plane.limit_reserve(place(limits=two), calls(1, start=2))) == ["granted"]


async def test_a_grant_that_nobody_confirms_comes_back_after_a_second(plane):
    one = ProviderLimits(concurrent=1)
    await plane.limit_reserve(place("dead", one), calls(1))
    assert kinds(await plane.limit_reserve(place(limits=one), calls(1, start=1))) == ["waits_for_a_place"]
    plane.limit_clock_ms += 1_100
    assert kinds(await plane.limit_reserve(place(limits=one), calls(1, start=1))) == ["granted"]


async def test_a_reservation_lapses_when_it_is_not_renewed(plane):
    one = ProviderLimits(concurrent=1)
    await plane.limit_reserve(place("dead", one), calls(1))
    await plane.limit_tell("p", [LimitTelling("c", "r0", 15_000)])
    plane.limit_clock_ms += 14_000
    assert kinds(await plane.limit_reserve(place(limits=one), calls(1, start=1))) == ["waits_for_a_place"]
    await plane.limit_tell("p", [LimitTelling("c", "r0", 15_000)])
    plane.limit_clock_ms += 14_000
    assert kinds(await plane.limit_reserve(place(limits=one), calls(1, start=1))) == ["waits_for_a_place"]
    plane.limit_clock_ms += 1_100
    assert kinds(await plane.limit_reserve(place(limits=one), calls(1, start=1))) == ["granted"]


async def test_a_higher_priority_goes_first_and_is_not_passed_by_a_lower_one(plane):
    await full(plane)
    await plane.limit_reserve(place(), calls(PLACES))
    (low,) = await plane.limit_reserve(place("low"), [call("low", priority=1)])
    (high,) = await plane.limit_reserve(place("high"), [call("high", priority=9)])
    plane.limit_clock_ms += low.wait_ms
    assert kinds(await plane.limit_reserve(place("low"), [call("low", priority=1)])) == ["waits"]
    assert kinds(await plane.limit_reserve(place("high"), [call("high", priority=9)])) == ["granted"]
    assert high.wait_ms <= low.wait_ms + 11


async def test_a_silent_head_is_skipped_after_a_second(plane):
    await full(plane)
    await plane.limit_reserve(place(), calls(PLACES))
    (dead,) = await plane.limit_reserve(place("dead"), [call("dead", priority=9)])
    plane.limit_clock_ms += dead.wait_ms + 500
    (behind,) = await plane.limit_reserve(place("live"), [call("live")])
    assert behind.kind == "waits"
    plane.limit_clock_ms += behind.wait_ms
    assert kinds(await plane.limit_reserve(place("live"), [call("live")])) == ["granted"]


async def test_any_credential_of_a_pool_will_do_and_one_that_is_used_up_keeps_nobody_of_another(plane):
    pool = place(credentials=("c", "d"))
    await plane.limit_reserve(pool, [call("first", longest_wait_ms=0.0)])
    plane.limit_clock_ms += 120_000
    answers = await plane.limit_reserve(pool, [call(f"r{number}") for number in range(2 * PLACES)])
    assert kinds(answers) == ["granted"] * (2 * PLACES)
    assert {answer.credential for answer in answers} == {"c", "d"}


async def test_the_newest_limits_reshape_the_bucket(plane):
    await full(plane)
    await plane.limit_reserve(place(), calls(PLACES))
    (slow,) = await plane.limit_reserve(place(limits=ProviderLimits(requests_per_minute=60)), calls(1, start=20))
    assert slow.wait_ms == pytest.approx(1000 / (59 / 60), rel=0.02)


async def test_a_refusal_of_the_provider_holds_everybody_until_it_said(plane):
    await full(plane)
    await plane.limit_reserve(place(), calls(1))
    await plane.limit_tell("p", [LimitTelling("f", "r0", 3_000)])
    (answer,) = await plane.limit_reserve(place("v"), calls(1, start=1))
    assert answer.wait_ms == pytest.approx(3_000, rel=0.01)


async def test_the_living_are_counted(plane):
    assert await plane.limit_beat("a") == 1
    assert await plane.limit_beat("b") == 2
    assert await plane.limit_beat("a", 0) == 1


async def test_one_who_waits_for_a_place_is_not_sent_elsewhere_at_once(plane):
    """When a call ends is not known: it may be in a moment."""
    one = ProviderLimits(concurrent=1)
    await plane.limit_reserve(place(limits=one), calls(1))
    (patient,) = await plane.limit_reserve(place("v", one), [call("a", longest_wait_ms=50.0)])
    (hasty,) = await plane.limit_reserve(place("x", one), [call("b", longest_wait_ms=0.0)])
    assert (patient.kind, hasty.kind) == ("waits_for_a_place", "busy")


async def test_nothing_that_frees_a_place_ends_before_what_it_frees(plane):
    await plane.limit_reserve(place(limits=ProviderLimits(concurrent=1)), calls(1))
    names = (f"{keys.LIMIT_KEYS[name]}p" for name in ("LIMIT_HELD", "LIMIT_DUE"))
    account_ms = await plane._state.wire.ask(b"PTTL", keys.LIMIT_KEYS["LIMIT_ACCOUNT"] + "p:c")
    assert all([await plane._state.wire.ask(b"PTTL", name) > account_ms > 0 for name in names])


async def test_what_an_answer_says_is_left_was_left_as_its_call_came_in(plane):
    """In the second that it took, the provider refilled, and counted the output of another."""
    limits = ProviderLimits(tokens_per_minute=600_000)
    asks = place(limits=limits)

    async def hear(name, left):
        await plane.limit_tell("p", [LimitTelling("h", name, f"-1 {left} -1 -1", "-1 600000 -1 -1")])
        await plane.limit_tell("p", [LimitTelling("s", name, 100, 0)])

    await full(plane, limits)
    await plane.limit_reserve(asks, [call("deep", tokens=(100, 0))])
    await hear("deep", 20_000)
    plane.limit_clock_ms += 120_000
    granted = await plane.limit_reserve(asks, [call("slow", tokens=(100, 0)), call("large", tokens=(100, 8_000))])
    assert kinds(granted) == ["granted"] * 2
    await plane.limit_tell("p", [LimitTelling("c", name, 900_000) for name in ("slow", "large")])
    plane.limit_clock_ms += 300
    await plane.limit_tell("p", [LimitTelling("s", "large", 100, 8_000)])
    plane.limit_clock_ms += 700
    await hear("slow", 3_000)
    (answer,) = await plane.limit_reserve(asks, [call("next", tokens=(6_000, 0))])
    assert answer.kind == "waits"
    assert answer.wait_ms == pytest.approx((6_000 - (3_000 + 10_000 - 8_100)) / 10, abs=45)
