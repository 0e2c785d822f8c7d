"""Group commit: many small writes become few large ones, and nobody waits for a timer.

**How it flows.** A caller hands in a row and waits. If fewer than `writers` statements are in flight one more begins in the
same turn of the loop, with all rows that the turn has brought; else the row waits until a writer is free, which then
takes everything that has gathered, within `max_rows` and `max_bytes`. So an idle ledger is written at once, one row at a time,
and a busy one in batches as large as its own slowness has made them. There is nothing to tune and no delay to pay.

    submit ─▶ pending ──take──▶ batch ──write──▶ answers ─▶ each caller
                 ▲                 │
                 │                 ├─ LedgerBusy   the same batch again, soon
                 └─ as it was ─────┼─ LedgerAway   again with jitter, until each row's own deadline
                                   ├─ LedgerMisfit likewise for rows without a deadline, which can wait for a person; the others are told
                                   ├─ BadRow       halves, quarters, ... until the bad row is alone; it alone fails
                                   └─ other        a bug: every row of the batch gets it

**Why repeating is safe.** `write` is one transaction, and every row can be written twice with one effect (the writer made its
ids). So after a lost connection, when nobody knows whether the commit happened, the answer is to write again.

**What is bounded.** Rows and bytes of a batch; bytes of all rows that wait or are in flight (`max_pending_bytes`: a caller
beyond that is refused at once, so an outage cannot fill the memory; None where callers would only keep the row
themselves and come again); and a row's time, if it names a deadline. A deadline is looked at after a failed write, so an
answer may be later than it by one statement. A row without a deadline waits for as long as it takes: a result that was
paid for.

**Who may leave.** A caller that is cancelled takes its row along if it was not yet taken into a batch; otherwise the row is
written and its answer dropped. Where somebody must act on every answer there is `on_left`: then a row stays whoever
leaves, and `on_left` gets the row and the answer that nobody waits for. Either way the others notice nothing.

**Order.** Answers go to the rows they belong to. With more than one writer two rows may be committed in either order, as
two connections would; a caller that needs an order waits for its first answer.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from dayshift.domain import clock
from dayshift.domain.errors import DayshiftError, LedgerAway, WrongUse
from dayshift.domain.events import Fault, LedgerCommit
from dayshift.domain.jitter import full_jitter
from dayshift.ledger.errors import RETRY_AFTER_SECONDS, BadRow, LedgerBusy, LedgerMisfit
from dayshift.telemetry import emit

Row = TypeVar("Row")
Result = TypeVar("Result")

MEBIBYTE = 1 << 20
BUSY_WAIT_SECONDS = (0.005, 0.2)  # base and cap of the jitter
AWAY_WAIT_SECONDS = (0.05, 2.0)


class _Pending(Generic[Row, Result]):
    """A row, who waits for it, since when, and for how long."""

    __slots__ = ("answer", "deadline", "row", "since", "size_bytes")

    def __init__(
        self, row: Row, size_bytes: int, since: float, deadline: float | None, answer: asyncio.Future[Result]
    ) -> None:
        self.row = row
        self.size_bytes = size_bytes
        self.since = since
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
        max_pending_bytes: int | None = 64 * MEBIBYTE,
        writers: int = 2,
        on_left: Callable[[Row, Result], None] | None = None,
        on_commit: Callable[[LedgerCommit], None] = emit,
    ) -> None:
        self.name = name
        self._write = write
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._max_pending_bytes = max_pending_bytes
        self._max_writers = writers
        self._on_left = on_left
        self._on_commit = on_commit
        self._pending: deque[_Pending[Row, Result]] = deque()
        self._open: dict[_Pending[Row, Result], None] = {}  # waiting or in flight, the oldest first
        self._writers: set[asyncio.Task[None]] = set()
        self._active_writers = 0
        self._pending_bytes = 0
        self._closed = False

    @property
    def pending_bytes(self) -> int:
        """Bytes of all rows that wait or are in flight."""
        return self._pending_bytes

    @property
    def waiting_seconds(self) -> float:
        """How long the oldest row without an answer has been here; 0 when there is none."""
        return clock.monotonic_seconds() - next(iter(self._open)).since if self._open else 0.0

    def unanswered(self) -> Iterator[Row]:
        """The rows that wait or are in flight."""
        return (pending.row for pending in self._open)

    async def submit(self, row: Row, size_bytes: int, *, deadline_seconds: float | None = None) -> Result:
        """Write a row, together with whatever else is there; its result, after the commit.

        Raises LedgerAway when the deadline passes first (the outcome is then unknown: repeat with the same ids) or when
        too much is waiting already, and BadRow when PostgreSQL refuses this very row.
        """
        if self._closed:
            raise WrongUse(f"The group commit {self.name!r} is closed and takes no more rows.")
        self._refuse_beyond_bound(size_bytes)
        since = clock.monotonic_seconds()
        deadline = None if deadline_seconds is None else since + deadline_seconds
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        pending = _Pending(row, size_bytes, since, deadline, answer)
        self._pending_bytes += size_bytes
        self._open[pending] = None
        self._pending.append(pending)
        self._wake_a_writer()
        try:
            return await pending.answer
        except asyncio.CancelledError:
            if self._on_left is None:
                self._close_row(pending)
            raise

    async def all_answered(self) -> None:
        """Wait until nothing waits and nothing is in flight."""
        while self._writers:
            await asyncio.wait(self._writers)

    async def close(self) -> None:
        """Take no more rows, and return when all that were taken are answered."""
        self._closed = True
        await self.all_answered()

    def _refuse_beyond_bound(self, size_bytes: int) -> None:
        bound = self._max_pending_bytes
        if bound is not None and self._pending_bytes and self._pending_bytes + size_bytes > bound:
            raise LedgerAway(
                f"{self._pending_bytes} bytes are waiting to be written ({self.name}). PostgreSQL is too slow or away; try again.",
                code="ledger_backlog",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )

    def _close_row(self, pending: _Pending[Row, Result]) -> bool:
        """Count a row out; False when it was counted out before."""
        if pending not in self._open:
            return False
        del self._open[pending]
        self._pending_bytes -= pending.size_bytes
        return True

    def _is_wanted(self, pending: _Pending[Row, Result]) -> bool:
        return pending in self._open and (self._on_left is not None or not pending.answer.done())

    def _wake_a_writer(self) -> None:
        if self._active_writers < self._max_writers:
            self._active_writers += 1
            drain, loop = self._drain(), asyncio.get_running_loop()
            writer = loop.create_task(drain, name=f"group commit {self.name}", context=Context())  # it serves all
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
            pending = self._pending[0]
            if self._is_wanted(pending):
                size_bytes += pending.size_bytes
                if batch and size_bytes > self._max_bytes:
                    break
                batch.append(pending)
            self._pending.popleft()
        return batch

    async def _settle(self, batch: list[_Pending[Row, Result]]) -> None:
        """Write a batch until every row of it is answered."""
        failed = 0
        while batch := [pending for pending in batch if self._is_wanted(pending)]:
            try:
                await self._commit(batch)
            except (LedgerAway, LedgerMisfit) as error:
                failed += 1
                if isinstance(error, LedgerMisfit):
                    self._refuse_the_impatient(batch, error, report=failed == 1)
                self._expire(batch, error)
                base, cap = BUSY_WAIT_SECONDS if isinstance(error, LedgerBusy) else AWAY_WAIT_SECONDS
                await asyncio.sleep(full_jitter(base, cap, failed))
            except BadRow as error:
                await self._bisect(batch, error)
            except BaseException as error:
                self._fail(batch, error)
                if not isinstance(error, Exception):
                    raise

    async def _commit(self, batch: list[_Pending[Row, Result]]) -> None:
        began = clock.monotonic_seconds()
        results = await self._write([pending.row for pending in batch])
        for pending, result in zip(batch, results, strict=True):
            self._answer(pending, result)
        seconds = clock.monotonic_seconds() - began
        self._on_commit(LedgerCommit(operation=self.name, rows=len(batch), duration_seconds=seconds))

    def _refuse_the_impatient(self, batch: list[_Pending[Row, Result]], error: LedgerMisfit, *, report: bool) -> None:
        """Who has a deadline is told at once what is wrong; who has none waits until a person has put it right."""
        self._fail([pending for pending in batch if pending.deadline is not None], error)
        if report and any(pending.deadline is None for pending in batch):
            emit(Fault.of(f"ledger.{self.name}", error))

    async def _bisect(self, batch: list[_Pending[Row, Result]], error: BadRow) -> None:
        """Write both halves apart. Nothing of the batch was committed, and its good rows are not to suffer."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    def _answer(self, pending: _Pending[Row, Result], result: Result) -> None:
        if not self._close_row(pending):
            return
        if not pending.answer.done():
            pending.answer.set_result(result)
        elif self._on_left is not None:
            self._on_left(pending.row, result)

    def _fail(self, batch: Sequence[_Pending[Row, Result]], error: BaseException) -> None:
        for pending in batch:
            self._close_row(pending)
            if not pending.answer.done():
                pending.answer.set_exception(_twin(error))

    def _expire(self, batch: list[_Pending[Row, Result]], error: DayshiftError) -> None:
        """Answer the rows whose time is over, also those that are still waiting for a writer."""
        now = clock.monotonic_seconds()
        self._fail([pending for pending in (*batch, *self._pending) if pending.is_overdue(now)], error)


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
