"""How an agent's code does something through its journal: found, or done and recorded.

Async code awaits. A plain function runs in a thread of its own and blocks there, while the loop of its worker writes. A thread may
also run a loop of its own (`asyncio.run` in a plain agent): async code there awaits as everywhere, and the worker's loop writes.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from dayshift.agents.by_hand import WaitingByHand
from dayshift.agents.errands import Errands
from dayshift.agents.failures import encode_failure, raise_recorded
from dayshift.agents.usage import CallMeter
from dayshift.domain.child import ChildEnd
from dayshift.domain.effect import Effect, EffectStatus
from dayshift.domain.errors import Stopped, WrongUse
from dayshift.journal import AttemptJournal, Call, unpack

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 1.0  # a strict agent's, for branches beside the one that would pay again
PATIENCE_TURNS = 50

scope: ContextVar[str] = ContextVar("dayshift_scope", default="")
"""Where in the agent we are: below which step, in which branch. Part of every key, and carried into what is called."""


calling_thread: ContextVar[int | None] = ContextVar("dayshift_calling_thread", default=None)
"""The thread that blocks until the worker's loop has done something for it."""

_current: ContextVar["Effects | None"] = ContextVar("dayshift_effects", default=None)


def current_effects() -> "Effects | None":
    """Of the task that runs here; None outside of tasks."""
    return _current.get()


def journal_with(effects: "Effects") -> None:
    """From here on, what is done below goes through these."""
    _current.set(effects)


class Waiting(Protocol):
    """How an attempt waits for what may take days. Both may never return: then the task is parked."""

    unparked: set[object]
    """What is under way that was written down as begun and must not be begun again: meanwhile the attempt keeps its slot."""

    async def until_due(self, wait: Effect) -> None:
        """Until the time of a wait is over."""

    async def until_provider(self, provider: str, seconds: float, message: str) -> None:
        """So many seconds for somebody who does not answer. No journal knows of it: a later attempt asks again in any case."""

    async def answer(self, wait: Effect) -> bytes | ChildEnd | None:
        """What a wait was for: a signal's payload, a child's end, or None when it timed out (which is recorded then)."""


class Effects:
    """The effects of one attempt. `loop` is the one that its worker writes from; None where there is no worker.

    `depth`: how many tasks stand above this one.
    """

    def __init__(
        self,
        journal: AttemptJournal,
        loop: asyncio.AbstractEventLoop | None,
        waiting: Waiting | None = None,
        *,
        depth: int = 0,
        meter: CallMeter | None = None,
    ) -> None:
        self.journal = journal
        self.waiting = waiting or WaitingByHand()
        self.depth = depth
        self.meter = meter or CallMeter()
        self._loop = loop

    @property
    def is_local(self) -> bool:
        """Whether this is no task of a worker, but a function called by hand."""
        return self._loop is None

    def is_on_loop(self) -> bool:
        """Whether the code that asks runs on the worker's loop, and not in a thread of its own."""
        running = asyncio._get_running_loop()  # noqa: SLF001 - the documented way raises, which costs more
        return running is not None if self._loop is None else running is self._loop

    @staticmethod
    def is_in_async_code() -> bool:
        """Whether the code that asks can await, on whichever loop."""
        return asyncio._get_running_loop() is not None  # noqa: SLF001 - as above

    def refused(self, message: str) -> Exception:
        """What was called in a way that cannot be. It stops the attempt: an SDK would try again and hide what is wrong, and a
        framework would tell it to the model.
        """
        return self.stopped_by(WrongUse(message))

    def stopped_by(self, error: Exception) -> Exception:
        """Likewise, by an error that says so itself."""
        return error if self.is_local else self.journal.stop_by(error)

    async def take(self, call: Call) -> Effect | None:
        """What an earlier attempt recorded; None when it has to be done. Raises Diverged, which ends a strict agent.

        A branch that runs beside this one may be about to ask for what seems to be unused, so a strict agent waits for it.
        """
        found, turns = self.journal.take(call), 0
        while found is None and (divergence := self.journal.suspicion(call)) is not None:
            if turns == PATIENCE_TURNS:
                raise self.journal.stop(call, divergence)
            await asyncio.sleep(PATIENCE_SECONDS / PATIENCE_TURNS)
            turns += 1
        return found

    def take_here(self, call: Call) -> Effect | None:
        """The same in a plain function's thread."""
        found, turns = self.journal.take(call), 0
        while found is None and (divergence := self.journal.suspicion(call)) is not None:
            if turns == PATIENCE_TURNS:
                raise self.journal.stop(call, divergence)
            time.sleep(PATIENCE_SECONDS / PATIENCE_TURNS)
            turns += 1
        return found

    async def perform(self, call: Call, do: Callable[[], Awaitable[bytes]]) -> bytes:
        """The recorded result of a call, made now unless an earlier attempt made it. Raises what it raised then."""
        found = await self.take(call)
        if found is not None:
            return result_of(found)
        draft = self.journal.begin(call)
        try:
            with self.meter.working():
                result = await do()
        except Exception as error:
            self.journal.failed(draft, error, encode_failure(error))
            raise
        return result_of(await self.written(self.journal.record(draft, result)))

    def perform_here(self, call: Call, do: Callable[[], bytes]) -> bytes:
        """The same from a plain function's thread."""
        found = self.take_here(call)
        if found is not None:
            return result_of(found)
        draft = self.journal.begin(call)
        try:
            with self.meter.working():
                result = do()
        except Exception as error:
            self.journal.failed(draft, error, encode_failure(error))
            raise
        return result_of(self.wait_for(self.journal.record(draft, result)))

    def draw(self, call: Call, value: Callable[[], bytes]) -> bytes:
        """A value that costs nothing, and that a later attempt is given again."""
        found = self.journal.take(call)
        if found is not None:
            return result_of(found)
        drawn = value()
        self.journal.drawn(self.journal.begin(call), drawn)
        return drawn

    async def written(self, doing: Coroutine[Any, Any, Answer]) -> Answer:
        """Await what only the worker's loop can do, on whichever loop this runs."""
        if self._loop is None or self.is_on_loop():
            return await doing
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, self._loop))

    def wait_for(self, doing: Coroutine[Any, Any, Answer], errands: Errands | None = None) -> Answer:
        """Block this thread until the worker's loop has done it; meanwhile do the errands that it has for this thread."""
        if self._loop is None:
            return asyncio.run(doing)
        token = calling_thread.set(threading.get_ident())
        try:
            future = asyncio.run_coroutine_threadsafe(doing, self._loop)
            if errands is not None:
                errands.work_until(future)
            return future.result()
        except concurrent.futures.CancelledError:  # this thread cannot be cancelled, but what it waited for was
            raise Stopped("the attempt was told to stop") from None
        finally:
            calling_thread.reset(token)


def result_of(effect: Effect) -> bytes:
    """What an effect gave. Raises what it raised."""
    assert effect.result is not None, "what has only begun is settled by its own rules"
    result = unpack(effect.result)
    if effect.status is EffectStatus.FAILED:
        raise_recorded(result)
    return result
