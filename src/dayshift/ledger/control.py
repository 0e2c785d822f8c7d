"""What a person asks of a task, and how tasks end without a worker's word."""

import asyncpg

from dayshift.domain import ids
from dayshift.domain.errors import Conflict, NotFound
from dayshift.domain.task import Place, Status, Task
from dayshift.ledger.database import Database
from dayshift.ledger.reading import Reading
from dayshift.ledger.rows import bare, bare_or_missing, to_place
from dayshift.ledger.shapes import CancelResult
from dayshift.ledger.webhooks import places_of


class Control(Reading):
    """The controlling half of `ledger.tasks`."""

    _db: Database

    async def cancel(self, tenant: str, task_id: str) -> CancelResult:
        """End a task that waits, or ask the worker of one that runs; a task that has ended stays as it is."""
        row = await self._of_locked("cancel_task", bare_or_missing(ids.TASK, task_id, "task"), tenant)
        task = await self.get(task_id, tenant) if row else None
        if row is None or task is None:
            raise _no_such_task(task_id)
        return CancelResult(
            task=task,
            worker_id=f"worker_{row['worker_id']}" if row["worker_id"] else None,
            was=Status(row["was"]),
            conversation_has_next=row["has_next"],
            deliveries=places_of(row, tenant),
        )

    async def retry(self, tenant: str, task_id: str) -> Place:
        """Queue a dead letter again, last in its line. In a conversation it may have to wait for its turn."""
        row = await self._of_locked("retry_task", bare_or_missing(ids.TASK, task_id, "task"), tenant)
        if row is None:
            raise _no_such_task(task_id)
        if row["was"] != Status.FAILED:
            raise Conflict(f"Task {task_id} is {row['was']}. Only a failed task can be retried.", code="not_failed")
        return to_place(row)

    async def erase(self, tenant: str, task_id: str) -> None:
        """Delete a task that has ended, and free its idempotency key."""
        row = await self._db.fetch_one("erase_task", bare_or_missing(ids.TASK, task_id, "task"), tenant)
        if row is None:
            raise _no_such_task(task_id)
        if not row["erased"]:
            raise Conflict(
                f"Task {task_id} is {row['was']}. Cancel it first; only what has ended is erased.", code="not_finished"
            )

    async def _of_locked(self, statement: str, task: str, tenant: str) -> asyncpg.Record | None:
        """What an attempt commits meanwhile is over before the task is looked at."""
        rows = await self._db.fetch_of_locked([task], statement, task, tenant)
        return rows[0] if rows else None

    async def fail_expired(self, limit: int = 500) -> list[Task]:
        """End queued tasks whose `expires_at` has passed and that no worker came for. Their conversations go on."""
        rows = await self._db.fetch("fail_expired", limit)
        return await self.get_many([f"task_{row['id']}" for row in rows]) if rows else []

    async def fail_poison(self, worker_id: str, *, was_seen: bool, unseen_losses: int) -> list[Task]:
        """End what a released worker ran in quarantine. Their conversations go on."""
        rows = await self._db.fetch("fail_poison", bare(worker_id), was_seen, unseen_losses)
        return await self.get_many([f"task_{row['id']}" for row in rows]) if rows else []


def _no_such_task(task_id: str) -> NotFound:
    return NotFound(f"There is no task {task_id}.")
