"""Finishes: one attempt's outcome is committed, and then everybody who must know is told until they answer.

A result that was paid for waits in memory while the ledger is away, for as long as that takes: `is_backed_up` tells the
worker to claim nothing more meanwhile. What follows the commit is never waited for. The stream's final event carries the
whole task, made of what the start and the outcome said, so nobody reads it back from the database.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from dayshift.domain.clock import now
from dayshift.domain.events import AttemptSuperseded, TaskGivenBack, TaskParked, TaskRetrying
from dayshift.domain.task import FINAL, Notice, Place, Started, Status, Task, TaskError, Timing, Usage, WaitingFor
from dayshift.hotplane import Ack
from dayshift.ledger import Finish, Finished, GroupCommit, Ledger
from dayshift.ledger import Outcome as LedgerOutcome
from dayshift.tasks import endings, events
from dayshift.tasks.next_in_line import NextInLine
from dayshift.tasks.outbox import Outbox
from dayshift.tasks.provider_waits import PROVIDER
from dayshift.telemetry import emit

OutcomeKind = Literal["succeeded", "failed", "cancelled", "retry", "given_back", "parked"]

HOT_SECONDS = 600.0  # what is due later than this is left to maintenance
BACKED_UP_BYTES = 16 * 1024 * 1024
BACKED_UP_SECONDS = 2.0
_ROW_BYTES = 500


class Parking(Struct, frozen=True):
    """What a task waits for, when it wakes by itself (None: never), and what had come for it when that was last looked at.

    `notice`: what its caller is told of a delay.
    """

    waiting_for: WaitingFor
    wake_at: datetime | None
    wakes: int
    notice: Notice | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """How an attempt ended. `output` is JSON bytes; `usage` and `timing` are the task's sums, this attempt included.

    `slot_seconds`: how long the attempt held its slot; the hot plane charges it to the tenant. `parking` goes with parked;
    `has_children`: it called others, which may not have ended.
    """

    kind: OutcomeKind
    output: bytes | None = None
    error: TaskError | None = None
    retry_delay_seconds: float = 0.0
    usage: Usage = Usage()
    timing: Timing = Timing()
    slot_seconds: float = 0.0
    parking: Parking | None = None
    has_children: bool = False


class _Recording(Struct, frozen=True):
    """An outcome on its way into the ledger, with all that is told afterwards."""

    started: Started
    worker_id: str
    outcome: Outcome
    finish: Finish


class Finishing:
    """Group-committed finishes for all the attempts of this process."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        next_in_line: NextInLine,
        *,
        version: str | None,
        on_child_ended: Callable[[str, str], None],
        on_parent_ended: Callable[[str, Status], None],
        on_provider_awaited: Callable[[str, str, float], None],
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._next_in_line = next_in_line
        self._version = version
        self._on_child_ended = on_child_ended
        self._on_parent_ended = on_parent_ended
        self._on_provider_awaited = on_provider_awaited
        self._commits = GroupCommit[_Recording, Finished](
            "finish", self._write, max_pending_bytes=None, on_left=self._tell
        )

    @property
    def is_backed_up(self) -> bool:
        """Results wait for the ledger: claim nothing more until they are written."""
        return self._commits.pending_bytes > BACKED_UP_BYTES or self._commits.waiting_seconds > BACKED_UP_SECONDS

    def is_waiting(self, task_id: str) -> bool:
        """Whether an outcome of this task waits for the ledger."""
        return any(recording.started.id == task_id for recording in self._commits.unanswered())

    async def finish(self, started: Started, worker_id: str, outcome: Outcome) -> Finished:
        """Commit the outcome; waits in memory while the ledger is away.

        Returns after the commit. `Finished.accepted` false means that a newer attempt has taken over: drop the result.
        The hot plane's slot is freed and the stream is written in background, repeated until answered. A caller that is
        cancelled while it waits takes nothing along: the outcome is recorded all the same.
        """
        recording = _Recording(started, worker_id, outcome, _finish_of(started, worker_id, outcome))
        finished = await self._commits.submit(recording, _ROW_BYTES + len(outcome.output or b""))
        self._tell(recording, finished)
        return finished

    async def finished(self) -> None:
        """Wait until every outcome handed in so far is recorded."""
        await self._commits.all_answered()

    async def give_back(self, started: Started, worker_id: str) -> Finished:
        """Hand an attempt back that has not begun: no failure, no loss."""
        outcome = Outcome(kind="given_back", usage=started.usage, timing=started.timing)
        return await self.finish(started, worker_id, outcome)

    async def give_back_leftover(self, task: Task, place: Place, worker_id: str) -> Finished:
        """Hand back what the ledger shows as running here, although the attempt is lost to this process."""
        return await self.give_back(_started_of(task, place), worker_id)

    async def _write(self, recordings: Sequence[_Recording]) -> Sequence[Finished]:
        return await self._ledger.tasks.finish([recording.finish for recording in recordings])

    def _tell(self, recording: _Recording, finished: Finished) -> None:
        """The outcome is recorded: by its caller, or for one that has left."""
        started, worker_id, outcome = recording.started, recording.worker_id, recording.outcome
        for place in finished.deliveries:
            self._outbox.place(place)
        if not finished.accepted:
            emit(AttemptSuperseded(task_id=started.id, attempt=started.attempt, where="finish"))
            self._outbox.ack(worker_id, Ack(task_id=started.id, slot_seconds=outcome.slot_seconds))
        elif finished.status in FINAL:
            self._tell_the_end(started, worker_id, outcome, finished)
        elif finished.status is Status.WAITING and outcome.parking is not None:
            self._tell_of_parking(started, worker_id, outcome, outcome.parking, finished.wake_at)
        else:
            self._queue_again(started, worker_id, outcome, finished)

    def _tell_the_end(self, started: Started, worker_id: str, outcome: Outcome, finished: Finished) -> None:
        task = finished_task(started, outcome, finished, self._version)
        self._outbox.ack(worker_id, Ack(task_id=task.id, slot_seconds=outcome.slot_seconds))
        endings.tell(self._outbox, task)
        if started.parent_id is not None:
            self._on_child_ended(task.id, started.parent_id)
        if outcome.has_children:
            self._on_parent_ended(task.id, finished.status)
        if finished.conversation_has_next:
            self._next_in_line.call(task.tenant, task.conversation)

    def _tell_of_parking(
        self, started: Started, worker_id: str, outcome: Outcome, parking: Parking, wake_at: datetime | None
    ) -> None:
        """Its slot is free. The plane holds it as delayed if it wakes by itself soon; later wake-ups come by maintenance."""
        self._outbox.tell(events.waiting(started.id, started.attempt, parking.waiting_for, parking.notice))
        emit(
            TaskParked(
                task_id=started.id, agent=started.agent, attempt=started.attempt, waits_for=parking.waiting_for.type
            )
        )
        is_soon = wake_at is not None and (wake_at - now()).total_seconds() <= HOT_SECONDS
        again = started.place(round(wake_at.timestamp() * 1000)) if wake_at is not None and is_soon else None
        if parking.waiting_for.type == PROVIDER and wake_at is not None:
            self._on_provider_awaited(parking.waiting_for.name, started.id, (wake_at - now()).total_seconds())
        ack = Ack(task_id=started.id, slot_seconds=outcome.slot_seconds, again=again, called=started.place(0))
        self._outbox.ack(worker_id, ack)

    def _queue_again(self, started: Started, worker_id: str, outcome: Outcome, finished: Finished) -> None:
        was_due = outcome.kind != "retry"  # it ran: so it was, by the ledger's clock, whatever another one says
        again = started.place(0 if was_due else round(finished.run_at.timestamp() * 1000))
        if outcome.kind == "retry" and outcome.error is not None:
            self._outbox.tell(events.retrying(started.id, started.attempt, outcome.error, finished.run_at))
            emit(
                TaskRetrying(
                    task_id=started.id,
                    agent=started.agent,
                    tenant=started.tenant,
                    attempt=started.attempt,
                    error_code=outcome.error.code,
                    error_message=outcome.error.message,
                    delay_seconds=outcome.retry_delay_seconds,
                )
            )
        else:
            self._outbox.tell(events.queued(started.id, started.attempt, started.queue))
            emit(TaskGivenBack(task_id=started.id, agent=started.agent, attempt=started.attempt))
        self._outbox.ack(worker_id, Ack(task_id=started.id, slot_seconds=outcome.slot_seconds, again=again))


