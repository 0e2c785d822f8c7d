"""Tasks and events as a caller has them: their JSON read into plain values."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from dayshift.domain.errors import DayshiftError
from dayshift.domain.task import FINAL, Notice, Status, TaskError, Timing, Usage, WaitingFor


class Task(Struct, frozen=True, kw_only=True):
    """A task, with the fields that the HTTP reference tells."""

    id: str
    agent: str
    status: Status
    input: Any = None
    output: Any = None
    error: TaskError | None = None
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    priority: int = 5
    tenant: str = ""
    user: str | None = None
    conversation: str | None = None
    queue: str = ""
    created_at: datetime
    run_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    waiting_for: WaitingFor | None = None
    notice: Notice | None = None
    usage: Usage = Usage()
    timing: Timing = Timing()
    metadata: dict[str, Any] = {}
    trace_id: str | None = None
    version: str | None = None
    parent: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.status in FINAL


class Event(Struct, frozen=True):
    """One of a task's events. `id` numbers them: increasing, not dense; `data` has `task_id`, `attempt` and `at` at least."""

    id: int
    type: str
    data: dict[str, Any]


class TaskFailed(DayshiftError):
    """A task whose result was wanted has failed or was cancelled; `task` says the rest."""

    def __init__(self, task: Task) -> None:
        code = str(task.status) if task.error is None else task.error.code
        how = "was cancelled" if task.status is Status.CANCELLED else "has failed"
        why = "" if task.error is None else f": {task.error.message}"
        super().__init__(f"task {task.id} of agent {task.agent} {how}{why}", code=code)
        self.task = task
