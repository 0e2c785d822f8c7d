"""Group commit: many small writes become few large ones, and nobody waits for a timer.

**How it flows.** A caller hands in a row and waits. If fewer than `writers` statements are in flight one more begins in the
same turn of the loop, with all rows that the turn has brought; else the row waits until a writer is free, which then
takes everything that has gathered, within `max_rows` and `max_bytes`. So an idle ledger is written at once, one row at a time,
and a busy one in batches as large as its own slowness has made them. There is nothing to tune and no delay to pay.

    submit ─▶ pending ──take──▶ batch ──write──▶ answers ─▶ each caller
                 ▲                 │
                 │                 ├─ LedgerBusy   the same batch again, soon
                 └─ as it was ─────┼─ LedgerAway   again with jitter, until each row's own deadline
                                   ├─ BadRow       halves, quarters, ... until the bad row is alone; it alone fails
                                   └─ other        a bug: every row of the batch gets it

**Why repeating is safe.** `write` is one transaction, and every row can be written twice with one effect (the writer made its
ids). So after a lost connection, when nobody knows whether the commit happened, the answer is to write again.

**What is bounded.** Rows and bytes of a batch; bytes of all rows that wait or are in flight (`max_pending_bytes`: a caller
beyond that is refused at once, so an outage cannot fill the memory); and a row's time, if it names a deadline. A deadline is
looked at before a write and after a failed one, so an answer may be later than it by one statement. A row without a
deadline waits for as long as it takes: a result that was paid for.

**Who may leave.** A caller that is cancelled takes its row along if it was not yet taken into a batch; otherwise the row is
written and its answer dropped. Either way the others notice nothing.

**Order.** Answers go to the rows they belong to. With more than one writer two rows may be committed in either order, as
two connections would; a caller that needs an order waits for its first answer.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from dayshift.domain import clock
from dayshift.domain.errors import LedgerAway, WrongUse
from dayshift.domain.events import LedgerCommit
from dayshift.domain.jitter import full_jitter
from dayshift.ledger.errors import RETRY_AFTER_SECONDS, BadRow, LedgerBusy
from dayshift.telemetry import emit

Row = TypeVar("Row")
Result = TypeVar("Result")

MEBIBYTE = 1 << 20
BUSY_WAIT_SECONDS = (0.005, 0.2)  # base and cap of the jitter
AWAY_WAIT_SECONDS = (0.05, 2.0)


class _Pending(Generic[Row, Result]):
    """A row, who waits for it, and for how long."""

    __slots__ = ("answer", "deadline", "row", "size_bytes")

    def __init__(self, row: Row, size_bytes: int, deadline: float | None, answer: asyncio.Future[Result]) -> None:
        self.row = row
        self.size_bytes = size_bytes
        self.deadline = deadline
        self.answer = answer

    def is_overdue(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline


class GroupCommit(Generic[Row, Result]):
    """Gathers rows of many callers into calls of `write`, which answers one result a row, in order."""

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Row]], Awaitable[Sequence[Result]]],
        *,
        max_rows: int = 500,
        max_bytes: int = 4 * MEBIBYTE,
        max_pending_bytes: int = 64 * MEBIBYTE,
        writers: int = 2,
        on_commit: Callable[[LedgerCommit], None] = emit,
    ) -> None:
        self.name = name
        self._write = write
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._max_pending_bytes = max_pending_bytes
        self._max_writers = writers
        self._on_commit = on_commit
        self._pending: deque[_Pending[Row, Result]] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._active_writers = 0
        self._pending_bytes = 0
        self._closed = False

    @property
    def pending_bytes(self) -> int:
        """Bytes of all rows that wait or are in flight."""
        return self._pending_bytes

    async def submit(self, row: Row, size_bytes: int, *, deadline_seconds: float | None = None) -> Result:
        """Write a row, together with whatever else is there; its result, after the commit.

        Raises LedgerAway when the deadline passes first (the outcome is then unknown: repeat with the same ids) or when
        too much is waiting already, and BadRow when PostgreSQL refuses this very row.
        """
        if self._closed:
            raise WrongUse(f"The group commit {self.name!r} is closed and takes no more rows.")
        if self._pending_bytes and self._pending_bytes + size_bytes > self._max_pending_bytes:
            raise LedgerAway(
                f"{self._pending_bytes} bytes are waiting to be written ({self.name}). PostgreSQL is too slow or away; try again.",
                code="ledger_backlog",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        deadline = None if deadline_seconds is None else clock.monotonic_seconds() + deadline_seconds
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._forget(size_bytes))
        self._pending_bytes += size_bytes
        self._pending.append(_Pending(row, size_bytes, deadline, answer))
        self._wake_a_writer()
        return await answer

    async def close(self) -> None:
        """Take no more rows, and return when all that were taken are answered."""
        self._closed = True
        while self._writers:
            await asyncio.wait(self._writers)

    def _forget(self, size_bytes: int) -> None:
        self._pending_bytes -= size_bytes

    def _wake_a_writer(self) -> None:
        if self._active_writers < self._max_writers:
            self._active_writers += 1
            writer = asyncio.get_running_loop().create_task(self._drain(), name=f"group commit {self.name}")
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)

    async def _drain(self) -> None:
        """Write until nothing waits. The count falls in the same step that finds nothing: no row can slip in between."""
        try:
            while batch := self._take():
                await self._settle(batch)
        finally:
            self._active_writers -= 1

    def _take(self) -> list[_Pending[Row, Result]]:
        """The next batch: the oldest rows whose callers still wait, within the bounds; a large row goes alone."""
        batch: list[_Pending[Row, Result]] = []
        size_bytes = 0
        while self._pending and len(batch) < self._max_rows:
            if self._pending[0].answer.done():
                self._pending.popleft()
                continue
            size_bytes += self._pending[0].size_bytes
            if batch and size_bytes > self._max_bytes:
                break
            batch.append(self._pending.popleft())
        return batch

    async def _settle(self, batch: list[_Pending[Row, Result]]) -> None:
        """Write a batch until every row of it is answered."""
        failed = 0
        while batch := self._still_wanted(batch):
            try:
                await self._commit(batch)
            except LedgerAway as error:
                failed += 1
                self._expire(batch, error)
                base, cap = BUSY_WAIT_SECONDS if isinstance(error, LedgerBusy) else AWAY_WAIT_SECONDS
                await asyncio.sleep(full_jitter(base, cap, failed))
            except BadRow as error:
                await self._bisect(batch, error)
            except BaseException as error:
                _fail(batch, error)
                if not isinstance(error, Exception):
                    raise

    async def _commit(self, batch: list[_Pending[Row, Result]]) -> None:
        began = clock.monotonic_seconds()
        results = await self._write([pending.row for pending in batch])
        for pending, result in zip(batch, results, strict=True):
            if not pending.answer.done():
                pending.answer.set_result(result)
        seconds = clock.monotonic_seconds() - began
        self._on_commit(LedgerCommit(operation=self.name, rows=len(batch), duration_seconds=seconds))

    async def _bisect(self, batch: list[_Pending[Row, Result]], error: BadRow) -> None:
        """Write both halves apart. Nothing of the batch was committed, and its good rows are not to suffer."""
        if len(batch) == 1:
            _fail(batch, error)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    def _still_wanted(self, batch: list[_Pending[Row, Result]]) -> list[_Pending[Row, Result]]:
        return [pending for pending in batch if not pending.answer.done()]

    def _expire(self, batch: list[_Pending[Row, Result]], error: LedgerAway) -> None:
        """Answer the rows whose time is over, also those that are still waiting for a writer."""
        now = clock.monotonic_seconds()
        _fail([pending for pending in batch if pending.is_overdue(now)], error)
        overdue = [pending for pending in self._pending if pending.is_overdue(now)]
        if overdue:
            _fail(overdue, error)


def _fail(batch: Sequence[_Pending[Row, Result]], error: BaseException) -> None:
    for pending in batch:
        if not pending.answer.done():
            pending.answer.set_exception(_twin(error))


def _twin(error: BaseException) -> BaseException:
    """An error object for one caller alone: raising one object in many places would mix their tracebacks."""
    if not isinstance(error, Exception):
        return asyncio.CancelledError()
    try:
        twin = copy.copy(error)
    except TypeError:  # a class that is not made from its arguments
        return error
    twin.__cause__ = error
    return twin
