"""Writes that outlive whoever waits for them.

An agent may be cancelled while its answer is on its way into the ledger: by its own timeout, by a branch that failed, by a
drain. The answer was paid for, so it is written all the same, and the attempt does not end before.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Surviving:
    """Of one attempt; used from the worker's loop alone."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[Any]] = set()

    async def finish(self, writing: Coroutine[Any, Any, Answer]) -> Answer:
        """Await it; a cancellation ends the waiting only."""
        task = asyncio.get_running_loop().create_task(writing)
        self._open.add(task)
        task.add_done_callback(self._close)
        return await asyncio.shield(task)

    async def all_finished(self) -> None:
        """Wait until nothing is being written."""
        while self._open:
            await asyncio.wait(self._open)

    def _close(self, task: asyncio.Task[Any]) -> None:
        self._open.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, as the one who would be told may have left
