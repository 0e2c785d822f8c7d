"""`ledger.workers`: the ledger's side of a lease. Times are PostgreSQL's clock; a release is final for an id."""

from dayshift.domain.task import Task
from dayshift.ledger.control import Control
from dayshift.ledger.database import Database
from dayshift.ledger.rows import bare, task_id, worker_id
from dayshift.ledger.shapes import BeatAnswer, WorkerRow

_REMEMBERED_SECONDS = 86_400.0
_UNSEEN_LOSSES = 5


class Workers:
    """Who works, who was heard of last when, and who is gone."""

    def __init__(self, database: Database, control: Control) -> None:
        self._db = database
        self._control = control

    async def register(self, worker: WorkerRow) -> bool:
        """Begin a lease; False if that id was released before (take a new one). Without a row no start is granted."""
        row = await self._db.fetch_one(
            "register_worker", bare(worker.id), worker.pid, worker.host, worker.version, worker.agents, worker.slots
        )
        return bool(row and row["alive"])

    async def beat(self, worker_id: str, running: int, draining: bool, loop_lag_seconds: float) -> BeatAnswer:
        """Renew a lease. A released one is not renewed, and an unregistered one counts as released."""
        row = await self._db.fetch_one("beat_worker", bare(worker_id), running, draining, loop_lag_seconds)
        assert row is not None, "plane_state always has its row"
        return BeatAnswer(
            released=row["released"], epoch=row["epoch"], cancels=[task_id(one) for one in row["cancels"]]
        )

    async def release(
        self,
        worker_id: str,
        reason: str,
        *,
        only_if_silent_seconds: float | None = None,
        process_lives: bool = False,
    ) -> bool:
        """Declare a worker dead; True for the one caller that did. With a limit, a beat that comes first prevents it.

        `process_lives`: whoever knows says that its process outlives the lease, so none of its tasks has killed it. This
        counts also when others were first, for the tasks that nobody has taken over yet.
        """
        row = await self._db.fetch_one("release_worker", bare(worker_id), reason, only_if_silent_seconds, process_lives)
        if row is None and process_lives:
            await self._db.fetch("note_outlived", bare(worker_id))
        return row is not None

    async def silent(self, seconds: float) -> list[str]:
        """Workers to rescue: silent for that long, released within a minute, or released and shown as running something."""
        return [worker_id(row["id"]) for row in await self._db.fetch("silent_workers", seconds)]

    async def poison_quarantined(self, worker_id: str, *, was_seen: bool) -> list[Task]:
        """Fail what a dead worker ran in quarantine: these tasks killed a process of their own.

        `was_seen`: somebody saw that process die. One that only fell silent may be cut off from the planes and well: its
        task is tried again, until it has gone silent so often that it is taken for one that kills its whole machine.
        """
        return await self._control.fail_poison(worker_id, was_seen=was_seen, unseen_losses=_UNSEEN_LOSSES)

    async def list(self) -> list[WorkerRow]:
        """The workers that are not released."""
        return [
            WorkerRow(
                id=worker_id(row["id"]),
                pid=row["pid"],
                host=row["host"],
                version=row["version"],
                agents=row["agents"],
                slots=row["slots"],
                running=row["running"],
                draining=row["draining"],
                loop_lag_seconds=row["loop_lag_seconds"],
                seen_at=row["seen_at"],
                released_at=row["released_at"],
            )
            for row in await self._db.fetch("list_workers")
        ]

    async def remove_old(self, released_seconds: float = _REMEMBERED_SECONDS) -> int:
        """Forget workers that were released that long ago and hold nothing; how many."""
        return len(await self._db.fetch("remove_old_workers", released_seconds))
