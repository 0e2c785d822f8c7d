"""A post: one place in the fleet that is always filled, by one child after another.

States: filling ──ready──▶ filled ──child dies──▶ filling (after a backoff) ... ──stop──▶ empty.
A replacement is ready before its predecessor drains, so a rolling restart never has fewer hands than were asked for.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from dayshift.domain import clock
from dayshift.domain.events import ProcessChanged
from dayshift.supervisor.child import Child, ChildFailed, describe_exit
from dayshift.telemetry import emit

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 10.0
HEALTHY_AFTER_SECONDS = 10.0
READY_TIMEOUT_SECONDS = 60.0


class Post:
    """Keeps one process of a kind alive.

    `spawn` starts a child; `after_death` is told of every child that has ended, wanted or not, and puts right what it
    left behind (a dead worker's tasks).
    """

    def __init__(
        self,
        kind: str,
        spawn: Callable[[], Awaitable[Child]],
        after_death: Callable[[Child], Awaitable[None]],
        *,
        grace_seconds: float,
    ) -> None:
        self.kind = kind
        self._spawn = spawn
        self._after_death = after_death
        self._grace_seconds = grace_seconds
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._backoff_seconds = FIRST_BACKOFF_SECONDS

    @property
    def child(self) -> Child | None:
        return self._child

    async def fill(self) -> None:
        """Start the first child and return when it is ready. Raises `ChildFailed`."""
        self._take(await self._start())

    async def replace(self) -> None:
        """Start a successor, and drain the present child once the successor is ready. Raises `ChildFailed`: then the
        present child stays.
        """
        successor = await self._start()
        predecessor, watch = self._child, self._watch
        self._take(successor)
        if predecessor is None or watch is None:
            return
        watch.cancel()
        leaving = asyncio.create_task(self._see_off(predecessor))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        await asyncio.shield(leaving)

    async def stop(self) -> None:
        """Drain the child and return when it has ended; kill it after the grace. Safe to call twice."""
        self._is_stopping = True
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        child, self._child = self._child, None
        if child is not None:
            await self._see_off(child)
        await asyncio.gather(*self._leaving)

    def stop_hard(self) -> None:
        """Pass a second signal on: whoever is draining stops at once."""
        if self._child is not None:
            self._child.drain()

    async def _start(self) -> Child:
        child = await self._spawn()
        emit(ProcessChanged(kind=self.kind, child_pid=child.pid, change="started"))
        try:
            await child.wait_ready(READY_TIMEOUT_SECONDS)
        except ChildFailed:
            await self._after_death(child)
            raise
        except asyncio.CancelledError:
            child.kill()
            await child.wait_ended()
            await self._after_death(child)
            raise
        emit(ProcessChanged(kind=self.kind, child_pid=child.pid, change="ready"))
        return child

    def _take(self, child: Child) -> None:
        self._child = child
        self._watch = asyncio.create_task(self._keep_filled(child))

    async def _keep_filled(self, child: Child) -> None:
        status = await child.wait_ended()
        emit(ProcessChanged(kind=self.kind, child_pid=child.pid, change="died", detail=describe_exit(status)))
        self._child = None
        # Shielded: a rolling restart may cancel this watch, but not what a death leaves to be put right.
        await asyncio.shield(self._after_death(child))
        if clock.monotonic_seconds() - child.started_at >= HEALTHY_AFTER_SECONDS:
            self._backoff_seconds = FIRST_BACKOFF_SECONDS
        while not self._is_stopping:
            await asyncio.sleep(self._backoff_seconds)
            self._backoff_seconds = min(self._backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)
            try:
                self._take(await self._start())
            except ChildFailed as failure:
                emit(ProcessChanged(kind=self.kind, child_pid=0, change="failed", detail=failure.message))
            else:
                return

    async def _see_off(self, child: Child) -> None:
        emit(ProcessChanged(kind=self.kind, child_pid=child.pid, change="draining"))
        await child.stop(self._grace_seconds)
        await self._after_death(child)
        emit(ProcessChanged(kind=self.kind, child_pid=child.pid, change="stopped"))
