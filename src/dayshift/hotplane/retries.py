"""Calls and retries of the whole fleet, counted to each other: retries that multiply an outage are refused together."""

from collections.abc import Sequence

from msgspec import Struct

from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.state import State


class RetryRule(Struct, frozen=True, kw_only=True):
    """So large a share of the calls in a window may be retries; so few are allowed however small that is."""

    share: float = 0.1
    free: int = 10
    window_seconds: float = 60.0


class RetryAsk(Struct, frozen=True):
    """Calls made to a provider since the last ask, and whether a retry is wanted now."""

    provider: str
    calls: int
    wants_retry: bool


class Retries:
    """Of no epoch: what is lost is a count of one minute."""

    _state: State

    async def count_retries(self, rule: RetryRule, asks: Sequence[RetryAsk], *, now_us: int = 0) -> list[bool]:
        """Count the calls, and say for each whether its retry may be made. Repeated, it counts again."""
        flat: list[str | int] = [now_us, round(rule.window_seconds * 1000), repr(rule.share), rule.free]
        for ask in asks:
            flat += (keys.escaped(ask.provider), ask.calls, int(ask.wants_retry))
        return [bool(answer) for answer in await self._state.wire.run(SCRIPTS["retries"], [keys.PREFIX], flat)]
