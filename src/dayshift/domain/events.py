"""What happened, as facts that rooms emit and telemetry turns into log lines, metrics and (later) spans.

These are for operators. What a task's callers see is the live stream (`domain/stream.py`).
"""

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """Base of all domain events. The task's ids come from the bound log context where there is one."""


class TaskAccepted(Event):
    task_id: str
    agent: str
    tenant: str
    queue: str
    trace_id: str | None = None


class TaskStarted(Event):
    task_id: str
    agent: str
    tenant: str
    attempt: int
    queued_seconds: float
    takeover: bool = False


class TaskFinished(Event):
    """An attempt ended the task. `status` is succeeded, failed or cancelled."""

    task_id: str
    agent: str
    tenant: str
    attempt: int
    status: str
    duration_seconds: float
    error_code: str | None = None
    error_message: str | None = None


class TaskRetrying(Event):
    task_id: str
    agent: str
    tenant: str
    attempt: int
    error_code: str
    error_message: str
    delay_seconds: float


class TaskGivenBack(Event):
    """A draining worker handed a task back: no failure, no loss."""

    task_id: str
    agent: str
    attempt: int


class TaskLost(Event):
    """An attempt's worker vanished."""

    task_id: str
    agent: str
    attempt: int
    worker_id: str
    poisoned: bool = False


class AttemptSuperseded(Event):
    task_id: str
    attempt: int
    where: str


class StartRefused(Event):
    task_id: str
    reason: str


class WorkerReady(Event):
    worker_id: str
    agents: list[str]
    slots: int


class WorkerDraining(Event):
    worker_id: str
    running: int
    grace_seconds: float


class WorkerStopped(Event):
    worker_id: str


class WorkerDead(Event):
    """Both planes, or its supervisor, say that a worker is gone; its tasks were requeued."""

    worker_id: str
    tasks: int
    reason: str


class WorkerSlots(Event):
    free: int
    busy: int


class LeaseLost(Event):
    """This worker could not confirm its lease in either plane, or was declared dead; it stopped its attempts."""

    worker_id: str
    reason: str
    attempts: int


class LoopBlocked(Event):
    """The event loop did not turn for a while; `stack` is the blocking thread's stack."""

    blocked_seconds: float
    stack: str


class LoopLag(Event):
    lag_seconds: float


class LedgerCommit(Event):
    operation: str
    rows: int
    duration_seconds: float


class DependencyLost(Event):
    """`dependency`: ledger, plane."""

    dependency: str
    error: str


class DependencyBack(Event):
    dependency: str
    away_seconds: float


class PlaneLost(Event):
    reason: str
    epoch: int


class PlaneRebuilt(Event):
    epoch: int
    ready: int
    delayed: int
    running: int
    duration_seconds: float


class DepthMeasured(Event):
    queue: str
    ready: int
    delayed: int
    running: int
    waiting: int
    oldest_seconds: float


class HttpRequest(Event):
    route: str
    method: str
    status: int
    duration_seconds: float


class SettingsChanged(Event):
    version: int
    path: str | None = None
    by: str | None = None


class Fault(Event):
    """Something failed that nobody asked for. `where` is a stable word for the place, `error_type` a class name."""

    where: str
    error_type: str
    message: str
    stack: str | None = None


class ProcessChanged(Event):
    """The supervisor started, lost, replaced or stopped a process. `change`: started, ready, died, draining, stopped."""

    kind: str
    child_pid: int
    change: str
    detail: str | None = None


class Note(Event):
    """A plain sentence for the operator, e.g. what a laptop run decided by itself."""

    message: str
