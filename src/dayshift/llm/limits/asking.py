"""How a line asks the plane: what it needs of it, and a waiter in the plane's words."""

from typing import Protocol

from dayshift.hotplane.limits import LimitAnswer, LimitCall, LimitPlace
from dayshift.llm.limits.asks import Waiter


class Asked(Protocol):
    """The plane, as far as a line asks it."""

    async def limit_reserve(self, place: LimitPlace, calls: list[LimitCall]) -> list[LimitAnswer]: ...

    async def limit_leave(self, line: str, head: str) -> bool: ...


def call_of(waiter: Waiter, now: float) -> LimitCall:
    """What the plane must know of a waiter."""
    ask = waiter.ask
    longest = ask.longest_wait_seconds(waiter.since_mono)
    left_ms = None if longest is None else max(0.0, (waiter.since_mono + longest - now) * 1000)
    return LimitCall(
        waiter.id,
        ask.tenant,
        ask.weight,
        ask.priority,
        (now - waiter.since_mono) * 1000,
        left_ms,
        waiter.input_tokens,
        waiter.output_tokens,
        ask.max_output_tokens or 0,
    )
