"""Start: the compare-and-set that makes one attempt, and only one, the owner of a task.

    row is                                              answer              effect
    ──────────────────────────────────────────────────  ──────────────────  ─────────────────────────────────
    gone                                                gone
    succeeded, failed, cancelled                        final
    waiting, and does not wake by itself                waiting
    (asking worker released, or never registered)       worker_released
    running by a worker that is not released            running             (the same wish again: started)
    cancel requested, its worker released               cancelled           ended here, by nobody else
    expires_at has passed                               expired             ended here
    queued or waiting, its time ahead                   not_due
    pinned to a version that the asking worker has not  wrong_version
    died with twice in a row, wish is not for quarantine  quarantine
    queued, conversation held by or due to another      conversation_busy
    queued, or waiting until now                        started             attempt + 1
    running by a released worker                        started             attempt + 1, losses + 1, and poison_losses + 1 if its process died
                                                                            without having recorded an effect (else it is 0 again)

Why it is right under READ COMMITTED, with everything happening at once:

**The row is judged as it is, not as it was.** The snapshot is taken when the statement begins; in between others commit.
`locked` takes row locks in id order, and a row that changed meanwhile is read again in its newest version (PostgreSQL
calls this EvalPlanQual). All judgements about a task come from that locked version, and nobody can change it before we
commit. Of twenty workers that want the same task one gets the lock first; the others then read `running`.

**What comes from the snapshot instead, and why that is enough:**
- *Released workers.* A release is final, so a snapshot that shows it is right for ever. One that does not show it yet
  answers `running`, and rescue, which releases before it queues again, asks after the release has committed.
- *The asking worker.* It may be released while we run. Then its task is `running` by a released worker, which the
  maintenance loop looks for (`workers.silent`), and which anybody may take over.
- *Earlier tasks of the conversation.* The conversation's row is locked (after task rows, in its own order), so `holder` is
  true. A task that has ever started and is unfinished is the holder; with no holder only tasks that are `queued` can
  stand before this one, and those are looked for in the snapshot. It may show one that was cancelled meanwhile: then the
  answer `conversation_busy` is out of date, which the caller heals by asking for the conversation's head. It cannot miss
  one that was answered with a 202 before this task was sent, as that was committed before this statement began.
  Two tasks of one conversation in the same batch: the later sees the earlier as `queued` and is refused.

**A pin is set by the first start.** The asking process says by which names its pinned agents are claimed from then on (see
domain/pins.py); the task keeps that name, and whoever does not have it is told by which name the task must be claimed.

**A takeover is no theft.** The dead worker may still finish: both lock the row, and the first wins. If its finish is
first, the start answers `final`; if the start is first, attempt + 1 makes the finish superseded.

**A repeat is known.** A wish carries `start_id`. When the row runs under that very id by that very worker, the earlier try
was granted and its answer is given again, with no attempt more. A task that the earlier try ended (cancelled, expired)
bears the id as its `finish_id`, so that the one who must tell the world is told again.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from dayshift.domain.task import Place, Started
from dayshift.ledger.database import Database, columns
from dayshift.ledger.rows import bare, milliseconds, rounds, timing_of, usage_of
from dayshift.ledger.shapes import StartRefusal, StartWish

_NO_PINS: Mapping[str, str] = {}
_AS_BEFORE = {"expired_before": "expired", "cancelled_before": "cancelled"}
_FREES = frozenset({"cancelled", "expired", "conversation_busy", *_AS_BEFORE})


class Starting:
    """The start half of `ledger.tasks`."""

    _db: Database

    async def start(
        self, wishes: Sequence[StartWish], pins: Mapping[str, str] = _NO_PINS
    ) -> list[Started | StartRefusal]:
        """Grant or refuse each wish, in order. A refusal is an answer: tell the hot plane, and drop the task.

        `pins`: of the agents that the asking process pins, what their tasks are claimed by once they have started.
        """
        named = list(pins), list(pins.values())
        answers: dict[int, Started | StartRefusal] = {}
        for batch in rounds(wishes, lambda wish: wish.task_id):
            arguments = [_arguments(wish) for _, wish in batch]
            for row in await self._db.batch("start_tasks", *columns(arguments, 5), *named):
                index, wish = batch[row["n"] - 1]
                answers[index] = _answer(wish, row)
        return [answers[index] for index in range(len(wishes))]


def _arguments(wish: StartWish) -> tuple[object, ...]:
    return bare(wish.task_id), bare(wish.worker_id), wish.version, wish.quarantine or None, bare(wish.start_id)


def _answer(wish: StartWish, row: asyncpg.Record) -> Started | StartRefusal:
    ruling = row["ruling"]
    if ruling not in {"granted", "again"}:
        return StartRefusal(
            task_id=wish.task_id,
            reason=_AS_BEFORE.get(ruling, ruling),
            run_at_ms=milliseconds(row["run_at"]) if ruling == "not_due" else 0,
            conversation=(row["tenant"], row["conversation"]) if row["conversation"] and ruling in _FREES else None,
            place=_place_in(wish, row) if ruling == "wrong_version" else None,
        )
    granted = ruling == "granted"
    return Started(
        id=wish.task_id,
        attempt=row["attempt"] + granted,
        agent=row["agent"],
        queue=row["queue"],
        tenant=row["tenant"],
        user=row["user_name"],
        conversation=row["conversation"],
        priority=row["priority"],
        seq=row["seq"],
        input=row["input"],
        failures=row["failures"],
        losses=row["losses"] + (granted and row["was_running"]),
        timeout_seconds=row["timeout_seconds"],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        run_at=row["run_at"],
        started_at=row["started_at"],
        trace_id=row["trace_id"],
        metadata=row["metadata"],
        timing=timing_of(row["timing"]),
        usage=usage_of(row["usage"]),
        takeover=granted and row["was_running"],
        wakes=row["wakes"],
        parent_id=f"task_{row['parent_id']}" if row["parent_id"] else None,
        depth=row["depth"],
        claimed_as=row["claimed_as"],
    )


def _place_in(wish: StartWish, row: asyncpg.Record) -> Place:
    """Where workers that may run it look for it."""
    return Place(wish.task_id, row["claimed_as"], row["priority"], row["tenant"], row["seq"])
