"""`ledger.plane_state`: the epoch of the hot plane, and the right to rebuild it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dayshift.ledger.database import Database
from dayshift.ledger.shapes import PlaneStateRow

_REBUILD_LOCK = 0x0DA7_5819


class PlaneState:
    """What the ledger knows of the hot plane."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def get(self) -> PlaneStateRow:
        """The epoch that scripts must name, and the run id of the plane that it was built for."""
        row = await self._db.fetch_one("get_plane_state")
        assert row is not None, "plane_state always has its row"
        return PlaneStateRow(epoch=row["epoch"], run_id=row["run_id"])

    async def raise_epoch(self, expected: int, run_id: str | None) -> int | None:
        """Begin the next epoch; its number, or None if another process has done so."""
        row = await self._db.fetch_one("raise_epoch", expected, run_id)
        return None if row is None else int(row["epoch"])

    @asynccontextmanager
    async def rebuild_lock(self) -> AsyncIterator[bool]:
        """Hold the right to rebuild while the block runs: True for one process, False for the others.

        A transaction holds it, so it also works through PgBouncer, and ends when its holder dies.
        """
        async with self._db.transaction() as connection:
            yield bool(await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({_REBUILD_LOCK})"))
