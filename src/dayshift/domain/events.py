"""What happened, as facts that rooms emit and telemetry turns into log lines, metrics and (later) spans.

These are for operators. What a task's callers see is the live stream (`domain/stream.py`).
"""

from datetime import datetime

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """Base of all domain events. The task's ids come from the bound log context where there is one."""


class TaskAccepted(Event, frozen=True, kw_only=True):
    task_id: str
    agent: str
    tenant: str
    queue: str
    trace_id: str | None = None


class TaskStarted(Event, frozen=True, kw_only=True):
    task_id: str
    agent: str
    tenant: str
    attempt: int
    queued_seconds: float
    takeover: bool = False


class TaskFinished(Event, frozen=True, kw_only=True):
    """An attempt ended the task. `status` is succeeded, failed or cancelled."""

    task_id: str
    agent: str
    tenant: str
    attempt: int
    status: str
    duration_seconds: float
    error_code: str | None = None
    error_message: str | None = None


class TaskRetrying(Event, frozen=True, kw_only=True):
    task_id: str
    agent: str
    tenant: str
    attempt: int
    error_code: str
    error_message: str
    delay_seconds: float


class EffectsEnded(Event, frozen=True, kw_only=True):
    """So many effects of a kind were performed, replayed, failed, or have an unknown outcome."""

    kind: str
    outcome: str
    count: int = 1


class LlmCallEnded(Event, frozen=True, kw_only=True):
    """A provider was asked, and answered or did not. `outcome`: ok, left (its reader went), limited, refused, failed. Tokens and cost
    are of answers; `is_unpriced` when nobody knows what it cost.
    """

    provider: str
    model: str
    agent: str
    outcome: str
    duration_seconds: float
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    is_unpriced: bool = False


class Diverged(Event, frozen=True, kw_only=True):
    """An attempt did something that no earlier one did, and did not do `effect_id`, which looks like it.

    `part` is the first part of the call that differs; None when another number of equal calls was made.
    """

    kind: str
    name: str
    effect_id: str
    part: str | None


class CallNotCaptured(Event, frozen=True, kw_only=True):
    """A task called a provider through an HTTP library that is not captured: it will be made and paid for again."""

    library: str
    host: str
    path: str


class WebhookDelivery(Event, frozen=True, kw_only=True):
    """A try to tell a receiver. `outcome`: delivered; failed, and it comes again; dead; held, as the receiver is left alone for a
    while; dropped, as there is nothing to tell or nobody to tell it to any more.
    """

    outcome: str


class ToolBreakerChanged(Event, frozen=True, kw_only=True):
    """The breaker of a tool in this process. `state`: closed, open, half-open."""

    tool: str
    state: str


class LlmLimitWaited(Event, frozen=True, kw_only=True):
    """A call had its turn under a provider's limit, after that time."""

    provider: str
    seconds: float


class LlmLimitUsed(Event, frozen=True, kw_only=True):
    """What this process used of a provider's limit in the last minute. `limit`: requests, tokens, input_tokens, output_tokens. `provider`:
    for a model with limits of its own PROVIDER/MODEL.
    """

    provider: str
    limit: str
    ratio: float


class LlmDegraded(Event, frozen=True, kw_only=True):
    """A call was not answered as its model's first target would have. `how`: fallback, cached, park, fail."""

    provider: str
    model: str
    how: str
    reason: str


class BreakerChanged(Event, frozen=True, kw_only=True):
    """The breaker of a provider's model, as this process sees it. `state`: closed, open, half-open. `is_shared`: as the whole
    fleet has it; otherwise this process is alone, without the hot plane.
    """

    provider: str
    model: str
    state: str
    is_shared: bool = True


class TaskParked(Event, frozen=True, kw_only=True):
    """A task waits without a worker, for a time, a signal or a child."""

    task_id: str
    agent: str
    attempt: int
    waits_for: str


class TaskGivenBack(Event, frozen=True, kw_only=True):
    """A draining worker handed a task back: no failure, no loss."""

    task_id: str
    agent: str
    attempt: int


