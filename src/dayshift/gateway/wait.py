"""One request's wait for the end of a task.

The wait for a task that this very request submits begins before the task exists: the subscription to its pushes is made
while its row is being committed, and so costs the task no time. Nothing can fall between accepting and listening either.
"""

import asyncio

from dayshift.domain.task import Task
from dayshift.gateway.request import Request
from dayshift.tasks.waiting import Waiters


class Wait:
    """Up to so many seconds; 0 waits for nothing. Call `end` in the end. Make it before anything is done for the request: it takes
    a connection of its tenant, or raises `Refused`.
    """

    def __init__(self, waiters: Waiters, request: Request, seconds: float) -> None:
        self._waiters = waiters
        self._request = request
        self._seconds = seconds
        if seconds > 0:
            request.stay()
        self._task_id = ""
        self._waiting: asyncio.Task[Task | None] | None = None

    def begin(self, task_id: str) -> None:
        """Listen for this task from now on: one that exists, or that is about to."""
        if self._seconds > 0:
            self.end()
            self._task_id = task_id
            self._waiting = asyncio.create_task(self._wait(task_id))

    async def end_of(self, task: Task) -> Task | None:
        """The task when it has ended, and as it is when its client has gone.

        None when the time is up or this gateway leaves: something may have changed since. Raises `DependencyAway`.
        """
        if task.id != self._task_id:
            self.begin(task.id)
        if task.is_final or self._waiting is None:
            return task
        self._request.rest()
        gone = asyncio.create_task(self._request.gone())
        gone.add_done_callback(lambda _: self.end())
        try:
            return await self._waiting
        except asyncio.CancelledError:
            if not gone.done():
                raise
            return task
        finally:
            gone.cancel()

    def end(self) -> None:
        """Stop listening. Safe to repeat."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self, task_id: str) -> Task | None:
        await asyncio.sleep(0)  # the row goes out first: its commit is what the task waits for
        return await self._waiters.wait(task_id, self._request.tenant, self._seconds, known=True)
