"""One attempt in this process, from its claim until its slot is free again.

    claimed ──start──▶ started ──enter──▶ running ──▶ ended ──record──▶ (gone)
        └── refused ──▶ (gone)               │ stop(reason): cancels the code, and fences it off after a grace
                                             └──▶ fenced: recorded without waiting for code that does not end

`stop` may come at any moment and more than once; the first reason stands, but losing the lease outranks all others,
since nothing may be written then.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from dayshift.agents import CallMeter
from dayshift.domain import clock
from dayshift.domain.errors import Parked, Stopped, Superseded
from dayshift.domain.task import Place, Started
from dayshift.journal import AttemptJournal
from dayshift.worker.lease import Lease

FENCE_AFTER_SECONDS = 10.0
HAND_BACK_AFTER_SECONDS = 2.0


class StopReason(StrEnum):
    """Why an attempt is stopped from outside."""

    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    DRAINING = "draining"
    SUPERSEDED = "superseded"
    PARKED = "parked"


class Attempt:
    """What this process knows of an attempt. Times are of the monotonic clock."""

    def __init__(self, task_id: str, lease: Lease) -> None:
        self.task_id = task_id
        self.lease = lease
        self.key = (lease.worker_id, task_id)  # differs from that of an attempt under an earlier worker id
        self.started: Started | None = None
        self.stop_reason: StopReason | None = None
        self.supervisor: asyncio.Task[None] | None = None
        self.claimed_mono = clock.monotonic_seconds()
        self.entered_mono: float | None = None
        self.ended_mono: float | None = None
        self.meter = CallMeter()
        self.journal: AttemptJournal | None = None
        self.is_cancellable = True  # a plain function is not: it ends at its next word to its context
        self.when_stopped: Callable[[], None] = _do_nothing
        self._starting = False
        self._body: asyncio.Future[Any] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def place(self) -> Place | None:
        """Where the task stands in the queue's order, once the ledger has told."""
        return self.started.place() if self.started is not None else None

    @property
    def body_is_running(self) -> bool:
        """Whether the agent's code was entered and has not ended."""
        return self._body is not None and not self._body.done()

    @property
    def body_thread_id(self) -> int | None:
        """The thread that a plain function runs in; None for async code."""
        return getattr(self._body, "thread_id", None)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the agent's code any more: it ended, or it did not end when told to and was left behind."""
        return self._ended is not None and self._ended.done()

    def check_may_act(self) -> None:
        """Raise Superseded unless this attempt may still do something that is seen outside."""
        if not self.lease.is_valid():
            raise Superseded("this attempt has lost its lease: another may have taken over, so it must stop")
        if self.stop_reason is StopReason.PARKED:
            raise Parked
        if self.is_over:
            raise Superseded(
                "this attempt is over: it was stopped, or its agent has returned, so it must not act any more"
            )
        if self.stop_reason is not None and not self.is_cancellable:
            raise Stopped(f"dayshift: {self.stop_reason}")

    def stop(self, reason: StopReason) -> None:
        """Cancel the agent's code, for this reason; harmless once it has ended."""
        if reason is StopReason.SUPERSEDED:
            self.stop_reason = reason
        elif self.stop_reason is not None or self.is_over:
            return
        else:
            self.stop_reason = reason
        if self._body is not None:
            if self.body_is_running:
                self._cancel_body(reason)
        elif self._starting and self.supervisor is not None:
            self.supervisor.cancel(f"dayshift: {reason}")

    async def while_starting(self, start: Callable[[], Any]) -> Any:
        """Await the start; a `stop` cancels it (a grant that comes later is given back by the services)."""
        self._starting = True
        try:
            return await start()
        finally:
            self._starting = False

    async def until_ended(self, body: asyncio.Future[Any], timeout_seconds: float, on_timeout: StopReason) -> bool:
        """Wait for the agent's code, at most until its deadline. False: it did not end when told to, and is left alone."""
        loop = asyncio.get_running_loop()
        self.entered_mono = clock.monotonic_seconds()
        self._body, self._ended = body, loop.create_future()
        body.add_done_callback(self._release_waiter)
        self._timers.append(loop.call_later(timeout_seconds, self.stop, on_timeout))
        if self.stop_reason is not None:  # it came between the grant and here
            self._cancel_body(self.stop_reason)
        try:
            await self._ended
        finally:
            for timer in self._timers:
                timer.cancel()
            self.ended_mono = clock.monotonic_seconds()
        return body.done()

    def when_body_is_gone(self, call: Callable[[], None]) -> None:
        """Call back once the code that was fenced off has really ended."""
        assert self._body is not None
        self._body.add_done_callback(lambda _: call())

    def let_go(self) -> None:
        """It has left its slot: let go of its code, and of what its code held on to.

        They hold on to it in turn, by their contexts. Left to the collector of cycles, ten kilobytes of each attempt that had
        waited stayed for long: it looks at what is old seldom (see app.run_loop).
        """
        self.supervisor = self.journal = self._body = None
        self.when_stopped = _do_nothing
        self._timers.clear()

    def _cancel_body(self, reason: StopReason) -> None:
        assert self._body is not None
        self._body.cancel(f"dayshift: {reason}")
        self.when_stopped()
        grace_seconds = HAND_BACK_AFTER_SECONDS if reason is StopReason.DRAINING else FENCE_AFTER_SECONDS
        self._timers.append(asyncio.get_running_loop().call_later(grace_seconds, self._release_waiter))

    def _release_waiter(self, _body: object = None) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)


def _do_nothing() -> None:
    return
