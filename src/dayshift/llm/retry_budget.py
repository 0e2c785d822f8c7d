"""How many calls may be made again: a tenth of all calls to a provider within a minute, for the whole fleet.

An outage turns every call into as many as its caller will try. Each is right for itself, and together they are the load that keeps
the provider down. So retries have a budget of their own: they come out of the calls that are made anyway.

Calls are counted here, and told to the plane with the next question or once a second. A retry asks the plane, which is a round trip
for something that has just failed. While the plane is away each process has a tenth of its own calls. So few that a tenth of
them is less than one, a minute has ten retries for free: the first call of a quiet day may be tried again.
"""

import asyncio
import contextlib
from contextvars import Context

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError
from dayshift.hotplane import Plane, RetryAsk, RetryRule

TELL_SECONDS = 1.0
SLICES = 10


class RetryBudget:
    """Of one event loop. `called` may be used from any thread."""

    def __init__(self, plane: Plane, rule: RetryRule | None = None) -> None:
        self._plane = plane
        self._rule = rule or RetryRule()
        self._untold: dict[str, int] = {}
        self._own: dict[str, _OwnShare] = {}
        self._telling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to tell what was called."""
        if self._telling is None:
            self._telling = asyncio.create_task(self._keep_telling(), name="llm.retries", context=Context())

    async def close(self) -> None:
        """Tell nothing more; closing twice is safe."""
        telling, self._telling = self._telling, None
        if telling is not None:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling

    def called(self, provider: str) -> None:
        """A call is made, for the first time."""
        self._untold[provider] = self._untold.get(provider, 0) + 1
        self._share_of(provider).called()

    async def may_retry(self, provider: str) -> bool:
        """Whether a call that failed may be made again; a yes is counted as one that is."""
        calls = self._untold.pop(provider, 0)
        share = self._share_of(provider)
        try:
            allowed = (await self._plane.count_retries(self._rule, [RetryAsk(provider, calls, wants_retry=True)]))[0]
        except DayshiftError:
            return share.take()
        if allowed:
            share.retried()
        return allowed

    def _share_of(self, provider: str) -> "_OwnShare":
        return self._own.setdefault(provider, _OwnShare(self._rule))

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            told, self._untold = self._untold, {}
            asks = [RetryAsk(provider, calls, wants_retry=False) for provider, calls in told.items()]
            if asks:
                with contextlib.suppress(DayshiftError):  # own shares go on counting
                    await self._plane.count_retries(self._rule, asks)


class _OwnShare:
    """Calls and retries of this process within the window, forgotten in slices."""

    def __init__(self, rule: RetryRule) -> None:
        self._rule = rule
        self._slice_seconds = rule.window_seconds / SLICES
        self._calls: dict[int, int] = {}
        self._retries: dict[int, int] = {}

    def called(self) -> None:
        self._add(self._calls)

    def retried(self) -> None:
        self._add(self._retries)

    def take(self) -> bool:
        if self._sum(self._retries) + 1 > max(self._rule.share * self._sum(self._calls), self._rule.free):
            return False
        self.retried()
        return True

    def _add(self, counts: dict[int, int]) -> None:
        now = int(monotonic_seconds() / self._slice_seconds)
        counts[now] = counts.get(now, 0) + 1
        if len(counts) > SLICES:
            self._forget(counts, now)

    def _sum(self, counts: dict[int, int]) -> int:
        self._forget(counts, int(monotonic_seconds() / self._slice_seconds))
        return sum(counts.values())

    def _forget(self, counts: dict[int, int], now: int) -> None:
        for old in [slice_ for slice_ in counts if slice_ <= now - SLICES]:
            del counts[old]
