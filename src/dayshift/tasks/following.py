"""Following one task's stream: history, then live, from any number, on any gateway.

Readers pull: a push only says "read on from your last number". So a slow reader holds no memory here, two readers never
wait for each other, and a reader that resumes elsewhere reads the same entries.

A stream that lacks what should follow the reader's last number goes on with `task.snapshot`, the task as it is now. That
happens when the plane was lost, when the stream has expired, and when it was cut at its length. Into an empty stream the
first reader writes the snapshot, so that all resume from the same entry. Where events stand there already, the snapshot
belongs to its reader alone, under the number right below that of the next event.

A ledger that is away when it is needed is waited for: to end the stream then would look like a gateway that died.

A stream that lacks its end (the plane was lost after it, or the writer has not come through yet) gets the final event
from the ledger. So does one that cannot be read, but only after half a minute: this gateway may be cut off, and a reader
who is told the end at once never asks for what led to it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from dayshift.domain.clock import monotonic_seconds, now
from dayshift.domain.errors import LedgerAway, NotFound, PlaneAway
from dayshift.domain.patience import until_answered
from dayshift.domain.stream import SNAPSHOT, StreamEvent
from dayshift.domain.task import Task
from dayshift.hotplane import Plane, StreamPage
from dayshift.tasks import events
from dayshift.tasks.awaited import Awaited
from dayshift.tasks.lookup import Lookup

PAGE_EVENTS = 500
AWAY_PATIENCE_SECONDS = 30.0  # with a plane that does not answer and may hold what leads to the end
WRITER_GRACE_SECONDS = 1.0  # between the commit of an end and its event in the stream
_PAUSE_SECONDS = 0.5
_YOUNG_SECONDS = 5.0  # so long may the first event of a new task be under way


class Follower:
    """Reads streams for the waiters of a process."""

    def __init__(self, plane: Plane, lookup: Lookup) -> None:
        self._plane = plane
        self._lookup = lookup

    async def follow(self, awaited: Awaited, task: Task, after: int) -> AsyncGenerator[StreamEvent]:
        """Events above `after`, until the final one or until `awaited` is let go. `task`: as found on arrival."""
        cursor = _Cursor(after)
        with awaited.reader() as woken:
            while not awaited.is_let_go:
                woken.clear()
                page = await self._read(awaited.task_id, cursor.number)
                if page is not None and await self._lacks_events(awaited, task, cursor, page):
                    if not page.events:
                        await self._write_snapshot(awaited)
                        continue
                    yield cursor.passed(await self._snapshot_before(awaited, page.events[0].number))
                for event in page.events if page is not None else ():
                    yield cursor.passed(event)
                if page is not None and page.events:
                    if page.events[-1].is_final and len(page.events) < PAGE_EVENTS:
                        return
                    continue
                cursor.note(answered=page is not None)
                if awaited.ended is None:
                    await woken.wait()
                    continue
                if await self._more_may_still_come(awaited.ended, cursor, woken):
                    continue
                if not await self._has_seen_the_end(awaited.task_id, cursor.number):
                    yield events.numbered(events.final(awaited.ended), _number_above(cursor.number))
                return

    async def ending(self, task_id: str) -> Task | None:
        """The ended task, if its stream says so already.

        While the plane does not answer the ledger is asked: the push may have been missed, too.
        """
        try:
            last = await self._plane.last(task_id)
        except PlaneAway:
            return await self._ended_in_ledger(task_id)
        return events.task_within(last) if last is not None and last.is_final else None

    async def _ended_in_ledger(self, task_id: str) -> Task | None:
        try:
            task = await self._lookup.get(task_id)
        except LedgerAway:  # with both away, whoever waits is found by a sweep
            return None
        return task if task is not None and task.is_final else None

    async def _read(self, task_id: str, after: int, limit: int | None = None) -> StreamPage | None:
        """The next piece of a stream; None while the plane does not answer."""
        try:
            return await self._plane.read(task_id, after, limit or PAGE_EVENTS)
        except PlaneAway:
            return None

    async def _lacks_events(self, awaited: Awaited, task: Task, cursor: "_Cursor", page: StreamPage) -> bool:
        """Whether events that should follow the cursor are not in the stream any more."""
        if page.starts_at_beginning:
            return False
        first = await self._read(task.id, 0, limit=1)
        if first is None or first.starts_at_beginning:  # its first event came between the two looks
            return False
        if not first.events:
            return awaited.ended is None and not (cursor.number == 0 and _is_young(task))
        return first.events[0].type != SNAPSHOT and first.events[0].number > cursor.number + 1

    async def _write_snapshot(self, awaited: Awaited) -> None:
        current = await self._current(awaited)
        try:
            await self._plane.append([events.snapshot(current)])
        except PlaneAway:
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _snapshot_before(self, awaited: Awaited, number: int) -> StreamEvent:
        return events.numbered(events.snapshot(await self._current(awaited)), number - 1)

    async def _current(self, awaited: Awaited) -> Task:
        current = awaited.ended or await until_answered(lambda: self._lookup.get(awaited.task_id))
        if current is None:
            raise NotFound(f"no task {awaited.task_id}: it was erased")
        return current

    async def _more_may_still_come(self, ended: Task, cursor: "_Cursor", woken: asyncio.Event) -> bool:
        """The ledger knows the end, and the stream does not show it: wait a moment. False: the time for that is over."""
        assert ended.finished_at is not None
        if cursor.away_since_mono is not None:
            left_seconds = AWAY_PATIENCE_SECONDS - (monotonic_seconds() - cursor.away_since_mono)
        else:
            left_seconds = WRITER_GRACE_SECONDS - (now() - ended.finished_at).total_seconds()
        if left_seconds <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(left_seconds, _PAUSE_SECONDS)):
                await woken.wait()
        return True

    async def _has_seen_the_end(self, task_id: str, number: int) -> bool:
        """Whether the event with this number is the final one: a reader came back after its end."""
        if not number:
            return False
        page = await self._read(task_id, number - 1, limit=1)
        return page is not None and bool(page.events) and page.events[0].number == number and page.events[0].is_final


class _Cursor:
    """A reader's last number, and since when the plane did not answer it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.away_since_mono: float | None = None

    def note(self, *, answered: bool) -> None:
        """Whether the plane answered the last read."""
        if answered:
            self.away_since_mono = None
        elif self.away_since_mono is None:
            self.away_since_mono = monotonic_seconds()

    def passed(self, event: StreamEvent) -> StreamEvent:
        self.number = event.number
        return event


def _is_young(task: Task) -> bool:
    return (now() - task.created_at).total_seconds() < _YOUNG_SECONDS


def _number_above(number: int) -> int:
    """For the last event that a reader will ever see, this machine's clock is good enough."""
    return max(number + 1, int(now().timestamp() * 1_000_000))
