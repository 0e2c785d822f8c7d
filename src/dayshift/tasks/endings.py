"""What everybody is told when a task has ended, in an attempt or outside of one (cancelled, expired, poisoned)."""

from dayshift.domain.events import TaskFinished
from dayshift.domain.task import Task
from dayshift.tasks import events
from dayshift.tasks.outbox import Outbox
from dayshift.telemetry import emit


def tell(outbox: Outbox, task: Task) -> None:
    """The final event for its callers, and the operator's event."""
    outbox.tell(events.final(task))
    emit(finished_event(task))


def finished_event(task: Task) -> TaskFinished:
    """The operator's event for a task that has ended. Its duration counts from its first start (0: never started)."""
    duration_seconds = 0.0
    if task.started_at is not None and task.finished_at is not None:
        duration_seconds = max(0.0, (task.finished_at - task.started_at).total_seconds())
    return TaskFinished(
        task_id=task.id,
        agent=task.agent,
        tenant=task.tenant,
        attempt=task.attempt,
        status=task.status,
        duration_seconds=duration_seconds,
        error_code=task.error.code if task.error is not None else None,
        error_message=task.error.message if task.error is not None else None,
    )
