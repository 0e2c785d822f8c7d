"""Retries, timeouts and breakers of steps and tools: what is tried again, for how long, and what the agent is told."""

import asyncio
import functools

import pytest

from dayshift import Breaker, Context, Fatal, Retry, ToolUnavailable, tool
from dayshift.agents import trying
from dayshift.agents.tools import UnknownOutcome
from dayshift.domain.effect import EffectStatus
from dayshift.domain.errors import WrongUse
from dayshift.domain.events import ToolBreakerChanged
from dayshift.telemetry import subscribe
from tests.agents.test_tools import Died, Task

OPEN_AT_ONCE = Breaker(min_calls=2, error_ratio=0.5, open=0.2)


class Flaky:
    """Fails so often, then answers; keeps what it was given."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or OSError("unreachable")
        self.given: list[str] = []

    def __call__(self, word: str) -> str:
        self.given.append(word)
        if len(self.given) <= self.failures:
            raise self.error
        return f"{word} at try {len(self.given)}"


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """The ends of the waits that were drawn, none of which is waited."""
    drawn: list[float] = []

    def draw(base_seconds: float, cap_seconds: float, failures: int) -> float:
        drawn.append(min(cap_seconds, base_seconds * 2.0 ** (failures - 1)))
        return 0.0

    monkeypatch.setattr(trying, "full_jitter", draw)
    return drawn


async def test_a_step_is_tried_again_and_is_one_effect(pauses):
    task, flaky = Task(), Flaky(3)

    async def load(word: str) -> str:
        return flaky(word)

    def work(ctx: Context):
        return ctx.with_options(retries=3).step(load, "a")

    assert await task.attempt(work) == "a at try 4"
    assert await task.attempt(work) == "a at try 4"
    assert pauses == [0.5, 1.0, 2.0]
    assert len(task.store.effects) == 1
    assert len(flaky.given) == 4


async def test_options_are_no_part_of_what_a_step_is(pauses):
    task, flaky = Task(), Flaky(0)
    first = await task.attempt(lambda ctx: ctx.with_options(retries=3).step(flaky, "a"))
    assert await task.attempt(lambda ctx: ctx.step(flaky, "a")) == first
    assert (len(flaky.given), pauses) == (1, [])


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError("away"), 3),
        (Retry(after=0), 3),
        (Fatal("never"), 1),
        (WrongUse("no"), 1),
        (Retry(after=3600), 1),  # so long a wait is not for a worker's slot
    ],
    ids=["error", "retry", "fatal", "wrong use", "long wait"],
)
async def test_what_is_tried_again(pauses, error, tries):
    task, flaky = Task(), Flaky(99, error)
    with pytest.raises(type(error)):
        await task.attempt(lambda ctx: ctx.with_options(retries=2).step(flaky, "a"))
    assert len(flaky.given) == tries
    assert task.store.effects == {}, "what ended the attempt is not recorded"
    assert pauses == ([0.5, 1.0] if isinstance(error, OSError) else [])


async def test_one_try_of_a_step_takes_no_longer_than_it_may():
    task, begun = Task(), []

    async def hangs(number: int) -> str:
        begun.append(number)
        if len(begun) == 1:
            await asyncio.Event().wait()
        return "done"

    step = functools.partial(hangs, 7)
    assert await task.attempt(lambda ctx: ctx.with_options(timeout=0.05, retries=1).step(step)) == "done"
    assert begun == [7, 7]
    begun.clear()
    with pytest.raises(TimeoutError, match=r"step .*hangs took longer than 0.05 s"):
        await Task().attempt(lambda ctx: ctx.with_options(timeout=0.05).step(step))


async def test_a_timeout_of_the_function_itself_is_its_own():
    async def times_out() -> None:
        raise TimeoutError("the other side's")

    with pytest.raises(TimeoutError, match="the other side's"):
        await Task().attempt(lambda ctx: ctx.with_options(timeout=5).step(times_out))


async def test_steps_of_a_plain_agent_are_tried_again(pauses):
    task, flaky = Task(), Flaky(1)

    async def work(ctx: Context) -> str:
        return await asyncio.to_thread(ctx.with_options(retries=1).step, flaky, "a")

    assert await task.attempt(work) == "a at try 2"
    assert await task.attempt(work) == "a at try 2"
    assert (len(flaky.given), len(task.store.effects), pauses) == (2, 1, [0.5])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "whole number from 0 to 100"),
        ({"retries": 1.5}, "whole number"),
        ({"timeout": 0}, "seconds above 0"),
        ({"timeout": 1}, "cannot be kept for a plain function"),
    ],
)
async def test_options_that_cannot_be_kept_are_refused(options, said):
    with pytest.raises(WrongUse, match=said):
        await Task().attempt(lambda ctx: ctx.with_options(**options).step(Flaky(0), "a"))
    with pytest.raises(WrongUse, match=said):
        tool(idempotent=True, **options)(lambda word: word)


def test_a_tool_that_must_not_run_twice_is_not_tried_again():
    with pytest.raises(WrongUse, match="say unknown='retry' if it may"):
        tool(idempotent=False, retries=1)(lambda word: word)
    tool(idempotent=False, unknown="retry", retries=1)(lambda word: word)


@pytest.mark.parametrize("options", [{"idempotent": True}, {"idempotent": False, "unknown": "retry"}])
async def test_all_tries_of_a_tool_bear_one_key(pauses, options):
    task, flaky = Task(), Flaky(2)

    @tool(retries=2, **options)
    async def pay(order: str, *, idempotency_key: str = "") -> str:
        flaky(idempotency_key)
        return order

    assert await task.attempt(lambda _ctx: pay("a")) == "a"
    assert len(flaky.given) == 3
    assert len(set(flaky.given)) == 1
    assert flaky.given[0]
    assert len(task.store.effects) == 1
    assert len(pauses) == 2


async def test_the_outcome_of_a_tool_that_took_too_long_is_unknown_if_the_attempt_ends_with_it():
    @tool(idempotent=False, timeout=0.02)
    async def pay(order: str) -> str:
        await asyncio.Event().wait()
        return order

    task = Task()
    with pytest.raises(TimeoutError, match=r"tool .*pay took longer than 0.02 s"):
        await task.attempt(lambda _ctx: pay("a"))
    with pytest.raises(UnknownOutcome):
        await task.attempt(lambda _ctx: pay("a"))

    async def survives(_ctx: Context) -> str:
        try:
            return await pay("b")
        except TimeoutError:
            return await steady("instead")

    other = Task()
    assert await other.attempt(survives) == await other.attempt(survives) == "instead"


@tool(idempotent=True)
async def steady(word: str) -> str:
    return word


def flaky_tool(flaky: Flaky, breaker: Breaker | None = OPEN_AT_ONCE, **options):
    @tool(name="fetch", breaker=breaker, **{"idempotent": True, **options})
    async def fetch(word: str) -> str:
        return flaky(word)

    return fetch


async def called(fetch, word: str) -> str:
    """The name of what a call raised, or its answer; each call in a task of its own."""
    try:
        return await Task().attempt(lambda _ctx: fetch(word))
    except Exception as error:  # noqa: BLE001 - its name is what the tests look at
        return type(error).__name__


async def test_a_tool_that_keeps_failing_is_left_alone_until_a_probe_goes_well():
    told: list[ToolBreakerChanged] = []
    end = subscribe(ToolBreakerChanged, told.append)
    flaky = Flaky(2)
    fetch = flaky_tool(flaky)
    assert [await called(fetch, "a") for _ in range(4)] == ["OSError", "OSError", "ToolUnavailable", "ToolUnavailable"]
    assert len(flaky.given) == 2, "it was not called"
    with pytest.raises(ToolUnavailable, match="tool fetch fails too often") as raised:
        await Task().attempt(lambda _ctx: fetch("a"))
    assert 0 < raised.value.after <= 0.2
    await asyncio.sleep(raised.value.after)
    assert await called(fetch, "a") == "a at try 3"
    assert await called(fetch, "a") == "a at try 4"
    end()
    assert [(event.tool, event.state) for event in told] == [
        ("fetch", "open"),
        ("fetch", "half-open"),
        ("fetch", "closed"),
    ]


async def test_a_tool_that_was_not_called_has_no_unknown_outcome():
    flaky = Flaky(2)
    fetch = flaky_tool(flaky, idempotent=False)
    for _ in range(2):
        assert await called(fetch, "a") == "OSError"
    task = Task()
    with pytest.raises(ToolUnavailable):
        await task.attempt(lambda _ctx: fetch("a"))
    assert task.store.effects == {}
    await asyncio.sleep(0.2)
    assert await task.attempt(lambda _ctx: fetch("a")) == "a at try 3"


async def test_that_a_tool_was_unavailable_is_part_of_what_happened():
    fetch, task = flaky_tool(Flaky(2)), Task()
    for _ in range(2):
        await called(fetch, "a")

    async def work(_ctx: Context) -> str:
        try:
            return await fetch("a")
        except ToolUnavailable:
            return await steady("instead")

    assert await task.attempt(work) == "instead"
    await asyncio.sleep(0.2)
    assert await task.attempt(work) == "instead", "also now that it could be called"
    assert [effect.status for effect in task.store.effects.values()] == [EffectStatus.FAILED, EffectStatus.DONE]


class BadRequest(Exception):
    """As HTTP clients raise it."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.response = type("Response", (), {"status_code": status_code})()


