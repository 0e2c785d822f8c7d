"""Breakers as a worker process uses them: shared by the fleet through the hot plane (hotplane/breakers.py says how), and a
breaker of the process's own while that is away.

    look      no I/O: whether a call would be refused, as far as is known here
    permit    before the call. Closed: no I/O. Otherwise the plane decides: a probe, a place in the ramp, or no
    settle    after it. Failures are told to the plane at once, together with all that was counted; successes within 150 ms

**What is known here may be old** by the way of a push, or by a second if the push was lost. So a few calls may leave after an opening;
they carry the era before it, and are not counted. Nothing is let through by an old word that says *open*: that costs a second.

**The first call** to a model waits for one look at the plane: a worker that has just started must not knock with all its slots
at a door that the fleet knows to be shut.

**Without the plane** each process goes on alone from where the fleet's breaker was: one that was open stays so, and probes once a
process when its time is over. What was counted alone is not told later, as it would be counted as if it were new.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol

from dayshift.domain import ids
from dayshift.domain.breaker import Admission, Breaker, Refusal
from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError
from dayshift.domain.events import Fault
from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import BreakerName, Plane, ProbeOutcome, breaker_pushed, channels
from dayshift.llm.breakers.permits import Open, Permit
from dayshift.llm.breakers.reports import BreakerReports
from dayshift.llm.breakers.view import BreakerView
from dayshift.telemetry import emit

LOOK_SECONDS = 1.0
FORGET_SECONDS = 600.0
WHERE = "llm.breakers"


class Hearing(Protocol):
    """Where pushes come in."""

    async def listen(self, channel: str, handler: Callable[[bytes], None]) -> None: ...

    def leave(self, channel: str, handler: Callable[[bytes], None]) -> None: ...

    def on_reconnected(self, callback: Callable[[], None]) -> None: ...


class Breakers:
    """Of one event loop: that in which it was opened."""

    def __init__(self, plane: Plane, hearing: Hearing) -> None:
        self._plane = plane
        self._hearing = hearing
        self._views: dict[BreakerName, BreakerView] = {}
        self._on_closed: list[Callable[[str, str], None]] = []
        self._is_away = False
        self._reports = BreakerReports(plane, self._be_away)
        self._look_now = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    async def open(self) -> None:
        """Hear what the fleet says, and begin to look."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._loops = [_spawned(self._reports.keep_reporting()), _spawned(self._keep_looking())]
        self._hearing.on_reconnected(self._look_now.set)
        await self._hearing.listen(channels.BREAKERS, self._hear)

    async def close(self) -> None:
        """Hear and tell nothing more, and free the probes that are held; closing twice is safe."""
        self._hearing.leave(channels.BREAKERS, self._hear)
        loops, self._loops = self._loops, []
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, *self._telling, return_exceptions=True)
        for view in self._views.values():
            if view.probe and not self._is_away:
                await self._tell_probe(view, view.probe, "nothing")

    def look(self, provider: str, model: str, rule: BreakerSettings) -> Open | None:
        """Whether a call would be refused, as far as it is known here. No I/O, from any thread."""
        after_seconds = self._view(provider, model, rule).refused_seconds()
        return None if after_seconds is None else Open(after_seconds)

    async def permit(self, provider: str, model: str, rule: BreakerSettings) -> Permit | Open:
        """Ask to call, when nothing else is to be waited for: a probe must not stand in line."""
        view = self._view(provider, model, rule)
        if view.heard_at_mono is None and not self._is_away:
            await self._look_first(view)
        if view.alone is None and view.state == "closed":
            return self._counted_permit(view, view.era)
        async with view.asking:
            return await self._ask(view)

    def opened(self, provider: str, model: str) -> "asyncio.Future[None]":
        """Done as soon as it is open. Whoever lets go of the future is forgotten."""
        return self._view(provider, model, None).opened()

    def on_closed(self, callback: Callable[[str, str], None]) -> None:
        """Call back with provider and model each time that one is closed again."""
        self._on_closed.append(callback)

    def _view(self, provider: str, model: str, rule: BreakerSettings | None) -> BreakerView:
        name = BreakerName(provider, model)
        view = self._views.get(name)
        if view is None:
            view = self._views.setdefault(name, BreakerView(name, rule or BreakerSettings(), self._tell_closed))
            if self._is_away:
                view.be_alone()
        if rule is not None:
            view.rule = rule
        view.used_at_mono = monotonic_seconds()
        return view

    def _counted_permit(self, view: BreakerView, era: int) -> Permit:
        return Permit(lambda failed: self._in_loop(self._settle, view, era, failed))

    async def _ask(self, view: BreakerView) -> Permit | Open:
        """One at a time: the answer to the first is one for the others too."""
        if view.alone is None:
            refused_seconds = view.refused_seconds()
            if refused_seconds is not None:
                return Open(refused_seconds)
            if view.state == "closed":
                return self._counted_permit(view, view.era)
            with contextlib.suppress(DayshiftError):
                return await self._ask_plane(view)
            self._be_away()
        return self._ask_alone(view)

    async def _ask_plane(self, view: BreakerView) -> Permit | Open:
        token, asked_at_mono = ids.new(ids.PROBE), monotonic_seconds()
        try:
            word, seen = await self._plane.ask_permit(view.name, token)
        except asyncio.CancelledError:  # the permit may have been given all the same
            self._tell_soon(view, token, "nothing")
            raise
        view.hear(seen, asked_at_mono=asked_at_mono)
        if word == "wait":
            return Open(max(seen.after_seconds, 0.01))
        if word == "go":
            return self._counted_permit(view, seen.era)
        view.probe = token
        return Permit(lambda failed: self._in_loop(self._settle_probe, view, token, failed), is_probe=True)

    def _ask_alone(self, view: BreakerView) -> Permit | Open:
        alone = view.alone
        assert alone is not None, "without the plane every view has a breaker of its own"
        answer = alone.admit()
        if isinstance(answer, Refusal):
            return Open(answer.after_seconds)
        admission: tuple[Breaker, Admission] = (alone, answer)
        return Permit(lambda failed: self._in_loop(_settle_alone, *admission, failed), is_probe=answer.is_probe)

    def _settle(self, view: BreakerView, era: int, failed: bool | None) -> None:
        if failed is not None:
            self._reports.count(view, era, failed=failed)

    def _settle_probe(self, view: BreakerView, token: str, failed: bool | None) -> None:
        outcome: ProbeOutcome = "nothing" if failed is None else "failed" if failed else "well"
        if self._loops and not self._is_away:  # closing frees what is held
            self._tell_soon(view, token, outcome)

    def _tell_soon(self, view: BreakerView, token: str, outcome: ProbeOutcome) -> None:
        task = _spawned(self._tell_probe(view, token, outcome))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_probe(self, view: BreakerView, token: str, outcome: ProbeOutcome) -> None:
        if view.probe == token:
            view.probe = ""
        try:
            asked_at_mono = monotonic_seconds()
            seen = await self._plane.tell_probe(view.name, token, outcome, view.rule)
        except DayshiftError:
            self._be_away()
        else:
            view.hear(seen, asked_at_mono=asked_at_mono)

    async def _keep_looking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_now.wait()
            self._look_now.clear()
            self._forget_unused()
            await self._look_at(list(self._views.values()))

    async def _look_first(self, view: BreakerView) -> None:
        async with view.asking:
            if view.heard_at_mono is None:
                await self._look_at([view])

    async def _look_at(self, views: list[BreakerView]) -> None:
        asked_at_mono = monotonic_seconds()
        try:
            replies = await self._plane.look_at_breakers([(view.name, view.probe) for view in views])
        except DayshiftError:
            self._be_away()
            return
        if self._is_away:
            self._is_away = False
            for view in self._views.values():
                view.be_of_the_fleet()
        for view, seen in zip(views, replies, strict=True):
            view.hear(seen, asked_at_mono=asked_at_mono)

    def _forget_unused(self) -> None:
        long_ago = monotonic_seconds() - FORGET_SECONDS
        for name, view in list(self._views.items()):
            if view.used_at_mono < long_ago and view.is_closed and not view.probe:
                del self._views[name]

    def _be_away(self) -> None:
        self._is_away = True
        for view in self._views.values():
            view.be_alone()

    def _hear(self, payload: bytes) -> None:
        name, seen = breaker_pushed(payload)
        view = self._views.get(name)
        if view is not None and not self._is_away:
            view.hear(seen)

    def _tell_closed(self, name: BreakerName) -> None:
        for callback in self._on_closed:
            try:
                callback(name.provider, name.model)
            except Exception as error:  # noqa: BLE001 - it must not end the loop that looks
                emit(Fault.of(WHERE, error))

    def _in_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is None or threading.get_ident() == self._thread:
            call(*arguments)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def _settle_alone(alone: Breaker, admission: Admission, failed: bool | None) -> None:
    alone.settle(admission, failed=failed)


def _spawned(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run it as nobody's: it is no branch of the task whose call it belongs to."""
    return asyncio.create_task(_reported(work), name=WHERE, context=Context())


async def _reported(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - nobody awaits this: the report is the handling
        emit(Fault.of(WHERE, error))
