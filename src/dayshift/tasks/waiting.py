"""Waiting for tasks without asking: pushes wake every waiter of a process."""

from collections.abc import AsyncIterator

from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Task


class Waiters:
    async def wait(self, task_id: str, tenant: str, seconds: float) -> Task | None:
        """The finished task, or None when it has not ended within `seconds`. Raises `NotFound`."""
        raise NotImplementedError

    def stream(self, task_id: str, tenant: str, after: int = 0) -> AsyncIterator[StreamEvent]:
        """The task's events with numbers above `after`: history, then live, until the final event, which ends it.

        Raises `NotFound` at the first step. An async generator: close it (`aclose`) when the reader goes away.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Let every waiter return: waits answer None, streams end without a final event (the reader resumes elsewhere)."""
        raise NotImplementedError
