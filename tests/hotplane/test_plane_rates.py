"""No window ever holds more than its quota, who obeys is never refused, and nobody pays for another."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dayshift.domain import ids
from dayshift.hotplane import RateWindow

START_MS = 1_800_000_000_123
STEPS = st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 4)), min_size=1, max_size=60)
property_test = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def window(quota: int, seconds: int, *, tenant: str = "acme", user: str | None = None) -> RateWindow:
    return RateWindow(name="w", tenant=tenant, user=user, quota=quota, seconds=seconds)


@property_test
@given(steps=STEPS, quota=st.integers(4, 12))
async def test_no_span_holds_more_than_its_quota_and_a_refusal_counts_nowhere(plane, steps, quota):
    tenant, now_ms, taken = ids.new(ids.TASK), START_MS, []
    short, long = window(quota, 10, tenant=tenant), window(3 * quota, 60, tenant=tenant)
    for wait_ms, cost in steps:
        now_ms += wait_ms
        plane.rate_clock_ms = now_ms
        answer = await plane.take_rates([(short, cost), (long, cost)])
        if answer.taken:
            taken.append((now_ms, cost))
        for one, left in zip((short, long), answer.windows, strict=True):
            inside = sum(cost for at, cost in taken if at > now_ms - 1_000 * one.seconds)
            assert inside <= one.quota
            aged = sum(cost for at, cost in taken if at > now_ms - 1_020 * one.seconds)
            assert one.quota - aged <= left.left <= one.quota - inside


@property_test
@given(steps=STEPS, quota=st.integers(4, 12))
async def test_who_waits_as_told_is_admitted(plane, steps, quota):
    one, now_ms = window(quota, 10, tenant=ids.new(ids.TASK)), START_MS
    for wait_ms, cost in steps:
        now_ms += wait_ms
        plane.rate_clock_ms = now_ms
        answer = await plane.take_rates([(one, cost)])
        if not answer.taken:
            now_ms += answer.windows[0].fits_in_ms
            plane.rate_clock_ms = now_ms
            answer = await plane.take_rates([(one, cost)])
        assert answer.taken
    now_ms += answer.windows[0].empty_in_ms
    plane.rate_clock_ms = now_ms
    assert (await plane.take_rates([(one, quota)])).taken


async def test_one_who_never_stops_is_held_to_within_one_percent_and_others_do_not_notice(plane):
    greedy, admitted = window(100, 10), 0
    for at_ms in range(START_MS, START_MS + 100_000, 20):
        plane.rate_clock_ms = at_ms
        admitted += (await plane.take_rates([(greedy, 1)])).taken
    assert 990 <= admitted <= 1_000
    for other in (window(1, 10, tenant="other"), window(1, 10, user="ann"), window(1, 10, user="bob")):
        assert (await plane.take_rates([(other, 1)])).taken


async def test_all_windows_or_none(plane):
    tenant, user = window(5, 60), window(1, 60, user="ann")
    assert (await plane.take_rates([(tenant, 1), (user, 1)])).taken
    refused = await plane.take_rates([(tenant, 1), (user, 1)])
    assert (refused.taken, [one.left for one in refused.windows]) == (False, [4, 0])
    assert refused.windows[0].fits_in_ms == 0 < refused.windows[1].fits_in_ms


@property_test
@given(steps=st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 4), st.integers(0, 60_000)), max_size=30))
async def test_what_is_given_back_counts_as_if_it_had_never_been_taken(plane, steps):
    """Two windows live the same life, and only one of them also takes what it gives back later."""
    one, other = (window(8, 10, tenant=ids.new(ids.TASK)) for _ in range(2))
    now_ms, to_give_back = START_MS, []
    for wait_ms, cost, kept_ms in steps:
        now_ms += wait_ms
        plane.rate_clock_ms = now_ms
        for due in [due for due in to_give_back if due[0] <= now_ms]:
            to_give_back.remove(due)
            await plane.give_rates_back(due[1], [(one, due[2])])
        taken = await plane.take_rates([(one, cost)])
        if taken.taken and kept_ms % 2:
            to_give_back.append((now_ms + kept_ms, taken.at_ms, cost))
        elif taken.taken:
            assert (await plane.take_rates([(other, cost)])).taken
    for _, at_ms, cost in to_give_back:
        await plane.give_rates_back(at_ms, [(one, cost)])
    ends = [(await plane.take_rates([(either, 1)])).windows[0] for either in (one, other)]
    assert ends[0].left == ends[1].left
