"""Waiting for tasks without asking: pushes wake every waiter of a process.

A process listens to the channels of the tasks that somebody here waits for, all over one connection. The final event is
pushed with the whole task in it, so a wait that ends costs no database query; neither does one that goes on.

What a push cannot promise is made good by three looks:

    on arrival      after the channel is subscribed to, so that nothing falls between looking and listening
    on reconnect    and on a new epoch: pushes, or the streams themselves, may have been lost
    every 5 s       one query a process for all awaited ids (every second while the plane does not answer)
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from dayshift.domain import ids
from dayshift.domain.errors import DependencyAway, NotFound, PlaneAway
from dayshift.domain.events import Fault
from dayshift.domain.patience import until_answered
from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Task
from dayshift.hotplane import Plane, channels
from dayshift.ledger import Ledger
from dayshift.tasks.awaited import Awaited
from dayshift.tasks.background import Background
from dayshift.tasks.following import Follower
from dayshift.tasks.lookup import Lookup
from dayshift.tasks.pushes import Pushes
from dayshift.telemetry import emit

SWEEP_SECONDS = 5.0
SWEEP_SECONDS_WHILE_AWAY = 1.0


class Waiters:
    """All who wait in this process."""

    def __init__(
        self,
        ledger: Ledger,
        plane: Plane,
        pushes: Pushes,
        background: Background,
        lookup: Lookup,
        *,
        sweep_seconds: float = SWEEP_SECONDS,
        sweep_seconds_while_away: float = SWEEP_SECONDS_WHILE_AWAY,
    ) -> None:
        self._ledger = ledger
        self._plane = plane
        self._pushes = pushes
        self._background = background
        self._lookup = lookup
        self._follower = Follower(plane, lookup)
        self._sweep_seconds = sweep_seconds
        self._sweep_seconds_while_away = sweep_seconds_while_away
        self._awaited: dict[str, Awaited] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closed = False
        pushes.on_reconnected(self.look_again)

    async def wait(self, task_id: str, tenant: str, seconds: float, *, known: bool = False) -> Task | None:
        """The finished task, or None when it has not ended within `seconds`. Raises `NotFound`, `LedgerAway`.

        `known`: the caller has just accepted or read this tenant's task, unfinished: the arrival look asks the plane only.
        """
        async with self._awaiting(task_id) as awaited:
            ended = await (self._follower.ending(task_id) if known else self._ended(task_id, tenant))
            return ended or await awaited.end_within(seconds)

    async def stream(self, task_id: str, tenant: str, after: int = 0) -> AsyncGenerator[StreamEvent]:
        """The task's events with numbers above `after`: history, then live, until the final event, which ends it.

        Raises `NotFound` at the first step, and waits while the ledger is away. An async generator: close it (`aclose`) when the reader goes away.
        """
        async with self._awaiting(task_id) as awaited:
            task = await until_answered(lambda: self._look(task_id, tenant))
            if task.is_final:
                awaited.end(task)
            async with aclosing(self._follower.follow(awaited, task, after)) as following:
                async for event in following:
                    yield event

    def look_again(self) -> None:
        """Something may have been missed: wake the readers, and sweep now."""
        self._wake_all()
        if self._awaited and not self._is_closed:
            self._background.spawn(self._sweep(), where="tasks.waiting")

    def let_go(self) -> None:
        """Let every waiter return: waits answer None, streams end without a final event (the reader resumes elsewhere)."""
        self._is_closed = True
        for awaited in self._awaited.values():
            awaited.let_go()

    async def close(self) -> None:
        """Let everybody go, and sweep no more."""
        self.let_go()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None

    @asynccontextmanager
    async def _awaiting(self, task_id: str) -> AsyncIterator[Awaited]:
        if not ids.is_valid(ids.TASK, task_id):
            raise NotFound(f"no task {task_id[:100]}")
        awaited = self._awaited.get(task_id)
        if awaited is None:
            awaited = self._awaited[task_id] = Awaited(task_id, self._fetch_end)
        awaited.waiters += 1
        if self._is_closed:
            awaited.let_go()
        try:
            await self._pushes.listen(channels.task(task_id), awaited.hear)
            self._sweep_from_now_on()
            yield awaited
        finally:
            awaited.waiters -= 1
            if not awaited.waiters:
                self._awaited.pop(task_id, None)
                self._pushes.leave(channels.task(task_id), awaited.hear)

    async def _look(self, task_id: str, tenant: str) -> Task:
        task = await self._lookup.of_tenant(task_id, tenant)
        if task is None:
            raise NotFound(f"no task {task_id}")
        return task

    async def _ended(self, task_id: str, tenant: str) -> Task | None:
        task = await self._look(task_id, tenant)
        return task if task.is_final else None

    def _fetch_end(self, awaited: Awaited) -> None:
        self._background.spawn(self._read_end(awaited), where="tasks.waiting")

    async def _read_end(self, awaited: Awaited) -> None:
        task = await self._follower.ending(awaited.task_id)
        if task is not None:
            awaited.end(task)

    def _sweep_from_now_on(self) -> None:
        if not self._is_closed and (self._sweeper is None or self._sweeper.done()):
            self._sweeper = self._background.spawn(self._sweep_while_awaited(), where="tasks.waiting")

    async def _sweep_while_awaited(self) -> None:
        waited_seconds = 0.0
        while self._awaited:
            await asyncio.sleep(self._sweep_seconds_while_away)
            waited_seconds += self._sweep_seconds_while_away
            plane_is_away = await self._plane_is_away()
            if plane_is_away or waited_seconds >= self._sweep_seconds:
                waited_seconds = 0.0
                await self._sweep()
            if plane_is_away:
                self._wake_all()

    async def _sweep(self) -> None:
        """Ask the ledger once for all who are awaited."""
        try:
            ended = await self._ledger.tasks.finished_among(list(self._awaited))
        except DependencyAway as error:
            emit(Fault.of("tasks.waiting", error))
            return
        for task in ended:
            if task.id in self._awaited:
                self._awaited[task.id].end(task)

    async def _plane_is_away(self) -> bool:
        try:
            await self._plane.now_us()
        except PlaneAway:
            return True
        return False

    def _wake_all(self) -> None:
        for awaited in self._awaited.values():
            awaited.wake()
