"""`ledger.schedules`: when tasks are due. Whoever changes a row names the revision that it read, so nobody overwrites another.

A due time becomes a task in one transaction with the schedule's step past it (`advance`): of several processes one takes the
step, the others find another revision and make nothing. Nothing is repeated here after an unknown outcome. Who looks
again sees what came of it.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from dayshift.domain import ids
from dayshift.domain.errors import NotFound
from dayshift.domain.schedules import Schedule, Times
from dayshift.domain.task import NewTask
from dayshift.ledger.accepting import accept_new
from dayshift.ledger.database import Database
from dayshift.ledger.rows import HIGHEST_UUID, bare, bare_or_missing, task_id
from dayshift.ledger.shapes import Accepted
from dayshift.ledger.statements import SQL


class Refusal(Struct, frozen=True, kw_only=True):
    """Why no task could be made for a due time, when, and before when that is not tried again."""

    code: str
    message: str
    at: datetime
    retry_at: datetime


class Step(Struct, frozen=True, kw_only=True):
    """What was decided about a schedule: tasks and the due times that they stand for, in order; what was skipped; and where it goes on
    (`next_at` None: nowhere), or why not now.
    """

    next_at: datetime | None
    tasks: Sequence[NewTask] = ()
    due: Sequence[datetime] = ()
    skipped: tuple[datetime, datetime] | None = None
    refusal: Refusal | None = None


class Schedules:
    """A tenant's schedules; those of another do not exist. Maintenance sees them all."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, schedule: Schedule, *, most: int) -> Schedule | None:
        """Make it; None: the tenant has as many as it may. Answers another one if that one has the name."""
        row = await self._db.fetch_one(
            "create_schedule",
            bare(schedule.id),
            schedule.tenant,
            schedule.name,
            *_times(schedule.times),
            schedule.catch_up,
            schedule.task,
            schedule.created_at,
            schedule.updated_at,
            schedule.next_at,
            most,
        )
        return None if row is None else _to_schedule(row)

    async def list(self, tenant: str, *, limit: int, after: str | None = None) -> Sequence[Schedule]:
        """Newest first."""
        below = HIGHEST_UUID if after is None else _bare(after)
        return [_to_schedule(row) for row in await self._db.fetch("list_schedules", tenant, below, limit)]

    async def get(self, tenant: str, schedule_id: str) -> Schedule:
        """One schedule. Raises NotFound."""
        row = await self._db.fetch_one("get_schedule", tenant, _bare(schedule_id))
        if row is None:
            raise _no_such(schedule_id)
        return _to_schedule(row)

    async def change(self, schedule: Schedule) -> Schedule | None:
        """Write it as it is to be; None: it was changed since it was read, or another one has the name."""
        row = await self._db.fetch_one(
            "change_schedule",
            bare(schedule.id),
            schedule.revision,
            schedule.name,
            *_times(schedule.times),
            schedule.catch_up,
            schedule.task,
            schedule.updated_at,
            schedule.paused_at,
            schedule.next_at,
        )
        return None if row is None else _to_schedule(row)

    async def delete(self, tenant: str, schedule_id: str) -> None:
        """Nothing becomes due any more. Raises NotFound."""
        if await self._db.fetch_one("delete_schedule", tenant, _bare(schedule_id)) is None:
            raise _no_such(schedule_id)

    async def due(self, moment: datetime, limit: int) -> Sequence[Schedule]:
        """Whose time has come by that moment, the most overdue first."""
        return [_to_schedule(row) for row in await self._db.fetch("due_schedules", moment, limit)]

    async def advance(self, schedule: Schedule, step: Step) -> Sequence[Accepted] | None:
        """Make the tasks and move on, both or neither; answers each task in order. None: the schedule was changed since it was read."""
        async with self._db.transaction() as connection:
            if await connection.fetchrow(SQL["advance_schedule"], *_step(schedule, step)) is None:
                return None
            return await accept_new(connection, step.tasks) if step.tasks else []


def _step(schedule: Schedule, step: Step) -> tuple[object, ...]:
    refusal = step.refusal
    return (
        bare(schedule.id),
        schedule.revision,
        step.next_at,
        step.due[-1] if step.due else None,
        bare(step.tasks[-1].id) if step.tasks else None,
        *(step.skipped or (None, None)),
        *((None,) * 4 if refusal is None else (refusal.retry_at, refusal.code, refusal.message, refusal.at)),
    )


def _times(times: Times) -> tuple[object, ...]:
    return times.cron, times.time_zone, times.every, times.start_at, times.at


def _bare(schedule_id: str) -> str:
    return bare_or_missing(ids.SCHEDULE, schedule_id, "schedule")


def _no_such(schedule_id: str) -> NotFound:
    return NotFound(f"There is no schedule {schedule_id!r}.")


_OTHERWISE_NAMED = {"id", "times", "last_task"}
_AS_NAMED = [field for field in Schedule.__struct_fields__ if field not in _OTHERWISE_NAMED]


def _to_schedule(row: asyncpg.Record) -> Schedule:
    last_task = row["last_task_id"]
    return Schedule(
        id=f"{ids.SCHEDULE}{row['id']}",
        times=Times(
            cron=row["cron"],
            time_zone=row["time_zone"],
            every=row["every_seconds"],
            start_at=row["start_at"],
            at=row["at"],
        ),
        last_task=None if last_task is None else task_id(last_task),
        **{name: row[name] for name in _AS_NAMED},  # and no column that a newer release has added
    )
