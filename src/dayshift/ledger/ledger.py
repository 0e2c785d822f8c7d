"""`Ledger`: one pool, and an object for each topic."""

from datetime import datetime
from types import TracebackType
from typing import Self

from dayshift.ledger import migrate
from dayshift.ledger.a2a import A2a
from dayshift.ledger.conversations import Conversations
from dayshift.ledger.database import Database
from dayshift.ledger.effects import Effects
from dayshift.ledger.keys import Keys
from dayshift.ledger.plane_state import PlaneState
from dayshift.ledger.registry import Registry
from dayshift.ledger.rows import bare, task_id
from dayshift.ledger.schedules import Schedules
from dayshift.ledger.settings import SettingsVersions
from dayshift.ledger.shapes import Poll, SchemaState
from dayshift.ledger.spending import Spending
from dayshift.ledger.tasks import Tasks
from dayshift.ledger.waits import Waits
from dayshift.ledger.webhooks import Webhooks
from dayshift.ledger.workers import Workers


class Ledger:
    """PostgreSQL, the only truth. One method is one transaction, and every write can be repeated."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self._db = Database(url, pool_size=pool_size)
        self.tasks = Tasks(self._db)
        self.effects = Effects(self._db)
        self.spending = Spending(self._db)
        self.conversations = Conversations(self._db)
        self.waits = Waits(self._db)
        self.workers = Workers(self._db, self.tasks)
        self.registry = Registry(self._db)
        self.keys = Keys(self._db)
        self.webhooks = Webhooks(self._db)
        self.a2a = A2a(self._db)
        self.schedules = Schedules(self._db)
        self.settings = SettingsVersions(self._db)
        self.plane_state = PlaneState(self._db)

    async def open(self) -> None:
        """Connect; LedgerAway if PostgreSQL does not answer (then it may be called again)."""
        await self._db.open()

    async def close(self) -> None:
        """Disconnect. Closing twice is safe."""
        await self._db.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def migrate(self, *, post: bool = False) -> list[str]:
        """Bring the schema up to date; the names of the steps that ran. `post`: no older code runs any more."""
        return await migrate.migrate(self._db, post=post)

    async def schema_state(self) -> SchemaState:
        """Whether this code fits the schema: it works on `current` and `ahead`."""
        return await migrate.schema_state(self._db)

    async def now(self) -> datetime:
        """PostgreSQL's time, by which all durable times are given."""
        row = await self._db.fetch_one("clock")
        assert row is not None, "a clock always answers"
        now: datetime = row["now"]
        return now

    async def poll(self, worker_id: str | None = None) -> Poll:
        """What a process asks every second."""
        row = await self._db.fetch_one("poll", None if worker_id is None else bare(worker_id))
        assert row is not None, "versions and plane_state always have their row"
        return Poll(
            now=row["now"],
            settings_version=row["settings"],
            keys_version=row["keys"],
            registry_version=row["registry"],
            epoch=row["epoch"],
            cancels=[task_id(one) for one in row["cancels"]],
        )
