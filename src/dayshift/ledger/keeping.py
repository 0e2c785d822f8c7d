"""Counting what waits, and deleting what nobody needs any more. Each call does a bounded piece of work."""

from dayshift.ledger.database import Database
from dayshift.ledger.shapes import Depth, Depths, StrandedTasks


class Keeping:
    """The housekeeping half of `ledger.tasks`."""

    _db: Database

    async def measure_depths(self, interval_seconds: float = 1.0, duty_ratio: float = 0.05) -> bool:
        """Count all unfinished tasks into the table that `depths` reads; False if another process is at it.

        Notes when the next count is due: after the interval, or later, so that counting takes only that share of time.
        """
        row = await self._db.fetch_one("measure_depths", interval_seconds, duty_ratio)
        return bool(row and row["mine"])

    async def keep_depths(self, seconds: float) -> None:
        """Let the last count stand so much longer: a new one did not come to its end."""
        await self._db.fetch("keep_depths", seconds)

    async def depths(self) -> Depths | None:
        """The last count, with its age; None if there is none yet (also after a crash of PostgreSQL)."""
        rows = await self._db.fetch("read_depths")
        if not rows:
            return None
        counted = [
            Depth(
                queue=row["queue"],
                tenant=row["tenant"],
                ready=row["ready"],
                delayed=row["delayed"],
                running=row["running"],
                waiting=row["waiting"],
                oldest_seconds=row["oldest_seconds"],
            )
            for row in rows
            if row["queue"] is not None
        ]
        return Depths(rows=counted, age_seconds=rows[0]["age_seconds"], again_seconds=rows[0]["again_seconds"])

    async def stranded(self) -> list[StrandedTasks]:
        """Tasks that no living worker may go on with, by agent and version."""
        return [
            StrandedTasks(
                agent=row["agent"], version=row["version"], tasks=row["tasks"], oldest=f"task_{row['oldest']}"
            )
            for row in await self._db.fetch("stranded_tasks")
        ]

    async def drop_expired(self, keep_seconds: float, limit: int = 2000) -> int:
        """Delete tasks that ended that long ago, dead letters excepted; how many. Fewer than `limit`: all done."""
        return len(await self._db.fetch("drop_expired", keep_seconds, limit))

    async def drop_old_idempotency_keys(self, limit: int = 5000) -> int:
        """Delete keys past their 24 hours; how many."""
        return len(await self._db.fetch("drop_old_idempotency_keys", limit))

    async def make_partitions(self, weeks_ahead: int = 4) -> int:
        """Make the partitions of the coming weeks that are missing; how many."""
        row = await self._db.fetch_one("make_partitions", weeks_ahead)
        return int(row[0]) if row else 0

    async def drop_partitions(self, keep_seconds: float) -> int:
        """Drop the partitions of old weeks that retention has emptied; how many."""
        row = await self._db.fetch_one("drop_partitions", keep_seconds)
        return int(row[0]) if row else 0
