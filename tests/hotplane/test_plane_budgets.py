"""What is spent and held never passes a limit, whatever order things come in; and nothing is counted twice or lost."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dayshift.domain.budget import Scope, Spent, end_of, start_of
from dayshift.hotplane import Plane, keys
from dayshift.hotplane.budgets import HOLD_SECONDS, Amount, Held, Hold, Line, Missing, NotHeld, Sum

TENANT, TASK = Scope("tenant", "acme:eu", ""), Scope("task", "", "0190")
DAY = Line(TENANT, "day", 1_000, None)
EVER = Line(TASK, "ever", None, 500)
NOTHING = Spent()
NOON_MS = int(datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp() * 1_000)


def sums(found: Missing, spent: Spent = NOTHING) -> dict[int, Sum]:
    return {index: Sum(start, spent) for index, start in found.starts.items()}


async def reserve(plane: Plane, hold_id: str, nano: int, tokens: int, *lines: Line, spent: Spent = NOTHING):
    """With sums read from nowhere, where they are missing."""
    answer = await plane.reserve_budget(hold_id, Amount(nano, tokens), lines)
    if isinstance(answer, Missing):
        answer = await plane.reserve_budget(hold_id, Amount(nano, tokens), lines, sums(answer, spent))
    return answer


async def held(plane: Plane, hold_id: str, nano: int, tokens: int, *lines: Line) -> Hold:
    answer = await reserve(plane, hold_id, nano, tokens, *lines)
    assert isinstance(answer, Held)
    return Hold(hold_id, Amount(nano, tokens), lines, answer.starts)


async def test_a_missing_sum_is_asked_for_and_then_counts(plane):
    answer = await plane.reserve_budget("h", Amount(10, 1), [DAY, EVER])
    today = int(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    assert answer == Missing({0: today, 1: 0})
    spent = {0: Sum(today, Spent(nano_usd=995)), 1: Sum(0, Spent())}
    answer = await plane.reserve_budget("h", Amount(10, 1), [DAY, EVER], spent)
    assert (answer.index, answer.unit, answer.spent, answer.held, answer.is_busy) == (0, "usd", 995, 0, False)
    assert answer.ends_at == today + 86_400
    assert isinstance(await plane.reserve_budget("h", Amount(5, 1), [DAY, EVER]), Held)


async def test_a_sum_of_another_period_is_not_taken(plane):
    wrong = {0: Sum(17, Spent())}
    assert isinstance(await plane.reserve_budget("h", Amount(1, 1), [DAY], wrong), Missing)


async def test_all_is_held_or_nothing(plane):
    await held(plane, "a", 100, 450, DAY, EVER)
    refused = await reserve(plane, "b", 100, 100, DAY, EVER)
    assert (refused.index, refused.unit, refused.held, refused.is_busy) == (1, "tokens", 450, True)
    assert isinstance(await reserve(plane, "c", 900, 50, DAY, EVER), Held)  # what b asked of the day is not held


async def test_what_is_spent_may_be_more_or_less_than_what_was_held(plane):
    first = await held(plane, "a", 600, 0, DAY)
    busy = await reserve(plane, "b", 500, 0, DAY)
    assert busy.is_busy
    await plane.settle_budget(first, Amount(100, 7))
    second = await held(plane, "b", 900, 0, DAY)
    await plane.settle_budget(second, Amount(1_400, 7))
    over = await reserve(plane, "c", 1, 0, DAY)
    assert (over.spent, over.held, over.is_busy) == (1_500, 0, False)


async def test_a_settlement_and_a_hold_that_are_told_again_count_once(plane):
    hold = await held(plane, "a", 600, 0, DAY)
    assert await reserve(plane, "a", 600, 0, DAY) == Held(hold.starts)
    for _ in range(3):
        await plane.settle_budget(hold, Amount(400))
        await plane.renew_budgets([hold])
    assert isinstance(await reserve(plane, "b", 600, 0, DAY), Held)
    assert (await reserve(plane, "c", 1, 0, DAY)).spent == 400


async def test_a_hold_that_nobody_renews_expires_and_is_settled_all_the_same(plane):
    plane.budget_clock_ms = NOON_MS
    dead, alive = await held(plane, "dead", 400, 0, DAY), await held(plane, "alive", 400, 0, DAY)
    for _ in range(3):
        plane.budget_clock_ms += round(HOLD_SECONDS * 500)
        await plane.renew_budgets([alive])
    assert (await reserve(plane, "x", 700, 0, DAY)).held == 400
    await plane.settle_budget(dead, Amount(300))
    assert (await reserve(plane, "x", 400, 0, DAY)).spent == 300


async def test_a_new_period_begins_by_the_planes_clock(plane):
    plane.budget_clock_ms = NOON_MS
    for period in ("hour", "day", "month"):
        await held(plane, period, 1_000, 0, Line(TENANT, period, 1_000, None))
    plane.budget_clock_ms += 12 * 3_600_000  # the first of March
    for period in ("hour", "day", "month"):
        await held(plane, f"next {period}", 1_000, 0, Line(TENANT, period, 1_000, None))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=st.datetimes(datetime(2000, 1, 1), datetime(2199, 12, 31)))  # noqa: DTZ001 - made aware below
async def test_the_planes_calendar_is_ours(plane, moment):
    moment = moment.replace(tzinfo=UTC)
    plane.budget_clock_ms = int(moment.timestamp() * 1_000)
    for period in ("hour", "day", "month"):
        line = Line(Scope("agent", "", "calendar"), period, 10, None)
        answer = await plane.reserve_budget("", Amount(11, 0), [line])
        start = int(start_of(period, moment).timestamp())
        if isinstance(answer, Missing):
            assert answer.starts == {0: start}
            answer = await plane.reserve_budget("", Amount(11, 0), [line], sums(answer))
        assert answer.ends_at == int(end_of(period, moment).timestamp())


async def test_to_look_holds_nothing(plane):
    for _ in range(3):
        assert isinstance(await reserve(plane, "", 1_000, 0, DAY), Held)
    assert isinstance(await reserve(plane, "a", 1_000, 0, DAY), Held)


async def test_what_was_held_is_put_back_after_a_loss(plane):
    hold = await held(plane, "a", 600, 0, DAY)
    await plane._wire.ask(b"FLUSHALL")
    await plane.renew_budgets([hold])  # before anybody has read the sum: nothing is made
    assert isinstance(await plane.reserve_budget("b", Amount(500), [DAY]), Missing)
    await reserve(plane, "", 0, 0, DAY, spent=Spent(nano_usd=100))
    await plane.renew_budgets([hold])
    refused = await reserve(plane, "b", 500, 0, DAY)
    assert (refused.spent, refused.held, refused.is_busy) == (100, 600, True)


async def test_every_key_ends_by_itself(plane):
    await held(plane, "a", 1, 1, DAY, EVER, Line(TENANT, "hour", 10, 10), Line(TENANT, "month", 10, 10))
    found = [key async for key in _budget_keys(plane)]
    assert len(found) == 8
    for key in found:
        seconds = await plane._wire.ask(b"TTL", key)
        assert 0 < seconds <= 32 * 86_400 + 3_600


async def _budget_keys(plane: Plane):
    for key in await plane._wire.ask(b"KEYS", keys.BUDGET + "*"):
        yield key


async def test_two_that_race_for_the_last_cent_do_not_both_get_it(plane, valkey_url):
    other = Plane(valkey_url)
    await other.open()
    await reserve(plane, "", 0, 0, DAY, spent=Spent(nano_usd=900))
    answers = await asyncio.gather(
        *(reserve(one, f"{n} {number}", 30, 0, DAY) for n in range(20) for number, one in enumerate((plane, other)))
    )
    await other.close()
    assert sum(isinstance(answer, Held) for answer in answers) == 3
    assert all(answer.is_busy for answer in answers if isinstance(answer, NotHeld))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 400), st.integers(0, 200)),
        st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 500)),
        st.tuples(st.just("again"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("renew"), st.just(0), st.just(0)),
        st.tuples(st.just("die"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("pass"), st.integers(1, 50_000), st.just(0)),
        st.tuples(st.just("forget"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


class Ledger:
    """What was paid, as the ledger would know it; and what workers hold, as they know it."""

    def __init__(self) -> None:
        self.spent = Amount()
        self.open: list[Hold] = []
        self.dead: list[Hold] = []
        self.settled: list[tuple[Hold, Amount]] = []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_any_order_of_events_leaves_the_true_sums(plane, steps):
    await plane._wire.ask(b"FLUSHALL")
    plane.budget_clock_ms, ledger = NOON_MS, Ledger()
    for number, (step, one, two) in enumerate(steps):
        await _take(plane, ledger, f"hold {number}", step, one, two)
    plane.budget_clock_ms += round(HOLD_SECONDS * 1_000) + 1
    await plane.renew_budgets([])
    spent = Spent(ledger.spent.nano_usd, ledger.spent.tokens)
    await reserve(plane, "", 0, 0, DAY, EVER, spent=spent)
    for line, unit in ((DAY, "usd"), (EVER, "tokens")):
        too_much = await reserve(plane, "", 10_000, 10_000, line, spent=spent)
        assert too_much.spent == (ledger.spent.nano_usd if unit == "usd" else ledger.spent.tokens)
        assert too_much.held == 0


async def _take(plane: Plane, ledger: Ledger, hold_id: str, step: str, one: int, two: int) -> None:
    before = Spent(ledger.spent.nano_usd, ledger.spent.tokens)
    if step == "reserve":
        answer = await reserve(plane, hold_id, one, two, DAY, EVER, spent=before)
        if isinstance(answer, Held):
            ledger.open.append(Hold(hold_id, Amount(one, two), (DAY, EVER), answer.starts))
            assert ledger.spent.nano_usd + one <= 1_000
            assert ledger.spent.tokens + two <= 500
        else:
            assert ledger.spent.nano_usd + one > 1_000 or ledger.spent.tokens + two > 500 or answer.is_busy
    elif step == "settle" and ledger.open:
        hold = ledger.open.pop(one % len(ledger.open))
        paid = Amount(two, two // 2)
        ledger.spent = Amount(ledger.spent.nano_usd + paid.nano_usd, ledger.spent.tokens + paid.tokens)
        ledger.settled.append((hold, paid))
        await plane.settle_budget(hold, paid)
    elif step == "again" and ledger.settled:
        await plane.settle_budget(*ledger.settled[one % len(ledger.settled)])
    elif step == "renew":
        await plane.renew_budgets(ledger.open)
    elif step == "die" and ledger.open:
        ledger.dead.append(ledger.open.pop(one % len(ledger.open)))
    elif step == "pass":
        plane.budget_clock_ms += one
    elif step == "forget":
        await plane._wire.ask(b"FLUSHALL")
        ledger.settled.clear()  # what is told again after the sum was read anew would count twice: see the essay


@pytest.mark.parametrize("name", ["a:b", "%", "ü ", "x" * 300])
async def test_any_name_has_a_counter_of_its_own(plane, name):
    await held(plane, "a", 1_000, 0, Line(Scope("user", "t", name), "day", 1_000, None))
    await held(plane, "b", 1_000, 0, Line(Scope("user", "t", name + "x"), "day", 1_000, None))
