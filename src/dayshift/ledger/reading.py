"""Reading tasks back, as every door shows them."""

from collections.abc import Sequence

from dayshift.domain import ids
from dayshift.domain.errors import InvalidInput
from dayshift.domain.task import Status, Task
from dayshift.ledger.database import Database
from dayshift.ledger.rows import HIGHEST_UUID, bare, to_task
from dayshift.ledger.rows import task_id as public_id

_ALL_STATES = [status.value for status in Status]


class Reading:
    """The reading half of `ledger.tasks`."""

    _db: Database

    async def get(self, task_id: str, tenant: str | None) -> Task | None:
        """One task; None if there is none or, when a tenant is given, if it is another's."""
        if not ids.is_valid(ids.TASK, task_id):
            return None
        if tenant is None:
            row = await self._db.fetch_one("get_task", bare(task_id))
        else:
            row = await self._db.fetch_one("get_task_of_tenant", bare(task_id), tenant)
        return to_task(row) if row else None

    async def get_many(self, task_ids: Sequence[str]) -> list[Task]:
        """Those of the given tasks that exist, in no order."""
        return [to_task(row) for row in await self._db.fetch("get_tasks", [bare(one) for one in task_ids])]

    async def finished_among(self, task_ids: Sequence[str]) -> list[Task]:
        """Those of the given tasks that have ended, in no order."""
        return [to_task(row) for row in await self._db.fetch("finished_among", [bare(one) for one in task_ids])]

    async def list(
        self,
        tenant: str,
        *,
        status: Status | None = None,
        agent: str | None = None,
        conversation: str | None = None,
        user: str | None = None,
        limit: int = 20,
        after: str | None = None,
        with_systems: bool = False,
    ) -> list[Task]:
        """A tenant's tasks, newest first; `after` is the id of the last one seen. What built-in agents do for the tenant is among
        them only `with_systems`, or when its agent is named.

        The rarest filter chooses the index; the others are looked at row by row.
        """
        states = _ALL_STATES if status is None else [status.value]
        arguments = [tenant, states, _below(after), limit]
        if conversation is not None:
            rows = await self._db.fetch("list_tasks_of_conversation", *arguments, conversation, agent, user)
        elif user is not None:
            rows = await self._db.fetch("list_tasks_of_user", *arguments, user, agent)
        elif agent is not None:
            rows = await self._db.fetch("list_tasks_of_agent", *arguments, agent)
        else:
            rows = await self._db.fetch("list_tasks_by_status", *arguments, with_systems)
        return [to_task(row) for row in rows]

    async def kept_under(self, tenant: str, key: str) -> tuple[str, bytes] | None:
        """The task that an idempotency key made, and the hash of what was asked for; None for a key that is free."""
        row = await self._db.fetch_one("find_idempotency_key", tenant, key)
        return (f"{ids.TASK}{row['task_id']}", row["body_hash"]) if row else None

    async def unfinished_before(self, task_id: str) -> Sequence[str]:
        """The ids of what is unfinished in a task's conversation and was accepted before it, the last one first."""
        return [public_id(row["id"]) for row in await self._db.fetch("unfinished_before", bare(task_id))]

    async def dead(self, tenant: str, *, limit: int = 20, after: str | None = None) -> Sequence[Task]:
        """A tenant's dead letters, newest first, those of built-in agents among them."""
        return await self.list(tenant, status=Status.FAILED, limit=limit, after=after, with_systems=True)


def _below(after: str | None) -> str:
    if after is None:
        return HIGHEST_UUID
    if not ids.is_valid(ids.TASK, after):
        raise InvalidInput(f"`after` is no task id: {after!r}. Give the id of the last task seen.")
    return bare(after)
