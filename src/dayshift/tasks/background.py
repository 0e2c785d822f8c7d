"""Work that nobody waits for, kept alive, counted, and reported when it fails."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from dayshift.domain.events import Fault
from dayshift.telemetry import emit


class Background:
    """Holds the tasks of the event loop that run behind an answer: asyncio itself would forget them."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], *, where: str) -> asyncio.Task[None]:
        """Run `work`, which belongs to nobody's task; an error of it becomes a `Fault` at `where`."""
        task = asyncio.create_task(_reported(work, where), name=where, context=Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _task: work.close())  # for one that was cancelled before its first step
        return task

    async def finish_within(self, grace_seconds: float) -> None:
        """Let what runs end, then cancel the rest. Calling it twice is safe."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=grace_seconds)
        left = set(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _reported(work: Coroutine[Any, Any, None], where: str) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - nobody awaits this: the report is the handling
        emit(Fault.of(where, error))
