"""What was spent, for whom and since when: the sums that record_effects writes together with the effects."""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import astuple

from dayshift.domain.budget import Scope, Spent
from dayshift.ledger.database import Database, columns
from dayshift.ledger.rows import bare, task_id

KEPT_SECONDS = 70 * 86_400.0  # two months and a bit, so that a month can be looked at after it


class Spending:
    """Reading the sums, and dropping old ones."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def since(self, wishes: Sequence[tuple[Scope, datetime]]) -> list[Spent]:
        """What was spent for each scope since that hour, in order."""
        found = [Spent()] * len(wishes)
        for row in await self._db.fetch("spent", *columns([(*astuple(scope), since) for scope, since in wishes], 4)):
            found[row["n"] - 1] = Spent(row["nano_usd"], row["tokens"], row["calls"], row["unpriced"])
        return found

    async def ancestors(self, task: str) -> tuple[tuple[str, str], ...]:
        """The tasks above a task, the nearest first, each with its agent."""
        rows = await self._db.fetch("ancestors_of", bare(task))
        return tuple((task_id(row["id"]), row["agent"]) for row in rows)

    async def drop_old(self, limit: int) -> int:
        """Delete old sums; how many. Fewer than `limit`: all done."""
        return len(await self._db.fetch("drop_old_spending", KEPT_SECONDS, limit))
