"""What the hot plane must know: who waits where, in which order. Answers come as `Place`s, never with payloads.

A task that stands behind another of its conversation is in none of them (see the view `places`).
"""

from collections.abc import Sequence

from msgspec import Struct

from dayshift.domain.task import Place
from dayshift.ledger.database import Database
from dayshift.ledger.rows import bare, moment, to_place, worker_id


class Heads(Struct, frozen=True):
    """The first places of lanes. A lane goes on in the ledger if `a_lane` of its places are here, or all is cut off."""

    places: list[Place]
    a_lane: int
    is_cut_off: bool


class Queueing:
    """The queueing half of `ledger.tasks`."""

    _db: Database

    async def place_of(self, task_id: str) -> Place | None:
        """Where a task stands; None if it is not queued or stands behind another of its conversation."""
        row = await self._db.fetch_one("place_of", bare(task_id))
        return to_place(row) if row else None

    async def lane_page(self, agent: str, priority: int, tenant: str, from_seq: int, limit: int) -> list[Place]:
        """The ready tasks of one lane from `from_seq` on, in order."""
        return await self._places("lane_page", agent, priority, tenant, from_seq, limit)

    async def announceable(self, age_from_seconds: float, age_to_seconds: float, limit: int) -> list[Place]:
        """Tasks that have been ready for that long, the longest first: those whose nudge may have been lost."""
        return await self._places("announceable", age_from_seconds, age_to_seconds, limit)

    async def delayed_page(self, within_seconds: float, limit: int, after: Place | None = None) -> list[Place]:
        """Tasks that become ready within that time, the nearest first; `after` is the last one of the page before."""
        run_at, seq = (moment(after.run_at_ms), after.seq) if after else (moment(0), 0)
        return await self._places("delayed_page", within_seconds, run_at, seq, limit)

    async def heads_for_rebuild(self, per_lane: int, total: int) -> "Heads":
        """The first ready tasks of every lane, every lane's first before any lane's second; `total` of them at most.

        Of a lane `per_lane` at most, and less when there are so many lanes that their shares of `total` are smaller.
        """
        rows = await self._db.fetch("heads_for_rebuild", per_lane, total)
        share = int(rows[0]["of_a_lane"]) if rows else per_lane
        return Heads([to_place(row) for row in rows], share, is_cut_off=len(rows) >= total)

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
