"""Makes the tasks whose time has come. Any number of processes may do that at once: each due time becomes one task.

    look     at the schedules whose next due time has come
    decide   which of the due times since then become tasks (`catching_up`)
    admit    each task as if it were submitted now: the agent's schema, room in the queue, something to spend
    step     in one transaction, make the tasks and move the schedule past their due times; whoever comes second finds it moved
    tell     the hot plane, as for any other task

What is not admitted is noted on the schedule and tried again after a while, as long as its due time would still become a task.
"""

from datetime import datetime, timedelta
from typing import Final

from dayshift.domain.errors import DayshiftError, DependencyAway
from dayshift.domain.events import DueTimesSkipped, Fault, ScheduleRefused
from dayshift.domain.schedules import Schedule
from dayshift.domain.task import NewTask
from dayshift.ledger import Ledger, Refusal, Step
from dayshift.tasks.depth import Admission
from dayshift.tasks.intake import Intake
from dayshift.tasks.schedules.catching_up import decide
from dayshift.tasks.schedules.due_times import due_after
from dayshift.tasks.schedules.requests import request_of
from dayshift.telemetry import emit

RETRY_SECONDS: Final = 10.0
_PAGE = 100
_MOST_PAGES = 50
_MOST_TASKS_A_STEP = 100
_MOST_BYTES_A_STEP = 4 << 20
_LONGEST_MESSAGE = 1_000


class Scheduling:
    def __init__(self, ledger: Ledger, intake: Intake, admission: Admission) -> None:
        self._ledger = ledger.schedules
        self._intake = intake
        self._admission = admission

    async def make_due(self, moment: datetime) -> bool:
        """Make what is due by that moment. False: there is more to do. Raises `LedgerAway`."""
        for _ in range(_MOST_PAGES):
            due = await self._ledger.due(moment, _PAGE)
            if not due:
                return True
            await self._admission.look()
            for schedule in due:
                await self._make_or_note(schedule, moment)
        return False

    async def _make_or_note(self, schedule: Schedule, moment: datetime) -> None:
        """A schedule that cannot be carried out holds up no other: a time zone that is known no longer, a row that is refused."""
        try:
            await self._make_due_of(schedule, moment)
        except DependencyAway:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is noted
            step = Step(next_at=schedule.next_at, refusal=_refusal(error, moment))
            if await self._ledger.advance(schedule, step) is not None:
                _emit(schedule, step)

    async def _make_due_of(self, schedule: Schedule, moment: datetime) -> None:
        assert schedule.next_at is not None, "it is due"
        decision = decide(schedule.times, schedule.catch_up, schedule.next_at, moment)
        tasks, refusal = await self._admitted(schedule, decision.due, moment)
        made = len(tasks)
        step = Step(
            tasks=tasks,
            due=decision.due[:made],
            skipped=decision.skipped,
            next_at=decision.due[made] if made < len(decision.due) else due_after(schedule.times, moment),
            refusal=refusal,
        )
        accepted = await self._ledger.advance(schedule, step)
        if accepted is None:
            return
        for task, answer in zip(tasks, accepted, strict=True):
            self._intake.tell(task, answer)
        _emit(schedule, step)

    async def _admitted(
        self, schedule: Schedule, due: list[datetime], moment: datetime
    ) -> tuple[list[NewTask], Refusal | None]:
        """The tasks of the first of these due times, as many as one step makes, or until one is refused."""
        tasks: list[NewTask] = []
        for due_at in due[: _tasks_a_step(schedule)]:
            try:
                tasks.append(await self._intake.admitted(request_of(schedule, due_at), tenant=schedule.tenant))
            except DependencyAway:
                raise
            except DayshiftError as error:
                return tasks, _refusal(error, moment)
        return tasks, None


def _tasks_a_step(schedule: Schedule) -> int:
    return max(1, min(_MOST_TASKS_A_STEP, _MOST_BYTES_A_STEP // len(schedule.task)))


def _refusal(error: Exception, moment: datetime) -> Refusal:
    if not isinstance(error, DayshiftError):
        emit(Fault.of("schedules", error))
        error = DayshiftError(
            "something failed that should not have; the log of maintenance says what", code="internal_error"
        )
    return Refusal(
        code=error.code,
        message=error.message[:_LONGEST_MESSAGE],
        at=moment,
        retry_at=moment + timedelta(seconds=RETRY_SECONDS),
    )


def _emit(schedule: Schedule, step: Step) -> None:
    if step.skipped is not None:
        first, last = step.skipped
        emit(DueTimesSkipped(schedule=schedule.id, tenant=schedule.tenant, first=first, last=last))
    if step.refusal is not None:
        code, message = step.refusal.code, step.refusal.message
        emit(ScheduleRefused(schedule=schedule.id, tenant=schedule.tenant, error_code=code, error_message=message))
