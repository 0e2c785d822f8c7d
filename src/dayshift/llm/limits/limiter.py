"""A worker's limiter: a line for each pool of accounts that its calls compete for, and what is told about them."""

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Protocol

from dayshift.domain import ids
from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError
from dayshift.domain.events import Event, LlmLimitUsed
from dayshift.hotplane import Plane, channels
from dayshift.hotplane.keys import unescaped
from dayshift.hotplane.limits import LimitPlace, line_of
from dayshift.llm.limits.asks import Ask, Grant, Waiter
from dayshift.llm.limits.estimates import Estimates
from dayshift.llm.limits.in_hand import Hand
from dayshift.llm.limits.line import Line
from dayshift.llm.limits.reservation import Reservation
from dayshift.llm.limits.telling import Telling

BEAT_SECONDS = 5.0


class Ear(Protocol):
    """Who hears what is pushed to this process."""

    async def listen(self, channel: str, handler: Callable[[bytes], None]) -> None: ...

    def leave(self, channel: str, handler: Callable[[bytes], None]) -> None: ...

    def on_reconnected(self, callback: Callable[[], None]) -> None: ...


class Limiter:
    """`reserve` before a call; then say what became of it. Belongs to one event loop."""

    def __init__(self, plane: Plane, ear: Ear, worker_id: str, *, emit: Callable[[Event], None] | None = None) -> None:
        self._plane = plane
        self._ear = ear
        self._worker_id = worker_id
        self._emit = emit or (lambda _event: None)
        self._session = ids.trace_id()[:12]
        self._numbers = 0
        self._lines: dict[tuple[str, tuple[str, ...]], Line] = {}
        self._estimates = Estimates()
        self._telling = Telling(plane, self._estimates)
        self._alive_workers = 1
        self._beating: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen for pushes, and count as alive."""
        await self._ear.listen(channels.limits(self._worker_id), self._hear)
        self._ear.on_reconnected(self._look_again)
        self._beating = asyncio.create_task(self._keep_beating(), name="limit-beat", context=Context())

    async def close(self) -> None:
        """Refuse those who wait, tell what is untold. Safe to repeat."""
        self._ear.leave(channels.limits(self._worker_id), self._hear)
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            for line in self._lines.values():
                await line.close()
            await self._telling.close()
            with contextlib.suppress(DayshiftError):
                await self._plane.limit_beat(self._worker_id, 0)

    async def reserve(self, ask: Ask) -> Reservation:
        """Wait until the call may start. Raises `LimitBusy` when that takes longer than it may wait."""
        since_mono = monotonic_seconds()
        waiter = Waiter(ask, self._name(), self._tokens(ask), since_mono)
        line = self._line(ask)
        if not ask.limits.are_known:
            return self._telling.begun(line, waiter, Grant(ask.credentials[0], is_shared=False), 0.0)
        grant = line.at_once(waiter)
        if grant is not None:
            return self._telling.begun(line, waiter, grant, 0.0)
        try:
            grant = await line.wait(waiter)
        except asyncio.CancelledError:
            self._gone(line, waiter)
            raise
        return self._telling.begun(line, waiter, grant, monotonic_seconds() - since_mono)

    def _name(self) -> str:
        self._numbers += 1
        return f"{self._session}.{self._numbers}"

    def _tokens(self, ask: Ask) -> tuple[int, int]:
        return self._estimates.tokens(ask.agent, ask.model, ask.input_tokens, ask.max_output_tokens)

    def _gone(self, line: Line, waiter: Waiter) -> None:
        if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
            self._not_wanted(line, waiter, waiter.future.result())
        else:
            waiter.future.cancel()
            line.left(waiter)

    def _not_wanted(self, line: Line, waiter: Waiter, grant: Grant) -> None:
        self._telling.begun(line, waiter, grant, 0.0).give_back()

    def _line(self, ask: Ask) -> Line:
        name = line_of(ask.provider, ask.model if ask.is_per_model else None)
        line = self._lines.get((name, ask.credentials))
        if line is None:
            head = f"{self._worker_id}/{len(self._lines)}"
            place = LimitPlace(name, head, self._worker_id, ask.credentials, ask.limits)
            hand = Hand(self._plane, name=self._name, give_back=partial(self._telling.unused, name), emit=self._emit)
            line = Line(self._plane, place, hand, estimate=self._tokens, not_wanted=self._not_wanted, emit=self._emit)
            line.alive_workers = self._alive_workers
            self._lines[name, ask.credentials] = line
        return line

    def _hear(self, payload: bytes) -> None:
        name, _, wait_ms = payload.decode().rpartition(" ")
        for (line_name, _), line in self._lines.items():
            if line_name == name:
                line.hear(float(wait_ms) / 1000)

    def _look_again(self) -> None:
        for line in self._lines.values():
            line.ask_again()

    def _tell_used(self) -> None:
        for line in self._lines.values():
            for limit, ratio in line.used_ratios():
                self._emit(LlmLimitUsed(provider=unescaped(line.name), limit=limit, ratio=ratio))

    async def _keep_beating(self) -> None:
        while True:
            with contextlib.suppress(DayshiftError):
                self._alive_workers = await self._plane.limit_beat(self._worker_id)
                for line in self._lines.values():
                    line.alive_workers = self._alive_workers
            self._telling.renew()
            self._tell_used()
            await asyncio.sleep(BEAT_SECONDS)
