"""Counts the LLM calls of a task that go through `ctx.openai()` and `ctx.anthropic()`: how many, tokens, seconds.

It looks at whole JSON answers only. A streamed call is counted with the seconds until its first byte and without
tokens; a call that got no answer is not counted.
"""

from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from dayshift.domain import clock
from dayshift.domain.task import Usage

if TYPE_CHECKING:
    import httpx2

_STARTED = "dayshift_started_mono"


_NOTHING = Usage()


class CallMeter:
    """Sums up the calls of one attempt."""

    __slots__ = ("_intervals", "usage")

    def __init__(self) -> None:
        self.usage = _NOTHING
        self._intervals: list[tuple[float, float]] = []

    def add(self, started_mono: float, ended_mono: float, usage: Usage) -> None:
        """Count one call."""
        self._intervals.append((started_mono, ended_mono))
        self.usage = add_usage(self.usage, usage)

    @property
    def seconds(self) -> float:
        """The time in which at least one call was under way: calls side by side are not counted twice."""
        total, covered_until = 0.0, 0.0
        for started, ended in sorted(self._intervals):
            total += max(0.0, ended - max(started, covered_until))
            covered_until = max(covered_until, ended)
        return total


_meter: ContextVar[CallMeter] = ContextVar("dayshift_call_meter")


def count_calls_with(meter: CallMeter) -> None:
    """From here on, calls made below are counted by `meter`."""
    _meter.set(meter)


def add_usage(first: Usage, second: Usage) -> Usage:
    """The sum of two usages."""
    if second is _NOTHING:  # most tasks: they made no call
        return first
    return Usage(
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        cached_tokens=first.cached_tokens + second.cached_tokens,
        llm_calls=first.llm_calls + second.llm_calls,
        replayed_calls=first.replayed_calls + second.replayed_calls,
        cost_usd=first.cost_usd + second.cost_usd,
        unpriced_calls=first.unpriced_calls + second.unpriced_calls,
    )


Hook = Callable[..., Coroutine[Any, Any, None]]


def event_hooks() -> dict[str, list[Hook]]:
    """The hooks for an HTTP client whose calls are to be counted."""
    return {"request": [_note_start], "response": [_note_answer]}


async def _note_start(request: "httpx2.Request") -> None:
    request.extensions[_STARTED] = clock.monotonic_seconds()


async def _note_answer(response: "httpx2.Response") -> None:
    meter = _meter.get(None)
    started_mono = response.request.extensions.get(_STARTED)
    if meter is None or started_mono is None or not response.is_success:
        return
    usage = Usage(llm_calls=1, unpriced_calls=1)
    if response.headers.get("content-type", "").startswith("application/json"):
        usage = _usage_of(await response.aread())
    meter.add(started_mono, clock.monotonic_seconds(), usage)


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Tokens(msgspec.Struct):
    """The `usage` of OpenAI's chat completions and Responses and of Anthropic's messages, whichever names it has."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None
    input_tokens_details: _Cached | None = None


class _Answer(msgspec.Struct):
    usage: _Tokens | None = None


_decoder = msgspec.json.Decoder(_Answer)


def _usage_of(body: bytes) -> Usage:
    try:
        tokens = _decoder.decode(body).usage or _Tokens()
    except msgspec.MsgspecError:
        tokens = _Tokens()
    details = tokens.prompt_tokens_details or tokens.input_tokens_details or _Cached()
    return Usage(
        llm_calls=1,
        unpriced_calls=1,
        input_tokens=tokens.prompt_tokens or tokens.input_tokens or 0,
        output_tokens=tokens.completion_tokens or tokens.output_tokens or 0,
        cached_tokens=details.cached_tokens or tokens.cache_read_input_tokens or 0,
    )
