"""The worker's slots: which attempts it holds, and how many more it could."""

import asyncio
from collections.abc import Iterable

from dayshift.domain import clock
from dayshift.worker.attempt import Attempt
from dayshift.worker.lease import Lease


class Slots:
    """Changed by the event loop only; `held_by` may be asked from another thread.

    An attempt whose code was fenced off is no longer held (its outcome is recorded), but its code still runs, so its
    slot stays taken: it is *stuck*. Its task may be tried again here meanwhile, under the same key: what an attempt leaves
    is its own place and never its successor's.

    What the house's own agents do is *aside*: it is held like any other, and takes no author's slot while it waits for a stranger's
    answer. How much of it there may be at once, those agents bound themselves.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._held: dict[tuple[str, str], Attempt] = {}
        self._stuck: dict[Attempt, float] = {}  # since when, by the monotonic clock
        self._aside: set[Attempt] = set()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def free(self) -> int:
        return self.total - len(self._held) - len(self._stuck) + len(self._aside)

    @property
    def stuck_seconds(self) -> float:
        """How long the oldest code that was left behind has run on; 0 when there is none."""
        return clock.monotonic_seconds() - min(self._stuck.values()) if self._stuck else 0.0

    @property
    def busy(self) -> int:
        return len(self._held) + len(self._stuck)

    def take(self, attempt: Attempt) -> bool:
        """Give the attempt a slot; False when this task is held already."""
        if attempt.key in self._held:
            return False
        self._held[attempt.key] = attempt
        return True

    def set_aside(self, attempt: Attempt) -> None:
        """It goes on without a slot."""
        if self._held.get(attempt.key) is attempt:
            self._aside.add(attempt)
            self.nudge()

    def leave(self, attempt: Attempt) -> None:
        """The attempt needs its slot no more."""
        self._stop_holding(attempt)
        self._stuck.pop(attempt, None)
        self._aside.discard(attempt)
        self.nudge()

    def mark_stuck(self, attempt: Attempt) -> None:
        """Its outcome is recorded, its code runs on."""
        if self._stop_holding(attempt):
            self._stuck[attempt] = clock.monotonic_seconds()
            self.nudge()

    def _stop_holding(self, attempt: Attempt) -> bool:
        if self._held.get(attempt.key) is not attempt:
            return False
        del self._held[attempt.key]
        return True

    def find(self, lease: Lease, task_id: str) -> Attempt | None:
        return self._held.get((lease.worker_id, task_id))

    def held(self) -> Iterable[Attempt]:
        """The attempts that are not recorded yet."""
        return tuple(self._held.values())

    def held_by(self, lease: Lease) -> list[Attempt]:
        """Those under one lease. Safe from any thread: copying the values is one step of the interpreter."""
        return [attempt for attempt in tuple(self._held.values()) if attempt.lease is lease]

    async def wait_until_none_held(self) -> None:
        """Until every attempt is recorded."""
        while self._held:
            await self.wait_for_change()

    async def wait_for_change(self) -> None:
        """Until some attempt leaves its slot, or `nudge`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def nudge(self) -> None:
        """Let those who wait look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