def finished_task(started: Started, outcome: Outcome, finished: Finished, version: str | None) -> Task:
    """The task as its row now says, without reading the row."""
    succeeded = finished.status is Status.SUCCEEDED
    return Task(
        id=started.id,
        agent=started.agent,
        status=finished.status,
        input=msgspec.Raw(started.input),
        output=msgspec.Raw(outcome.output if succeeded and outcome.output is not None else b"null"),
        error=finished.error,
        attempt=started.attempt,
        failures=started.failures + (outcome.kind in {"failed", "retry"}),
        losses=started.losses,
        priority=started.priority,
        tenant=started.tenant,
        user=started.user,
        conversation=started.conversation,
        queue=started.queue,
        created_at=started.created_at,
        run_at=finished.run_at,
        started_at=started.started_at,
        finished_at=finished.finished_at,
        usage=outcome.usage,
        timing=_timing_of(started, outcome, finished),
        metadata=msgspec.Raw(started.metadata),
        trace_id=started.trace_id,
        version=version,
        parent=started.parent_id,
    )


def _timing_of(started: Started, outcome: Outcome, finished: Finished) -> Timing:
    """The total is from acceptance to the end by the ledger's clock, as the ledger shows it."""
    if finished.finished_at is None:
        return outcome.timing
    total = max(0.0, (finished.finished_at - started.created_at).total_seconds())
    return msgspec.structs.replace(outcome.timing, total=round(total, 6))


def _started_of(task: Task, place: Place) -> Started:
    """The start of an attempt that nobody holds, as far as giving it back needs it."""
    return Started(
        id=task.id,
        attempt=task.attempt,
        agent=task.agent,
        queue=task.queue,
        tenant=task.tenant,
        user=task.user,
        conversation=task.conversation,
        priority=task.priority,
        seq=place.seq,
        claimed_as=place.agent if place.agent != task.agent else None,
        input=bytes(task.input),
        failures=task.failures,
        losses=task.losses,
        timeout_seconds=None,
        expires_at=None,
        created_at=task.created_at,
        run_at=task.run_at,
        started_at=task.started_at or task.created_at,
        trace_id=task.trace_id,
        metadata=bytes(task.metadata),
        timing=task.timing,
        usage=task.usage,
    )


def _finish_of(started: Started, worker_id: str, outcome: Outcome) -> Finish:
    parking = outcome.parking
    return Finish(
        task_id=started.id,
        attempt=started.attempt,
        worker_id=worker_id,
        outcome=LedgerOutcome(outcome.kind),
        output=outcome.output,
        error=outcome.error,
        retry_delay_seconds=outcome.retry_delay_seconds,
        usage=outcome.usage,
        timing=outcome.timing,
        waiting_for=None if parking is None else parking.waiting_for,
        wake_at=None if parking is None else parking.wake_at,
        wakes=None if parking is None else parking.wakes,
        notice=None if parking is None else parking.notice,
    )
