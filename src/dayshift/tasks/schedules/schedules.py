"""What people do with schedules: make, change, pause, resume, trigger. Their times come about in `scheduling`."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from dayshift.domain import ids
from dayshift.domain.clock import now
from dayshift.domain.errors import Conflict, FieldError, InvalidInput
from dayshift.domain.schedules import Schedule
from dayshift.ledger import Ledger
from dayshift.tasks.intake import Intake, Receipt
from dayshift.tasks.rates import Quota
from dayshift.tasks.schedules.due_times import due_after
from dayshift.tasks.schedules.requests import (
    ScheduleChange,
    ScheduledTask,
    ScheduleRequest,
    changed_times,
    check_metadata,
    request_of,
    task_request,
    times_of,
)
from dayshift.tasks.submitting import Submitting

MOST_SCHEDULES = 1_000
_TRIES = 5


class Schedules:
    """A tenant's schedules. All raise `LedgerAway`; those that name one, `NotFound`."""

    def __init__(self, ledger: Ledger, intake: Intake, submitting: Submitting) -> None:
        self._ledger = ledger.schedules
        self._intake = intake
        self._submitting = submitting

    async def create(self, tenant: str, request: ScheduleRequest) -> Schedule:
        """Make one. Raises `InvalidInput` (also code `unknown_agent`), `Conflict` (codes `schedule_exists`, `too_many_schedules`)."""
        times, task = times_of(request), await self._checked(request.task, tenant)
        moment = now()
        wanted = Schedule(
            id=ids.new(ids.SCHEDULE),
            tenant=tenant,
            name=request.name,
            times=times,
            catch_up=request.catch_up,
            task=task,
            created_at=moment,
            updated_at=moment,
            next_at=due_after(times, moment),
        )
        made = await self._ledger.create(wanted, most=MOST_SCHEDULES)
        if made is None:
            message = f"there are {MOST_SCHEDULES} schedules already; delete one first"
            raise Conflict(message, code="too_many_schedules")
        if made.id != wanted.id:
            raise _exists(request.name, made.id)
        return made

    async def list(self, tenant: str, *, limit: int, after: str | None = None) -> Sequence[Schedule]:
        """Newest first."""
        return await self._ledger.list(tenant, limit=limit, after=after)

    async def get(self, tenant: str, schedule_id: str) -> Schedule:
        return await self._ledger.get(tenant, schedule_id)

    async def change(self, tenant: str, schedule_id: str, change: ScheduleChange) -> Schedule:
        """Change what is given. Other times begin now; what was refused is tried again. Raises like `create`."""
        task = None if change.task is UNSET else await self._checked(change.task, tenant)

        def changed(schedule: Schedule) -> Schedule:
            times = changed_times(schedule.times, change)
            is_moved = times != schedule.times and schedule.paused_at is None
            return msgspec.structs.replace(
                schedule,
                name=schedule.name if change.name is UNSET else change.name,
                catch_up=schedule.catch_up if change.catch_up is UNSET else change.catch_up,
                task=schedule.task if task is None else task,
                times=times,
                next_at=due_after(times, now()) if is_moved else schedule.next_at,
            )

        return await self._change(tenant, schedule_id, changed)

    async def pause(self, tenant: str, schedule_id: str) -> Schedule:
        """Nothing is due until it is resumed."""

        def paused(schedule: Schedule) -> Schedule:
            if schedule.paused_at is not None:
                return schedule
            return msgspec.structs.replace(schedule, paused_at=now(), next_at=None)

        return await self._change(tenant, schedule_id, paused)

    async def resume(self, tenant: str, schedule_id: str) -> Schedule:
        """What is due from now on becomes tasks again; what was due meanwhile does not. Raises `Conflict` (code `schedule_ended`)."""

        def resumed(schedule: Schedule) -> Schedule:
            if schedule.paused_at is None:
                return schedule
            next_at = due_after(schedule.times, now())
            if next_at is None:
                message = "its time has passed while it was paused; give it another, or trigger it"
                raise Conflict(message, code="schedule_ended")
            return msgspec.structs.replace(schedule, paused_at=None, next_at=next_at)

        return await self._change(tenant, schedule_id, resumed)

    async def trigger(
        self, tenant: str, schedule_id: str, *, key: str | None = None, trace_id: str | None = None
    ) -> tuple[Receipt, tuple[Quota, ...]]:
        """Submit its task now, beside its due times and whatever its state. Raises like `Submitting.submit`."""
        schedule = await self._ledger.get(tenant, schedule_id)
        return await self._submitting.submit(request_of(schedule, None, key), tenant=tenant, trace_id=trace_id)

    async def delete(self, tenant: str, schedule_id: str) -> None:
        """Nothing is due any more; the tasks that were made stay."""
        await self._ledger.delete(tenant, schedule_id)

    async def _checked(self, task: ScheduledTask, tenant: str) -> bytes:
        """The task as it is kept, if it could be submitted now."""
        try:
            new = await self._intake.checked(task_request(task), tenant=tenant)
        except InvalidInput as error:
            raise _below_task(error) from None
        check_metadata(msgspec.json.decode(new.metadata))
        return msgspec.json.encode(task)

    async def _change(self, tenant: str, schedule_id: str, change: Callable[[Schedule], Schedule]) -> Schedule:
        """Change it as it is now, again and again if maintenance or somebody else comes in between."""
        schedule = await self._ledger.get(tenant, schedule_id)
        for _ in range(_TRIES):
            wanted = change(schedule)
            if wanted == schedule:
                return schedule
            written = await self._ledger.change(msgspec.structs.replace(wanted, updated_at=now()))
            if written is not None:
                return written
            found = await self._ledger.get(tenant, schedule_id)
            if found.revision == schedule.revision:
                raise _exists(wanted.name)
            schedule = found
        raise Conflict("it is being changed by others all the time; try again", code="schedule_busy")


def _exists(name: str, schedule_id: str | None = None) -> Conflict:
    named = f" ({schedule_id})" if schedule_id else ""
    return Conflict(
        f"another schedule{named} is named {name!r}; change that one, or give another name", code="schedule_exists"
    )


def _below_task(error: InvalidInput) -> InvalidInput:
    faults = [FieldError(f"task.{fault.path}", fault.message) for fault in error.errors]
    begins_with_its_path = faults and error.message.startswith(f"{error.errors[0].path}: ")
    return InvalidInput(f"task.{error.message}" if begins_with_its_path else error.message, faults, code=error.code)
