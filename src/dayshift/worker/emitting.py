"""`ctx.emit` on its way to the task's live stream: in order, together where they come together, never in the way.

Emits of one attempt are written by one flusher, so that they keep their order; what gathers while a write is under way
goes with the next. The first waits, bounded, until the stream has been told of the attempt's start. A stream is live and not durable: when the hot plane is away, what waits is dropped, once reported.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import msgspec

from dayshift.domain import clock
from dayshift.domain.errors import PlaneAway
from dayshift.domain.events import Fault
from dayshift.domain.stream import AGENT_EVENT, Append
from dayshift.hotplane import Plane
from dayshift.telemetry import emit
from dayshift.worker.attempt import Attempt

MAX_WAITING = 1_000
FLUSH_SECONDS = 1.0


class Emitter:
    """The stream of one attempt. Called from the event loop or from the thread of a plain function."""

    __slots__ = ("_announced", "_attempt", "_flusher", "_loop", "_number", "_plane", "_reported", "_waiting")

    def __init__(self, plane: Plane, attempt: Attempt, number: int, announced: Callable[[], Awaitable[None]]) -> None:
        self._announced: Callable[[], Awaitable[None]] | None = announced
        self._plane = plane
        self._attempt = attempt
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Append] = []
        self._flusher: asyncio.Task[None] | None = None
        self._reported = False

    def __call__(self, event: bytes) -> Awaitable[None]:
        """Take an event (a JSON object); refuses it when this attempt may not speak any more."""
        self._attempt.check_may_act()
        append = self._append(event)
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - the documented way raises, which costs more
            self._put(append)
        else:
            self._loop.call_soon_threadsafe(self._put, append)
        return _Sent(self)

    async def flush(self) -> None:
        """Wait, bounded, until what was emitted is written: the final event must come after it."""
        if self._flusher is not None and not self._flusher.done():
            await asyncio.wait({self._flusher}, timeout=FLUSH_SECONDS)

    def _append(self, event: bytes) -> Append:
        head = msgspec.json.encode({"task_id": self._attempt.task_id, "attempt": self._number, "at": clock.now()})
        return Append(self._attempt.task_id, self._number, AGENT_EVENT, head[:-1] + b"," + event[1:])

    def _put(self, append: Append) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._report("more events wait than the stream can take; await ctx.emit(...) to go at its pace")
            return
        self._waiting.append(append)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._write())

    async def _write(self) -> None:
        announced, self._announced = self._announced, None
        if announced is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await announced()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._plane.append(batch)
            except PlaneAway as error:
                self._report(f"{len(batch)} events are lost: {error.message}")

    def _report(self, message: str) -> None:
        if not self._reported:
            self._reported = True
            emit(Fault(where="emit", error_type="EventsDropped", message=message))


class _Sent:
    """Awaiting it is the back-pressure; a plain function has nothing to await and goes on."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def __await__(self) -> Generator[Any, None, None]:
        return self._emitter.flush().__await__()
