"""What the metrics and the log hear of a call's way: that it waited for a limit, and that it was not answered as asked."""

import asyncio

import msgspec
import pytest

from dayshift.domain.events import LlmDegraded, LlmLimitWaited
from dayshift.telemetry import subscribe
from tests.llm.test_pipeline import House, refusal, settings


@pytest.fixture
def told():
    """Every event of the two kinds."""
    heard: list[LlmDegraded | LlmLimitWaited] = []
    ends = [subscribe(kind, heard.append) for kind in (LlmDegraded, LlmLimitWaited)]
    yield heard
    for end in ends:
        end()


def degraded(told) -> list[tuple[str, str, str]]:
    return [(one.provider, one.model, one.how) for one in told if isinstance(one, LlmDegraded)]


async def test_of_a_call_that_goes_as_asked_only_its_wait_is_told(monkeypatch, told):
    house = House(monkeypatch)
    reserve = house.limiter.reserve

    async def reserve_late(ask):
        reservation = await reserve(ask)
        reservation.waited_seconds = 1.5
        return reservation

    house.limiter.reserve = reserve_late
    reply = await house.ask()
    assert told == [LlmLimitWaited(provider="one", seconds=1.5)]
    assert reply.waited_seconds == 1.5


async def test_a_fallback_is_told_of_the_target_that_should_have_answered_and_why(monkeypatch, told):
    house = House(monkeypatch)
    house.breakers.closed_to.add("one")
    await house.ask()
    assert degraded(told) == [("one", "large", "fallback")]
    [reason] = [one.reason for one in told if isinstance(one, LlmDegraded)]
    assert "one/large: its breaker is open" in reason


async def test_a_kept_answer_is_told(monkeypatch, told):
    house = House(monkeypatch, settings(cache={"ttl": 0.001}, when_unavailable=["fallback", "cached", "fail"]))
    await house.ask(temperature=0)
    house.breakers.closed_to |= {"one", "two"}
    await asyncio.sleep(0.01)
    await house.ask(temperature=0)
    assert degraded(told) == [("one", "large", "cached")]


async def test_a_call_that_is_parked_and_then_answered_is_told_once(monkeypatch, told):
    house = House(monkeypatch, settings(when_unavailable=["fallback", "park"]))
    house.breakers.closed_to |= {"one", "two"}

    async def wait(provider, seconds, message):
        house.breakers.closed_to.clear()

    house.line._caller = msgspec.structs.replace(house.line._caller, wait_for_provider=wait)
    await house.ask()
    assert degraded(told) == [("one", "large", "park")]


@pytest.mark.parametrize("means", [["fail"], ["fallback", "fail"]])
async def test_a_call_that_nobody_answers_is_told(monkeypatch, told, means):
    house = House(monkeypatch, settings(when_unavailable=means))
    house.answers["one"] = house.answers["two"] = [refusal(500)]
    await house.ask()
    assert degraded(told) == [("one", "large", "fail")]
