"""What the hot plane must know: who waits where, in which order. Answers come as `Place`s, never with payloads.

A task that stands behind another of its conversation is in none of them (see the view `places`).
"""

from collections.abc import Sequence
from typing import TypeAlias

from dayshift.domain.task import Place
from dayshift.ledger.database import Database
from dayshift.ledger.rows import bare, moment, to_place, worker_id

LaneName: TypeAlias = tuple[str, int, str]
"""What they are claimed by, priority and tenant: what the tasks of one lane have in common."""

_BEFORE_ALL: LaneName = ("", -1, "")


class Queueing:
    """The queueing half of `ledger.tasks`."""

    _db: Database

    async def place_of(self, task_id: str) -> Place | None:
        """Where a task stands; None if it stands behind another of its conversation, or is neither queued nor wakes by itself."""
        row = await self._db.fetch_one("place_of", bare(task_id))
        return to_place(row) if row else None

    async def lane_page(self, agent: str, priority: int, tenant: str, from_seq: int, limit: int) -> list[Place]:
        """The ready tasks of one lane from `from_seq` on, in order."""
        return await self._places("lane_page", agent, priority, tenant, from_seq, limit)

    async def announceable(self, age_from_seconds: float, age_to_seconds: float, limit: int) -> list[Place]:
        """Tasks that have been ready for that long, the longest first: those whose nudge may have been lost."""
        return await self._places("announceable", age_from_seconds, age_to_seconds, limit)

    async def delayed_page(
        self, within_seconds: float, limit: int, after: Place | None = None, *, since_seconds: float = 0.0
    ) -> list[Place]:
        """Tasks that become ready within that time, the nearest first, behind those that did since some seconds ago.

        `after` is the last one of the page before.
        """
        run_at, seq = (moment(after.run_at_ms), after.seq) if after else (moment(0), 0)
        return await self._places("delayed_page", since_seconds, within_seconds, run_at, seq, limit)

    async def lanes_after(self, lane: LaneName | None, limit: int) -> list[LaneName]:
        """The lanes that queued tasks stand in, by name, behind `lane` (None: from the first one on)."""
        rows = await self._db.fetch("lanes_after", *(lane or _BEFORE_ALL), limit)
        return [(row["claimed_as"], row["priority"], row["tenant"]) for row in rows]

    async def heads_of_lanes(self, lanes: Sequence[LaneName], per_lane: int) -> list[Place]:
        """The first ready tasks of each of these lanes, lane by lane; at most `per_lane` of one."""
        agents, priorities, tenants = ([lane[part] for lane in lanes] for part in range(3))
        return await self._places("heads_of_lanes", agents, priorities, tenants, per_lane)

    async def running_of(self, worker_id: str) -> list[Place]:
        """What a worker runs, by the ledger."""
        return await self._places("running_of", bare(worker_id))

    async def running_by_live_workers(self) -> list[tuple[str, Place]]:
        """What all workers run that are not released."""
        rows = await self._db.fetch("running_by_live_workers")
        return [(worker_id(row["worker_id"]), to_place(row)) for row in rows]

    async def conversation_heads(self, conversations: Sequence[tuple[str, str]]) -> list[Place]:
        """Whose turn it is in each (tenant, name), where that task is queued; it may be delayed, as a retry is."""
        tenants, names = [tenant for tenant, _ in conversations], [name for _, name in conversations]
        return await self._places("conversation_heads", tenants, names)

    async def _places(self, statement: str, *arguments: object) -> list[Place]:
        return [to_place(row) for row in await self._db.fetch(statement, *arguments)]
