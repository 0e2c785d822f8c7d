"""Parking: an attempt that only waits gives its slot back, and its task goes on from its journal when there is an answer.

    waiting ──(a moment; every branch waits durably)──▶ marked ──cancel the code──▶ ended ──record──▶ parked
       └── an answer comes first: the code goes on

The mark comes first: from then on the attempt may do nothing that is seen outside (`Attempt.check_may_act`), so code that
cleans up in `finally` can free memory and nothing else. What the code returns or raises after the mark is not looked at.
The moment before it is for what is answered at once: a child that takes milliseconds, a signal that is there already.

What a look finds after the mark is told to nobody, so the park names the `wakes` that were seen at the mark: then the ledger
queues the task again, instead of letting it wait for what has come while its code was ending.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import datetime, timedelta

from msgspec import Struct

from dayshift.agents.effects import calling_thread
from dayshift.agents.waiting import SHORT_SECONDS
from dayshift.domain import clock, ids
from dayshift.domain.effect import Effect
from dayshift.domain.task import Notice, WaitingFor
from dayshift.tasks.finishing import Parking
from dayshift.worker.attempt import Attempt, StopReason
from dayshift.worker.branches import Branch, Branches
from dayshift.worker.waits import Answer, OpenWaits, Waits

MOMENT_SECONDS = 0.1
LOOK_AGAIN_SECONDS = 0.5
AWAKE_SECONDS = 30.0
_WHOLE_MILLISECONDS = timedelta(milliseconds=1)  # as which the ledger keeps the times of tasks


class ProviderWait(Struct, frozen=True, kw_only=True):
    """For a provider that is away."""

    kind: str = "provider"
    name: str
    id: str
    due_at: datetime
    notice: Notice


class AttemptWaits:
    """How one attempt waits: in memory at first, then parked."""

    def __init__(
        self, attempt: Attempt, branches: Branches, waits: Waits, open_waits: OpenWaits, started_at: datetime
    ) -> None:
        """`started_at` is a moment by the ledger's clock that had come when this attempt was started."""
        self._attempt = attempt
        self._branches = branches
        self._waits = waits
        self._open = open_waits
        self._passed = started_at + _WHOLE_MILLISECONDS
        self._waiting: dict[Branch, Effect | ProviderWait] = {}
        self._threads: dict[Branch, int | None] = {}
        self.unparked: set[object] = set()
        self._parked_on: list[Effect | ProviderWait] = []
        self._parked_at_wakes = 0
        self._timer: asyncio.TimerHandle | None = None

    async def until_due(self, wait: Effect) -> None:
        async with self._wait(wait):
            await asyncio.sleep(self._seconds_until(wait.due_at))

    async def until_provider(self, provider: str, seconds: float, message: str) -> None:
        """Until it is time to ask a provider again that is away. No journal knows of it: a later attempt asks again in any case."""
        due_at = clock.now() + timedelta(seconds=seconds)
        notice = Notice("provider_unavailable", message, due_at)
        async with self._wait(ProviderWait(name=provider, id=ids.new(ids.EFFECT), due_at=due_at, notice=notice)):
            await asyncio.sleep(min(seconds, AWAKE_SECONDS))  # in memory a look costs nothing

    async def answer(self, wait: Effect) -> Answer:
        answer = self._open.open(wait)
        self._waits.look_for(self._open)
        asking = None if wait.due_at is None else asyncio.create_task(self._ask_from(wait.due_at), context=Context())
        try:
            async with self._wait(wait):
                return await answer
        finally:
            self._open.close(wait)
            if asking is not None:
                asking.cancel()

    async def _ask_from(self, moment: datetime) -> None:
        """Look whether the time of a wait is over, from when it is so by this machine's clock until the ledger says so."""
        await asyncio.sleep(self._seconds_until(moment))
        while True:
            self._waits.look_for(self._open)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def end(self) -> None:
        """The attempt was told to stop: so are those who wait, also in threads, which nobody can cancel."""
        for branch in list(self._waiting):
            branch.cancel("dayshift: stopped")

    def parking(self) -> Parking:
        """What the task waits for now that it is marked."""
        first = min(self._parked_on, key=lambda wait: (not isinstance(wait, ProviderWait), wait.id))
        ends = [wait.due_at for wait in self._parked_on if wait.due_at is not None]
        waiting_for = WaitingFor(first.kind, first.name, first.id, first.due_at)
        notice = first.notice if isinstance(first, ProviderWait) else None
        return Parking(waiting_for, min(ends, default=None), self._parked_at_wakes, notice)

    @asynccontextmanager
    async def _wait(self, wait: Effect | ProviderWait) -> AsyncIterator[None]:
        branch = asyncio.current_task()
        assert branch is not None, "a wait is a coroutine, which runs in a task"
        self._waiting[branch] = wait
        self._threads[branch] = calling_thread.get()
        self._park_in(MOMENT_SECONDS)
        try:
            yield
        finally:
            del self._waiting[branch], self._threads[branch]

    def _park_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._park_if_all_wait)

    def _park_if_all_wait(self) -> None:
        self._timer = None
        if not self._waiting or self._attempt.stop_reason is not None:
            return
        if self._may_park():
            self._parked_on, self._parked_at_wakes = list(self._waiting.values()), self._open.wakes
            self._attempt.stop(StopReason.PARKED)
            self._branches.end()
        else:
            self._park_in(LOOK_AGAIN_SECONDS)

    def _may_park(self) -> bool:
        if self.unparked:
            return False
        if not self._attempt.body_is_running or not self._is_body_held_up() or not self._open.are_looked_for:
            return False
        if any(
            wait.due_at is not None and self._seconds_until(wait.due_at) < SHORT_SECONDS
            for wait in self._waiting.values()
        ):
            return False
        return self._branches.all_wait(self._waiting.__contains__, self._threads.values())

    def _is_body_held_up(self) -> bool:
        """A plain function is no branch; it waits if one of the waits was asked for by its own thread."""
        thread_id = self._attempt.body_thread_id
        return thread_id is None or thread_id in self._threads.values()

    def _seconds_until(self, moment: datetime | None) -> float:
        """By this machine's clock, unless it had come by the ledger's when this attempt was started: a clock that is behind
        would park what has just been woken.
        """
        if moment is None or moment <= self._passed:
            return 0.0
        return max(0.0, (moment - clock.now()).total_seconds())
