"""What an attempt says on its way to the task's live stream: in order, together where it comes together, never in the way.

What one attempt says is written by one flusher, so that it keeps its order; what gathers while a write is under way
goes with the next. The first waits, bounded, until the stream has been told of the attempt's start. A stream is live and not durable: when
the hot plane is away, what waits is dropped, once reported.

Models say a word at a time, and a thousand of them at once would keep the plane busy with words. So what a call says within `DELTA_SECONDS`
goes together, unless something else is to be told after it, or the attempt is over.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from contextvars import copy_context
from typing import Any

import msgspec

from dayshift.domain import clock
from dayshift.domain.effect import Effect, SeenEffect
from dayshift.domain.errors import PlaneAway
from dayshift.domain.events import Fault
from dayshift.domain.stream import AGENT_EVENT, EFFECT_FINISHED, LLM_DELTA, LLM_RESTARTED, Append
from dayshift.hotplane import Plane
from dayshift.telemetry import emit
from dayshift.worker.attempt import Attempt

MAX_WAITING = 1_000
FLUSH_SECONDS = 1.0
DELTA_SECONDS = 0.1


class _Delta:
    """What a call has said since the last write."""

    __slots__ = ("call", "texts")

    def __init__(self, call: str, text: str) -> None:
        self.call = call
        self.texts = [text]


class Emitter:
    """The stream of one attempt. Called from the event loop or from the thread of a plain function."""

    __slots__ = (
        "_announced",
        "_attempt",
        "_context",
        "_deltas",
        "_flusher",
        "_hurry",
        "_loop",
        "_number",
        "_plane",
        "_reported",
        "_waiting",
    )

    def __init__(self, plane: Plane, attempt: Attempt, number: int, announced: Callable[[], Awaitable[None]]) -> None:
        self._announced: Callable[[], Awaitable[None]] | None = announced
        self._plane = plane
        self._attempt = attempt
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # the worker's own: what is written here is no branch of the agent
        self._waiting: list[Append | _Delta] = []
        self._deltas: dict[str, _Delta] = {}  # those that more may be added to
        self._hurry = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self._reported = False

    def __call__(self, event: bytes) -> Awaitable[None]:
        """Take an event (a JSON object); refuses it when this attempt may not speak any more."""
        self._attempt.check_may_act()
        self._on_loop(self._put, self._append(AGENT_EVENT, event))
        return _Sent(self)

    def delta(self, call: str, text: str) -> None:
        """A model has said this much more."""
        self._on_loop(self._add, call, text)

    def restarted(self, call: str) -> None:
        """What that call has said is void."""
        self._on_loop(self._put, self._append(LLM_RESTARTED, msgspec.json.encode({"call": call})))

    def finished(self, effect: Effect) -> None:
        """An effect is in the journal, with its outcome."""
        told = msgspec.json.encode({"effect": SeenEffect.of(effect)})
        self._on_loop(self._put, self._append(EFFECT_FINISHED, told))

    async def flush(self) -> None:
        """Wait, bounded, until what was emitted is written: the final event must come after it."""
        if self._flusher is not None and not self._flusher.done():
            self._hurry.set()
            await asyncio.wait({self._flusher}, timeout=FLUSH_SECONDS)

    def _on_loop(self, do: Callable[..., None], *arguments: Any) -> None:
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - the documented way raises, which costs more
            do(*arguments)
        else:
            self._loop.call_soon_threadsafe(do, *arguments)

    def _append(self, event_type: str, event: bytes) -> Append:
        head = msgspec.json.encode({"task_id": self._attempt.task_id, "attempt": self._number, "at": clock.now()})
        return Append(self._attempt.task_id, self._number, event_type, head[:-1] + b"," + event[1:])

    def _add(self, call: str, text: str) -> None:
        delta = self._deltas.get(call)
        if delta is None:
            self._deltas[call] = delta = _Delta(call, text)
            self._keep(delta)
        else:
            delta.texts.append(text)

    def _put(self, append: Append) -> None:
        self._deltas.clear()  # what is said after it must be told after it
        self._hurry.set()
        self._keep(append)

    def _keep(self, one: Append | _Delta) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._report("more events wait than the stream can take; await ctx.emit(...) to go at its pace")
            return
        self._waiting.append(one)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._write(), context=self._context.copy())

    async def _write(self) -> None:
        announced, self._announced = self._announced, None
        if announced is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await announced()
        while self._waiting:
            batch, self._waiting, self._deltas = self._waiting, [], {}
            try:
                await self._plane.append([self._told(one) for one in batch])
            except PlaneAway as error:
                self._report(f"{len(batch)} events are lost: {error.message}")

            if any(isinstance(one, _Delta) for one in batch):
                await self._pause()

    def _told(self, one: Append | _Delta) -> Append:
        if isinstance(one, Append):
            return one
        return self._append(LLM_DELTA, msgspec.json.encode({"call": one.call, "text": "".join(one.texts)}))

    async def _pause(self) -> None:
        """Let what models say gather, unless somebody waits for it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELTA_SECONDS):
                await self._hurry.wait()
        self._hurry.clear()

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
