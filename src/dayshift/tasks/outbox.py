"""Telling the hot plane what the ledger has decided.

Nothing here is true by itself: every entry follows from a row that is committed. So an accept, a start or a finish
never waits for the plane and never fails with it. What is put in during one turn of the loop, or while a delivery is
under way, leaves together: events first, then acks, then places. Events go a turn of the loop ahead of acks: then the
plane has pushed an end to whoever waits for it before it is busy with the slot that came free. The order of one task's
events is the order in which they were put in, because there is one delivery at a time.

What happens when the plane does not answer, or is being rebuilt:

    events   repeated until answered: a stream has no gap because Valkey was away for a while. Each has its order among
             the events of this outbox, by which the plane knows what it has appended already
    acks     repeated until answered: the slot that they free is the plane's to count
    places   repeated a few times, about ten seconds in all; then maintenance announces the rows that the plane lacks,
             which it does anyway for whoever dies between commit and delivery

All of it is bounded in bytes. Beyond that the oldest entries are dropped and reported: a lost ack heals when the worker's
beat shows that it does not hold the task, a lost place is announced again, and a waiter whose final event is lost finds
the end in the ledger.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from dayshift.domain import ids
from dayshift.domain.errors import PlaneAway
from dayshift.domain.events import Fault
from dayshift.domain.jitter import full_jitter
from dayshift.domain.stream import Append
from dayshift.domain.task import Place
from dayshift.hotplane import Ack, Numbered, Plane
from dayshift.tasks.background import Background
from dayshift.telemetry import emit

MAX_BYTES = 64 * 1024 * 1024
MAX_ENTRIES_A_DELIVERY = 2_000
MAX_BYTES_A_DELIVERY = 4 * 1024 * 1024  # crosses a slow network within the plane's time limit
PLACE_TRIES = 12
BACKOFF_BASE_SECONDS = 0.05
BACKOFF_CAP_SECONDS = 2.0
_SMALL_ENTRY_BYTES = 300


class _Entry:
    """One thing to tell. `worker_id` is set for acks, `order` for events."""

    __slots__ = ("order", "size_bytes", "tries", "what", "worker_id")

    def __init__(self, what: Append | Place | Ack, *, worker_id: str | None = None, order: int = 0) -> None:
        self.what = what
        self.worker_id = worker_id
        self.order = order
        self.tries = 0
        self.size_bytes = _SMALL_ENTRY_BYTES + (len(what.data) if isinstance(what, Append) else 0)


class Outbox:
    """One per process. The methods that put something in return at once and never fail."""

    def __init__(self, plane: Plane, background: Background, *, max_bytes: int = MAX_BYTES) -> None:
        self._plane = plane
        self._background = background
        self._max_bytes = max_bytes
        self._name = ids.new("outbox_")
        self._last_order = 0  # of the event that was put in last
        self._told_order = 0  # of the one up to which all are answered
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []
        self._pending: deque[_Entry] = deque()
        self._pending_bytes = 0
        self._delivering = False
        self._failures = 0
        self._overflowed = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def pending_bytes(self) -> int:
        return self._pending_bytes

    def tell(self, event: Append) -> None:
        """Append to a task's live stream."""
        self._last_order += 1
        self._put(_Entry(event, order=self._last_order))

    def place(self, place: Place) -> None:
        """Queue a task in the hot plane."""
        self._put(_Entry(place))

    def ack(self, worker_id: str, ack: Ack) -> None:
        """Free the slot that a worker's task held."""
        self._put(_Entry(ack, worker_id=worker_id))

    async def delivered(self) -> None:
        """Wait until everything put in so far has been answered or given up."""
        await self._empty.wait()

    def told_so_far(self) -> Callable[[], Awaitable[None]]:
        """Await what is answered before something that must come after all events put in until now."""
        order = self._last_order

        async def told() -> None:
            if self._told_order < order:
                reached = asyncio.get_running_loop().create_future()
                self._watchers.append((order, reached))
                await reached

        return told

    def _note_told(self, order: int) -> None:
        self._told_order = max(self._told_order, order)
        for wanted, reached in self._watchers:
            if wanted <= self._told_order and not reached.done():
                reached.set_result(None)
        self._watchers = [watcher for watcher in self._watchers if not watcher[1].done()]

    def _put(self, entry: _Entry) -> None:
        self._pending.append(entry)
        self._pending_bytes += entry.size_bytes
        self._empty.clear()
        if self._pending_bytes > self._max_bytes:
            self._drop_oldest()
        if not self._delivering:
            self._delivering = True
            self._background.spawn(self._deliver(), where="tasks.outbox")

    def _drop_oldest(self) -> None:
        while self._pending_bytes > self._max_bytes:
            self._pending_bytes -= self._pending.popleft().size_bytes
        if not self._overflowed:
            self._overflowed = True
            emit(
                Fault(
                    where="tasks.outbox",
                    error_type="Overflow",
                    message=f"more than {self._max_bytes} bytes wait for Valkey; the oldest events and acks are dropped",
                )
            )

    async def _deliver(self) -> None:
        try:
            while self._pending:
                batch = self._take_batch()
                repeated = await self._send(batch)
                if repeated:
                    self._put_back(repeated)
                    self._failures += 1
                    await asyncio.sleep(full_jitter(BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, self._failures))
                else:
                    self._failures = 0
                    self._overflowed = False
                    self._note_told(max(entry.order for entry in batch))
        finally:
            self._delivering = False
            if not self._pending:
                self._empty.set()

    def _take_batch(self) -> list[_Entry]:
        batch: list[_Entry] = []
        size_bytes = 0
        while self._pending and len(batch) < MAX_ENTRIES_A_DELIVERY and size_bytes < MAX_BYTES_A_DELIVERY:
            entry = self._pending.popleft()
            batch.append(entry)
            size_bytes += entry.size_bytes
        self._pending_bytes -= size_bytes
        return batch

    def _put_back(self, entries: list[_Entry]) -> None:
        self._pending.extendleft(reversed(entries))
        self._pending_bytes += sum(entry.size_bytes for entry in entries)

    async def _send(self, batch: list[_Entry]) -> list[_Entry]:
        """Send one batch; answers with the entries that must be sent again."""
        parts = self._parts(batch)
        answers = await asyncio.gather(*(call for _, call in parts), return_exceptions=True)
        repeated: list[_Entry] = []
        for (entries, _), answer in zip(parts, answers, strict=True):
            if isinstance(answer, PlaneAway):
                repeated += [entry for entry in entries if _is_worth_repeating(entry)]
            elif isinstance(answer, Exception):
                emit(Fault.of("tasks.outbox", answer))
            elif isinstance(answer, BaseException):
                raise answer
        return repeated

    def _parts(self, batch: list[_Entry]) -> list[tuple[list[_Entry], Coroutine[Any, Any, Any]]]:
        events: list[_Entry] = []
        places: list[_Entry] = []
        acks: dict[str, list[_Entry]] = {}
        for entry in batch:
            if isinstance(entry.what, Append):
                events.append(entry)
            elif isinstance(entry.what, Place):
                places.append(entry)
            else:
                acks.setdefault(entry.worker_id or "", []).append(entry)
        parts: list[tuple[list[_Entry], Coroutine[Any, Any, Any]]] = []
        if events:
            numbered = Numbered(self._name, [e.order for e in events])
            parts.append((events, self._plane.append([e.what for e in events if isinstance(e.what, Append)], numbered)))
        for worker_id, entries in acks.items():
            freed = [e.what for e in entries if isinstance(e.what, Ack)]
            parts.append((entries, _a_turn_later(self._plane.ack, worker_id, freed)))
        if places:
            queued = [e.what for e in places if isinstance(e.what, Place)]
            enqueue = self._plane.enqueue
            parts.append((places, _a_turn_later(enqueue, queued) if acks else enqueue(queued)))
        return parts


async def _a_turn_later(tell: Callable[..., Awaitable[object]], *what: object) -> None:
    await asyncio.sleep(0)
    await tell(*what)


def _is_worth_repeating(entry: _Entry) -> bool:
    entry.tries += 1
    return not isinstance(entry.what, Place) or entry.tries < PLACE_TRIES
