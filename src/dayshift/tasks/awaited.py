"""One task that somebody in this process waits for."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dayshift.domain.stream import FINAL_EVENTS, QUEUED, StreamEvent
from dayshift.domain.task import Task
from dayshift.hotplane import channels
from dayshift.tasks import events


class Awaited:
    """What is known of its end, and whom to wake.

    `fetch_end` is called for a final event that was too large to be pushed whole.
    """

    def __init__(self, task_id: str, fetch_end: Callable[["Awaited"], None]) -> None:
        self.task_id = task_id
        self._fetch_end = fetch_end
        self.waiters = 0
        self.ended: Task | None = None
        self.is_let_go = False
        self._over = asyncio.Event()
        self._readers: set[asyncio.Event] = set()

    def hear(self, payload: bytes) -> None:
        """Something was appended to the task's stream."""
        notice = channels.event_of(payload)
        if notice.type == QUEUED:
            self._reopen()
        if notice.type not in FINAL_EVENTS:
            self.wake()
        elif notice.data is None:
            self._fetch_end(self)
        else:
            self.end(events.task_within(StreamEvent(notice.number, notice.type, notice.data)))

    def end(self, task: Task) -> None:
        """The task has ended: every wait returns it, every stream comes to its end."""
        self.ended = task
        self._over.set()
        self.wake()

    def _reopen(self) -> None:
        """A dead letter was retried: its old failure is nobody's answer any more."""
        self.ended = None
        if not self.is_let_go:
            self._over.clear()

    def let_go(self) -> None:
        """This process stops: waits and streams return without an end."""
        self.is_let_go = True
        self._over.set()
        self.wake()

    def wake(self) -> None:
        """The stream may have grown."""
        for reader in self._readers:
            reader.set()

    @contextmanager
    def reader(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever the stream may have grown."""
        woken = asyncio.Event()
        self._readers.add(woken)
        try:
            yield woken
        finally:
            self._readers.discard(woken)

    async def end_within(self, seconds: float) -> Task | None:
        """The ended task; None when the time is up or the process stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return None
        return self.ended