class TaskLost(Event, frozen=True, kw_only=True):
    """An attempt's worker vanished."""

    task_id: str
    agent: str
    attempt: int
    worker_id: str
    poisoned: bool = False


class AttemptSuperseded(Event, frozen=True, kw_only=True):
    task_id: str
    attempt: int
    where: str


class StartRefused(Event, frozen=True, kw_only=True):
    task_id: str
    reason: str


class WorkerReady(Event, frozen=True, kw_only=True):
    worker_id: str
    agents: list[str]
    slots: int


class WorkerDraining(Event, frozen=True, kw_only=True):
    worker_id: str
    running: int
    grace_seconds: float


class WorkerStopped(Event, frozen=True, kw_only=True):
    worker_id: str


class WorkerDead(Event, frozen=True, kw_only=True):
    """Both planes, or its supervisor, say that a worker is gone; its tasks were requeued."""

    worker_id: str
    tasks: int
    reason: str


class WorkerSlots(Event, frozen=True, kw_only=True):
    free: int
    busy: int


class LeaseLost(Event, frozen=True, kw_only=True):
    """This worker could not confirm its lease in either plane, or was declared dead; it stopped its attempts."""

    worker_id: str
    reason: str
    attempts: int


class LoopBlocked(Event, frozen=True, kw_only=True):
    """The event loop did not turn for a while; `stack` is the blocking thread's stack."""

    blocked_seconds: float
    stack: str


class LoopLag(Event, frozen=True, kw_only=True):
    lag_seconds: float


class LedgerCommit(Event, frozen=True, kw_only=True):
    operation: str
    rows: int
    duration_seconds: float


class DependencyLost(Event, frozen=True, kw_only=True):
    """`dependency`: ledger, plane."""

    dependency: str
    error: str


class DependencyBack(Event, frozen=True, kw_only=True):
    dependency: str
    away_seconds: float


class PlaneLost(Event, frozen=True, kw_only=True):
    reason: str
    epoch: int


class PlaneRebuilt(Event, frozen=True, kw_only=True):
    epoch: int
    ready: int
    delayed: int
    running: int
    duration_seconds: float


class DepthMeasured(Event, frozen=True, kw_only=True):
    queue: str
    ready: int
    delayed: int
    running: int
    waiting: int
    oldest_seconds: float


class TasksStranded(Event, frozen=True, kw_only=True):
    """So many tasks of an agent are pinned to code versions that no living worker has."""

    agent: str
    versions: list[str]
    tasks: int


class HttpRequest(Event, frozen=True, kw_only=True):
    route: str
    method: str
    status: int
    duration_seconds: float


class SettingsChanged(Event, frozen=True, kw_only=True):
    version: int
    path: str | None = None
    by: str | None = None


class DueTimesSkipped(Event, frozen=True, kw_only=True):
    """Due times of a schedule become no tasks, as nobody was there in time: from `first` to `last`."""

    schedule: str
    tenant: str
    first: datetime
    last: datetime


class ScheduleRefused(Event, frozen=True, kw_only=True):
    """A due time of a schedule could not become a task yet."""

    schedule: str
    tenant: str
    error_code: str
    error_message: str


class Fault(Event, frozen=True, kw_only=True):
    """Something failed that nobody asked for. `where` is a stable word for the place, `error_type` a class name."""

    where: str
    error_type: str
    message: str
    stack: str | None = None

    @classmethod
    def of(cls, where: str, error: BaseException, *, stack: str | None = None) -> "Fault":
        """The fault that an exception is."""
        return cls(where=where, error_type=type(error).__name__, message=str(error), stack=stack)


class ProcessChanged(Event, frozen=True, kw_only=True):
    """The supervisor started, lost, replaced or stopped a process. `change`: started, ready, died, draining, stopped."""

    kind: str
    child_pid: int
    change: str
    detail: str | None = None


class Note(Event, frozen=True, kw_only=True):
    """A plain sentence for the operator, e.g. what a laptop run decided by itself."""

    message: str
