"""Finish: record how an attempt ended, once, unless a newer one has taken over.

    outcome      task becomes                                   and
    ───────────  ─────────────────────────────────────────────  ─────────────────────────────────
    succeeded    succeeded, even if a cancel was requested       the result was there first
    failed       failed: a dead letter                           failures + 1
    cancelled    cancelled
    retry        queued, due after the delay                     failures + 1
                 cancelled, if a cancel was requested            (nobody waits for another try)
                 failed (`expired`), if it could only run later than expires_at
    given_back   queued, due as before                           nothing counted; a drain is nobody's fault
                 cancelled, if a cancel was requested
    parked       waiting, until it is woken                      nothing counted
                 queued, if something has come since the worker last looked (`wakes` is another)
                 cancelled, if a cancel was requested

**The fence.** The row is locked and read as it is now (see starting.py). The outcome counts only if the row is running, at
that attempt, by that worker. Anything else means that a start, a cancel or an earlier end came first: `accepted` is
False, nothing is written, and the worker stops. A worker that was released but not yet replaced passes the fence, on
purpose: its result was paid for, and no other attempt has begun.

**A repeat is known** by `finish_id`, which the row keeps until the next outcome. It answers what the row says now.

**Retry, given_back and parked keep the conversation**: its holder stays, so that no later message overtakes. A final outcome frees it
in this statement, and says whether somebody is next. Accept counts into the same row, so of an accept and a finish at
once one is second and sees the other: either the accepted task is a head, or the finish reports a next one.
"""

from collections.abc import Sequence

import asyncpg

from dayshift.domain.task import Status, Timing, Usage
from dayshift.ledger.database import Database, columns
from dayshift.ledger.rows import bare, encode, error_of, finite, rounds
from dayshift.ledger.shapes import Finish, Finished
from dayshift.ledger.webhooks import places_of

_NO_USAGE = Usage()
_NO_TIMING = Timing()


class Finishing:
    """The finish half of `ledger.tasks`."""

    _db: Database

    async def finish(self, outcomes: Sequence[Finish]) -> list[Finished]:
        """Record outcomes, all or none; answer each in order what became of its task."""
        answers: dict[int, Finished] = {}
        for batch in rounds(outcomes, lambda outcome: outcome.task_id):
            arguments = [_arguments(outcome) for _, outcome in batch]
            for row in await self._db.batch("finish_tasks", *columns(arguments, 16)):
                index, outcome = batch[row["n"] - 1]
                answers[index] = _answer(outcome, row)
        return [answers[index] for index in range(len(outcomes))]


def _arguments(outcome: Finish) -> tuple[object, ...]:
    error = outcome.error
    return (
        bare(outcome.task_id),
        outcome.attempt,
        bare(outcome.worker_id),
        bare(outcome.finish_id),
        outcome.outcome.value,
        outcome.output,
        error.code if error else None,
        error.message if error else None,
        error.retryable if error else None,
        finite(outcome.retry_delay_seconds) or None,
        None if outcome.usage == _NO_USAGE else encode(outcome.usage),
        None if outcome.timing == _NO_TIMING else encode(outcome.timing),
        None if outcome.waiting_for is None else encode(outcome.waiting_for),
        outcome.wake_at,
        outcome.wakes,
        None if outcome.notice is None else encode(outcome.notice),
    )


def _answer(outcome: Finish, row: asyncpg.Record) -> Finished:
    return Finished(
        task_id=outcome.task_id,
        accepted=row["ruling"] != "superseded",
        status=Status(row["status"]),
        run_at=row["run_at"],
        wake_at=row["wake_at"],
        finished_at=row["finished_at"],
        conversation_has_next=row["has_next"],
        error=error_of(row),
        deliveries=places_of(row, row["tenant"]) if row["delivery_ids"] else [],
    )
