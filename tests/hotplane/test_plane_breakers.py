"""Breakers and retries in the plane, under a clock that the test turns."""

import asyncio

import probing
import pytest

from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import BreakerName, BreakerReport, RetryAsk, RetryRule, breaker_pushed, channels, keys

NAME = BreakerName("open:ai", "gpt|5:latest")
RULE = BreakerSettings(error_ratio=0.5, window=60.0, min_calls=4, open=30.0)
START_US = 1_800_000_000_000_000


class Fleet:
    """Calls, probes and looks at one breaker at the moment that the test has come to."""

    def __init__(self, plane, rule=RULE) -> None:
        self.plane = plane
        self.rule = rule
        self.now_us = START_US

    def wait(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)

    async def report(self, *, era=0, calls=1, failures=0):
        report = BreakerReport(NAME, era, calls, failures, self.rule)
        return (await self.plane.report_calls([report], now_us=self.now_us))[0]

    async def ask(self, token="probe_1"):
        return await self.plane.ask_permit(NAME, token, now_us=self.now_us)

    async def tell(self, outcome, token="probe_1"):
        return await self.plane.tell_probe(NAME, token, outcome, self.rule, now_us=self.now_us)

    async def look(self, token=""):
        return (await self.plane.look_at_breakers([(NAME, token)], now_us=self.now_us))[0]

    async def break_it(self):
        seen = await self.look()
        return await self.report(era=seen.era, calls=4, failures=4)


@pytest.fixture
def fleet(plane):
    return Fleet(plane)


async def test_it_opens_when_enough_of_enough_calls_failed(fleet):
    assert (await fleet.report(calls=2, failures=2)).state == "closed"
    assert (await fleet.report(calls=1, failures=0)).state == "closed"
    seen = await fleet.report(calls=1, failures=1)
    assert (seen.state, seen.after_seconds, seen.era) == ("open", 30.0, START_US)


async def test_failures_of_another_window_are_forgotten(fleet):
    await fleet.report(calls=3, failures=3)
    fleet.wait(61)
    assert (await fleet.report(calls=3, failures=3)).state == "closed"
    fleet.wait(30)
    assert (await fleet.report(calls=1, failures=1)).state == "open"


async def test_an_outage_after_a_good_minute_shows_within_a_slice(fleet):
    for _second in range(60):
        await fleet.report(calls=100)
        fleet.wait(1)
    failed = 0
    while (await fleet.report(calls=10, failures=10)).state == "closed":
        failed += 10
        fleet.wait(0.1)
    assert failed <= 310


async def test_a_bad_moment_is_no_outage(fleet):
    fleet.rule = BreakerSettings(error_ratio=0.5, window=60.0, min_calls=10, open=30.0)
    for _minute in range(3):
        for second in range(60):
            seen = await fleet.report(calls=10, failures=7 if second % 6 == 3 else 2)
            assert seen.state == "closed"
            fleet.wait(1)


async def test_a_window_that_a_setting_changed_begins_anew(fleet):
    await fleet.report(calls=3, failures=3)
    fleet.rule = BreakerSettings(window=7.0, min_calls=4, open=30.0)
    assert (await fleet.report(calls=1, failures=1)).state == "closed"
    assert (await fleet.report(calls=3, failures=3)).state == "open"


async def test_calls_from_before_the_opening_say_nothing_about_after_it(fleet):
    opened = await fleet.break_it()
    fleet.wait(31)
    assert (await fleet.ask())[0] == "probe"
    ramping = await fleet.tell("well")
    assert ramping.era > opened.era
    for era in (0, opened.era):
        assert (await fleet.report(era=era, calls=50, failures=50)).state == "ramp"
    assert (await fleet.report(era=ramping.era, calls=3, failures=3)).state == "open"


async def test_one_probe_for_everybody(fleet):
    await fleet.break_it()
    fleet.wait(29.9)
    assert (await fleet.ask())[0] == "wait"
    fleet.wait(0.2)
    words = [word for word, _seen in await asyncio.gather(*[fleet.ask(f"probe_{number}") for number in range(50)])]
    assert sorted(words) == ["probe"] + ["wait"] * 49
    assert (await fleet.ask("probe_0"))[0] == "probe", "an answer that was lost is given again"


async def test_a_probe_that_nobody_renews_is_free_after_five_seconds(fleet):
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask("probe_dead")
    fleet.wait(4.9)
    assert (await fleet.ask("probe_2"))[0] == "wait"
    fleet.wait(0.2)
    assert (await fleet.ask("probe_2"))[0] == "probe"
    assert (await fleet.tell("well", "probe_dead")).state == "probing", "its word comes too late"
    assert (await fleet.tell("failed", "probe_2")).state == "open"


async def test_a_probe_that_is_renewed_may_take_its_time(fleet):
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask()
    for _second in range(60):
        fleet.wait(1)
        assert (await fleet.look("probe_1")).state == "probing"
        assert (await fleet.ask("probe_2"))[0] == "wait"
    assert (await fleet.tell("well")).state == "ramp"


