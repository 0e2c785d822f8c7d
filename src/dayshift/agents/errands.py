"""What a coroutine on the worker's loop has the thread do that waits for it.

A plain client belongs to its thread, while limits and breakers belong to the loop: so the pipeline runs there, and its sends
here.
"""

import asyncio
import concurrent.futures
import queue
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
_Errand = tuple[Callable[[], Any], "concurrent.futures.Future[Any]"]


class Errands:
    """Of one thread that waits for one coroutine."""

    def __init__(self) -> None:
        self._errands: queue.SimpleQueue[_Errand | None] = queue.SimpleQueue()

    async def run(self, do: Callable[[], Result]) -> Result:
        """On the loop: have the thread do it."""
        done: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._errands.put((do, done))
        return await asyncio.wrap_future(done)

    def work_until(self, over: "concurrent.futures.Future[Any]") -> None:
        """In the thread: do what comes until the coroutine has ended."""
        over.add_done_callback(lambda _: self._errands.put(None))
        while (errand := self._errands.get()) is not None:
            do, done = errand
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(do())
                except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                    done.set_exception(error)
