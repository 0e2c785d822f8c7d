"""Accept: after this a task exists, whatever happens.

One statement inserts the task, claims its idempotency key and counts it into its conversation. It can be repeated after
an unknown outcome, and several may run at once. Why it is right:

**A key belongs to one task.** The key's row is inserted ON CONFLICT DO UPDATE, even where nothing changes: under READ
COMMITTED that is the one way to read the row as it is *now*, after waiting for a concurrent first writer, and not as
this statement's snapshot shows it. So of two equal requests at once the second waits for the first's commit and is
answered with its task. The task is inserted only if the row names it. A key older than 24 hours is overtaken.

**A repeat inserts nothing.** The writer made the id, so ON CONFLICT (id) DO NOTHING finds the earlier try, even one whose
server process was still at work when the connection broke (the insert waits for it). A conversation counts only what
RETURNING proves inserted, so a repeat counts nothing twice. What was there already is read back by a second statement.

**Two equal keys, or ids, in one batch** would make ON CONFLICT fail (a row cannot be updated twice by one statement), so
the second goes into a statement after the first (`rows.rounds`), and is answered as its replay.

**Locks** are taken in the order keys, tasks, conversations, each sorted, and tasks before conversations as in start and
finish. New rows of tasks are seen by nobody, so nobody can wait for them.

**Order in a conversation** is `seq`, drawn at insert. A seq can be drawn first and committed last; then it belongs to a
request that was answered to nobody when the other one committed, and either order is right. What has been answered
(202) has a seq lower than whatever is sent after.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from dayshift.domain.task import NewTask
from dayshift.ledger.database import Connection, Database, columns
from dayshift.ledger.rows import bare, by_id, finite, rounds, task_id
from dayshift.ledger.shapes import Accepted
from dayshift.ledger.statements import SQL

_COLUMNS = 18
_NOBODYS_TIME = datetime.fromtimestamp(0, UTC)


class Accepting:
    """The accept half of `ledger.tasks`."""

    _db: Database

    async def accept(self, tasks: Sequence[NewTask]) -> list[Accepted]:
        """Insert tasks, all or none; answer each in order. Of a replay, only `replay_of` and `same_body` mean something."""
        answers: dict[int, Accepted] = {}
        for batch in rounds(tasks, _key_of, lambda task: task.id):
            found = await self._accept_distinct([task for _, task in batch])
            answers.update(zip((index for index, _ in batch), found, strict=True))
        return [answers[index] for index in range(len(tasks))]

    async def withdraw(self, tenant: str, task_id: str) -> bool:
        """Delete a task that stands behind another in its conversation and was never started, as if it had not come.

        False if it stays, because nothing stands before it any more. Safe to repeat: what came first once is never
        behind again, and a task that is gone counts as withdrawn.
        """
        return await self._db.fetch_one("withdraw_task", bare(task_id), tenant) is None

    async def _accept_distinct(self, tasks: list[NewTask]) -> list[Accepted]:
        rows = by_id(await self._db.batch("accept_tasks", *columns([_arguments(task) for task in tasks], _COLUMNS)))
        unclear = [bare(task.id) for task in tasks if _was_there(rows[bare(task.id)])]
        before = by_id(await self._db.fetch("accepted_before", unclear)) if unclear else {}
        return [_answer(task, rows[bare(task.id)], before.get(bare(task.id))) for task in tasks]


async def accept_new(connection: Connection, tasks: Sequence[NewTask]) -> list[Accepted]:
    """Insert tasks without idempotency keys, with ids that nobody has used, as part of a transaction; answer each in order."""
    rows = by_id(await connection.fetch(SQL["accept_tasks"], *columns([_arguments(task) for task in tasks], _COLUMNS)))
    return [_answer(task, rows[bare(task.id)], None) for task in tasks]


def _key_of(task: NewTask) -> tuple[str, str] | None:
    return None if task.idempotency_key is None else (task.tenant, task.idempotency_key)


def _arguments(task: NewTask) -> tuple[object, ...]:
    return (
        bare(task.id),
        task.tenant,
        task.agent,
        task.queue,
        task.input,
        task.priority,
        task.user,
        task.conversation,
        finite(task.delay_seconds),
        task.run_at,
        task.timeout_seconds,
        task.expires_at,
        task.metadata,
        task.trace_id,
        task.webhook_url,
        task.idempotency_key,
        task.idempotency_hash,
        task.a2a,
    )


def _was_there(row: asyncpg.Record) -> bool:
    return row["seq"] is None and row["replay_of"] is None


def _answer(task: NewTask, row: asyncpg.Record, before: asyncpg.Record | None) -> Accepted:
    if row["replay_of"] is not None:
        return Accepted(
            task_id=task.id,
            seq=0,
            created_at=_NOBODYS_TIME,
            run_at=_NOBODYS_TIME,
            is_head=False,
            replay_of=task_id(row["replay_of"]),
            same_body=row["same_body"],
        )
    made = row if row["seq"] is not None else before
    if made is None:  # accepted by an earlier try, and erased since
        return Accepted(task_id=task.id, seq=0, created_at=_NOBODYS_TIME, run_at=_NOBODYS_TIME, is_head=False)
    return Accepted(
        task_id=task.id,
        seq=made["seq"],
        created_at=made["created_at"],
        run_at=made["run_at"],
        is_head=made["is_head"],
    )