async def test_a_probe_that_told_nothing_is_followed_by_the_next_a_second_later(fleet):
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask()
    fleet.wait(0.25)
    seen = await fleet.tell("nothing")
    assert (seen.state, seen.after_seconds) == ("open", 0.75)
    assert (await fleet.ask("probe_2"))[0] == "wait"
    fleet.wait(0.76)
    assert (await fleet.ask("probe_2"))[0] == "probe"


async def test_it_stays_open_for_longer_each_time_up_to_a_bound_and_from_the_start_once_it_was_closed(fleet):
    seconds = [(await fleet.break_it()).after_seconds]
    for _probe in range(3):
        fleet.wait(seconds[-1] + 0.1)
        assert (await fleet.ask())[0] == "probe"
        seconds.append((await fleet.tell("failed")).after_seconds)
    assert seconds == [30, 45, 60, 60]
    fleet.wait(61)
    await fleet.ask()
    await fleet.tell("well")
    fleet.wait(5)
    assert (await fleet.look()).state == "closed"
    assert (await fleet.break_it()).after_seconds == 30


async def admitted_in_a_second(fleet):
    count = 0
    while (await fleet.ask())[0] == "go" and count < 500:
        count += 1
    return count


async def test_a_ramp_lets_more_through_each_second_and_then_closes(fleet):
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask()
    await fleet.tell("well")
    admitted = []
    for _second in range(5):
        admitted.append(await admitted_in_a_second(fleet))
        _word, seen = await fleet.ask()
        assert 0 < seen.after_seconds <= 1
        fleet.wait(1)
    assert admitted == [2, 6, 18, 54, 162]
    assert (await fleet.ask())[0] == "go"
    assert (await fleet.look()).state == "closed"


async def test_the_calls_of_a_ramp_count_as_new_after_it(fleet):
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask()
    era = (await fleet.tell("well")).era
    fleet.wait(5)
    assert (await fleet.report(era=era, calls=4, failures=4)).state == "open"


async def test_one_failure_in_a_ramp_is_borne_and_more_open_it_for_longer(fleet):
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask()
    era = (await fleet.tell("well")).era
    assert (await fleet.report(era=era, calls=1, failures=1)).state == "ramp"
    seen = await fleet.report(era=era, calls=1, failures=1)
    assert (seen.state, seen.after_seconds) == ("open", 45)


async def test_each_change_is_pushed_with_its_name(fleet):
    heard = []
    subscription = fleet.plane.subscriber(lambda _channel, payload: heard.append(breaker_pushed(payload)))
    await subscription.add(channels.BREAKERS)
    await fleet.break_it()
    fleet.wait(31)
    await fleet.ask()
    await fleet.tell("well")
    fleet.wait(5)
    await fleet.look()
    async with asyncio.timeout(5):
        while len(heard) < 4:
            await asyncio.sleep(0.005)
    await subscription.close()
    assert [seen.state for _name, seen in heard] == ["open", "probing", "ramp", "closed"]
    assert {name for name, _seen in heard} == {NAME}


async def test_what_was_lost_is_closed_and_counts_whatever_is_told(fleet, plane):
    opened = await fleet.break_it()
    await plane._state.wire.ask(b"FLUSHDB")
    seen = await fleet.look()
    assert (seen.state, seen.era) == ("closed", 0)
    assert (await fleet.tell("well")).state == "closed"
    assert (await fleet.report(era=opened.era, calls=4, failures=4)).state == "open"


async def test_everything_has_a_lifetime(fleet, plane):
    async def lifetimes():
        names = await plane._state.wire.ask(b"KEYS", keys.PREFIX + "*")
        return [await plane._state.wire.ask(b"PTTL", name) for name in names if name != keys.MARKER.encode()]

    await plane.count_retries(RetryRule(), [RetryAsk("a", 1, wants_retry=True)])
    await fleet.report()
    for step in (fleet.break_it, fleet.ask, lambda: fleet.tell("well"), fleet.look):
        assert all(0 < ms < 2 * 3_600_000 for ms in await lifetimes())
        await step()
        fleet.wait(31)
    assert len(await lifetimes()) == 2
    assert all(0 < ms < 2 * 3_600_000 for ms in await lifetimes())


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_there_is_one_probe_and_it_is_never_lost(valkey_url, seed):
    await probing.run(valkey_url, 150, seed)


@pytest.mark.long_fault
@pytest.mark.timeout(600)
async def test_a_probe_is_never_lost_over_ten_thousand_schedules(valkey_url):
    await probing.run(valkey_url, 10_000, seed=4)


async def test_a_tenth_of_the_calls_may_be_retries_whoever_makes_them(plane):
    rule, now_us = RetryRule(share=0.1, free=2, window_seconds=60), START_US

    async def take():
        return (await plane.count_retries(rule, [RetryAsk("openai", 0, wants_retry=True)], now_us=now_us))[0]

    assert [await take() for _ in range(3)] == [True, True, False]
    await plane.count_retries(
        rule, [RetryAsk("openai", 50, wants_retry=False), RetryAsk("other", 500, wants_retry=False)], now_us=now_us
    )
    assert [await take() for _ in range(4)] == [True, True, True, False]
    now_us += 61_000_000
    assert [await take() for _ in range(3)] == [True, True, False]