@pytest.mark.parametrize(
    ("error", "breaker", "opens"),
    [
        (OSError("away"), OPEN_AT_ONCE, True),
        (BadRequest(503), OPEN_AT_ONCE, True),
        (BadRequest(429), OPEN_AT_ONCE, True),
        (Retry(after=0), OPEN_AT_ONCE, True),
        (ValueError("no such order"), OPEN_AT_ONCE, False),
        (BadRequest(404), OPEN_AT_ONCE, False),
        (Fatal("no"), OPEN_AT_ONCE, False),
        (OSError("away"), None, False),
        (ValueError("odd"), Breaker(min_calls=2, counts=(ValueError,)), True),
        (OSError("away"), Breaker(min_calls=2, counts=(ValueError,)), False),
    ],
)
async def test_which_errors_open_a_breaker(error, breaker, opens):
    flaky = Flaky(99, error)
    fetch = flaky_tool(flaky, breaker)
    outcomes = [await called(fetch, "a") for _ in range(5)]
    assert ("ToolUnavailable" in outcomes) is opens
    assert len(flaky.given) == (2 if opens else 5)


async def test_a_cancelled_call_says_nothing_about_a_tool():
    @tool(idempotent=True, breaker=Breaker(min_calls=1))
    async def hangs(word: str) -> str:
        if word == "die":
            raise Died
        return word

    for _ in range(3):
        await Task().dying(lambda _ctx: hangs("die"))
    assert await Task().attempt(lambda _ctx: hangs("b")) == "b"


def test_a_breaker_must_be_possible():
    for options in ({"error_ratio": 0}, {"error_ratio": 1.1}, {"window": 0}, {"min_calls": 0}, {"open": 0}):
        with pytest.raises(WrongUse, match="error_ratio must be above 0"):
            Breaker(**options)
