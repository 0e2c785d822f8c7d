"""`ledger.a2a`: what the A2A door keeps with a task (migration 0014), and its lists, which go by the latest change."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain.task import Task
from dayshift.ledger.database import Database
from dayshift.ledger.rows import HIGHEST_UUID, bare, task_id, to_task

MOST_COUNTED = 10_000
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, tzinfo=UTC)


class Kept(Struct, frozen=True):
    """What is kept with one task: what its client said, in order, and the addresses to tell, by name."""

    messages: list[dict[str, Any]] = []
    push: dict[str, dict[str, Any]] = {}


class InContexts(Struct, frozen=True, kw_only=True):
    """Which of a tenant's tasks are asked for: of this agent, and of a conversation."""

    tenant: str
    agent: str
    conversation: str | None = None
    state: str | None = None
    since: datetime | None = None


class A2a:
    """Nothing here is another tenant's: a task that is not the tenant's is as if it was not there."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(
        self, wanted: InContexts, *, limit: int, below: tuple[datetime, str] | None = None
    ) -> list[tuple[datetime, Task]]:
        """Tasks with the moments of their latest change, the latest first; `below`: where the page before ended."""
        moment, above_id = (_END, HIGHEST_UUID) if below is None else (below[0], bare(below[1]))
        rows = await self._db.fetch(
            "list_tasks_in_contexts",
            wanted.tenant,
            wanted.agent,
            wanted.conversation,
            moment,
            above_id,
            wanted.since or _BEGINNING,
            wanted.state,
            limit,
        )
        return [(row["became_at"], to_task(row)) for row in rows]

    async def count(self, wanted: InContexts) -> int:
        """How many there are, up to 10,000."""
        row = await self._db.fetch_one(
            "count_tasks_in_contexts",
            wanted.tenant,
            wanted.agent,
            wanted.conversation,
            wanted.since or _BEGINNING,
            wanted.state,
            MOST_COUNTED,
        )
        assert row is not None, "a count always answers"
        count: int = row["count"]
        return count

    async def kept(self, tenant: str, task_ids: Sequence[str]) -> dict[str, Kept]:
        """What is kept with each of the tenant's tasks."""
        rows = await self._db.fetch("a2a_of_tasks", [bare(one) for one in task_ids], tenant)
        return {
            task_id(row["id"]): Kept(
                messages=msgspec.json.decode(row["messages"] or b"[]"), push=msgspec.json.decode(row["push"] or b"{}")
            )
            for row in rows
        }

    async def add_message(self, tenant: str, task: str, message: dict[str, Any]) -> None:
        """One more that the client said; a repeat of the last one adds nothing."""
        await self._db.fetch("add_a2a_message", bare(task), tenant, msgspec.json.encode(message).decode())

    async def set_push(self, tenant: str, task: str, name: str, push: dict[str, Any], *, most: int) -> bool:
        """Tell an address from now on. False: the task has as many as it may, or is gone."""
        encoded = msgspec.json.encode(push).decode()
        return await self._db.fetch_one("set_a2a_push", bare(task), tenant, name, encoded, most) is not None

    async def drop_push(self, tenant: str, task: str, name: str) -> None:
        """Tell that address no more."""
        await self._db.fetch("drop_a2a_push", bare(task), tenant, name)
