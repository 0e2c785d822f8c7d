"""A post: one place in the fleet that is always filled, by one child after another.

    empty ──fill──▶ filled ──child dies──▶ vacant ──backoff, start──▶ filled ...
                      └──replace: the successor is ready first, then the child retires──▶ filled
                      └──stop: the child retires──▶ empty

One watch at a time keeps the post filled; whoever takes over (`replace`, `stop`) ends that watch first, so that no child
is started by two hands. What a dead child left behind is put right beside all this, in a task of its own: a dependency
that is away delays that, but never the next child.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from dayshift.domain import clock
from dayshift.domain.events import Fault, ProcessChanged
from dayshift.supervisor.child import Child, ChildFailed, describe_exit
from dayshift.telemetry import emit

FIRST_TRIES = 3
ENDED_FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM})
FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 10.0
HEALTHY_AFTER_SECONDS = 10.0
READY_TIMEOUT_SECONDS = 60.0
AFTER_DEATH_SECONDS = 5.0  # how long a stop waits for what deaths left to be put right; maintenance does the rest


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
        self._retiring: dict[Child, asyncio.Task[None]] = {}
        self._aftermaths: set[asyncio.Task[None]] = set()
        self._backoff_seconds = FIRST_BACKOFF_SECONDS

    @property
    def child(self) -> Child | None:
        return self._child

    async def fill(self) -> None:
        """Start the first child and return when it is ready. Raises `ChildFailed`.

        A child that was ended from outside (a person, a machine short of memory) says nothing against what it runs, so
        another is tried, a few times.
        """
        self._take(await self._first())

    async def _first(self) -> Child:
        for _ in range(FIRST_TRIES - 1):
            try:
                return await self._start()
            except ChildFailed as failure:
                if failure.exit_status not in ENDED_FROM_OUTSIDE:
                    raise
                self._say("failed", None, failure.message)
                await asyncio.sleep(FIRST_BACKOFF_SECONDS)
        return await self._start()

    async def replace(self) -> None:
        """Start a successor, and retire the present child once the successor is ready. Raises `ChildFailed`: then
        everything stays as it was.
        """
        successor = await self._start()
        await self._stop_watching()
        predecessor = self._child
        self._take(successor)
        if predecessor is not None:
            await asyncio.shield(self._retire(predecessor))

    async def stop(self) -> None:
        """Retire the child and return when it has ended; kill it after the grace. Safe to call twice."""
        await self._stop_watching()
        child, self._child = self._child, None
        if child is not None:
            self._retire(child)
        await asyncio.gather(*self._retiring.values())
        await self._finish_aftermaths()

    def stop_hard(self) -> None:
        """Pass a second signal on: whoever is draining stops at once."""
        for child in self._retiring:
            child.drain()

    def _take(self, child: Child) -> None:
        self._child = child
        self._watch = asyncio.create_task(self._keep_filled(child), name=f"keep a {self.kind}")

    async def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait({watch})

    async def _keep_filled(self, child: Child) -> None:
        while True:
            status = await child.wait_ended()
            self._child = None
            self._say("died", child, describe_exit(status))
            self._put_right(child)
            if clock.monotonic_seconds() - child.started_at >= HEALTHY_AFTER_SECONDS:
                self._backoff_seconds = FIRST_BACKOFF_SECONDS
            child = self._child = await self._start_after_backoff()

    async def _start_after_backoff(self) -> Child:
        while True:
            await asyncio.sleep(self._backoff_seconds)
            self._backoff_seconds = min(self._backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)
            try:
                return await self._start()
            except (ChildFailed, OSError) as failure:
                self._say("failed", None, str(failure))

    async def _start(self) -> Child:
        child = await self._spawn()
        self._say("started", child)
        try:
            await child.wait_ready(READY_TIMEOUT_SECONDS)
        except ChildFailed:
            self._put_right(child)
            raise
        except asyncio.CancelledError:
            child.kill()
            await child.wait_ended()
            self._put_right(child)
            raise
        self._say("ready", child)
        return child

    def _retire(self, child: Child) -> asyncio.Task[None]:
        """Drain the child, kill it after the grace; goes on although its caller is cancelled."""
        retiring = asyncio.create_task(self._drain(child), name=f"retire a {self.kind}")
        self._retiring[child] = retiring
        retiring.add_done_callback(lambda _: self._retiring.pop(child))
        return retiring

    async def _drain(self, child: Child) -> None:
        self._say("draining", child)
        await child.stop(self._grace_seconds)
        self._put_right(child)
        self._say("stopped", child)

    def _put_right(self, child: Child) -> None:
        aftermath = asyncio.create_task(self._reported_after_death(child), name=f"after the death of a {self.kind}")
        self._aftermaths.add(aftermath)
        aftermath.add_done_callback(self._aftermaths.discard)

    async def _reported_after_death(self, child: Child) -> None:
        try:
            await self._after_death(child)
        except Exception as error:  # noqa: BLE001 - the supervisor lives on; maintenance puts it right
            emit(Fault.of("supervisor", error))

    async def _finish_aftermaths(self) -> None:
        if not self._aftermaths:
            return
        _, left = await asyncio.wait(set(self._aftermaths), timeout=AFTER_DEATH_SECONDS)
        for aftermath in left:
            aftermath.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await aftermath

    def _say(self, change: str, child: Child | None, detail: str | None = None) -> None:
        emit(ProcessChanged(kind=self.kind, child_pid=child.pid if child else 0, change=change, detail=detail))
