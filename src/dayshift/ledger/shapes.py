"""What goes into the ledger and what comes out of it, apart from the nouns of `dayshift.domain.task`.

Ids are the public text everywhere (`task_...`, `worker_...`, `key_...`); times are aware UTC datetimes by PostgreSQL's clock.
"""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

from dayshift.domain import ids
from dayshift.domain.task import Notice, Place, Status, Task, TaskError, Timing, Usage, WaitingFor


def new_start_id() -> str:
    """Name one wish to start, so that its repeat is known again."""
    return ids.new("start_")


def new_finish_id() -> str:
    """Name one outcome, so that its repeat is known again."""
    return ids.new("finish_")


class Accepted(Struct, frozen=True, kw_only=True):
    """A row is committed. `is_head`: nothing stands before it in its conversation, so it may be queued in the hot plane.

    `replay_of` names the task that already owns the idempotency key: nothing was inserted then, and of the rest only
    `same_body` means something.
    """

    task_id: str
    seq: int
    created_at: datetime
    run_at: datetime
    is_head: bool
    replay_of: str | None = None
    same_body: bool = True


class StartWish(Struct, frozen=True, kw_only=True):
    """A worker asks to start a task. Repeat an unanswered wish with the same `start_id`."""

    task_id: str
    worker_id: str
    version: str | None = None
    quarantine: bool = False
    start_id: str = field(default_factory=new_start_id)


RefusalReason = Literal[
    "gone",  # no such row
    "final",  # it has ended
    "cancelled",  # a cancel was requested and its worker is dead: this very statement ended it
    "expired",  # `expires_at` has passed: this very statement ended it
    "not_due",  # `run_at` lies ahead
    "waiting",  # parked; its wake-up will queue it
    "conversation_busy",  # another task holds the conversation, or an earlier one is queued in it
    "running",  # by a worker that is not released
    "wrong_version",  # it is pinned to another version of the code
    "quarantine",  # it must run alone: ask again with quarantine=True
    "worker_released",  # the asking worker was declared dead, or never registered
]


class StartRefusal(Struct, frozen=True, kw_only=True):
    """The ledger says no, and why. `conversation` (tenant, name) is given when its head should be announced again: this
    task was ended here (cancelled, expired), or it is not its turn and what stands before it may have just gone. `place` is
    where a task stands that this worker may not run.
    """

    task_id: str
    reason: RefusalReason
    run_at_ms: int = 0
    conversation: tuple[str, str] | None = None
    place: Place | None = None


class StrandedTasks(Struct, frozen=True, kw_only=True):
    """Tasks that began under a code version which no live worker has, and may go on under no other. `oldest` is one of them."""

    agent: str
    version: str
    tasks: int
    oldest: str


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRY = "retry"
    GIVEN_BACK = "given_back"
    PARKED = "parked"


class Finish(Struct, frozen=True, kw_only=True):
    """How an attempt ended. `usage` and `timing` are totals over all attempts (a `Started` says what came before).

    `output` goes with succeeded, `error` with failed and retry. With parked go `waiting_for`, `notice`, `wake_at` (None: it does not
    wake by itself) and `wakes`, as they were when the worker last looked whether anything had come. Repeat an unanswered one with the same `finish_id`.
    """

    task_id: str
    attempt: int
    worker_id: str
    outcome: Outcome
    output: bytes | None = None
    error: TaskError | None = None
    retry_delay_seconds: float = 0.0
    usage: Usage = Usage()
    timing: Timing = Timing()
    waiting_for: WaitingFor | None = None
    wake_at: datetime | None = None
    wakes: int | None = None
    notice: Notice | None = None
    finish_id: str = field(default_factory=new_finish_id)


class Finished(Struct, frozen=True, kw_only=True):
    """What became of the task. `accepted` False: a newer attempt (or an end) came first, and nothing was written.

    `status` may differ from the wish: a retry of a task whose cancel was requested is cancelled, and one that could
    run only after `expires_at` is failed; `error` is then the one that was recorded.
    """

    task_id: str
    accepted: bool
    status: Status
    run_at: datetime
    finished_at: datetime | None
    wake_at: datetime | None = None
    conversation_has_next: bool = False
    error: TaskError | None = None
    deliveries: list[Place] = []


class CancelResult(Struct, frozen=True, kw_only=True):
    """`was`: the status before. `worker_id`: who must be told, when it was running."""

    task: Task
    worker_id: str | None
    was: Status
    conversation_has_next: bool = False
    deliveries: list[Place] = []


class Depth(Struct, frozen=True, kw_only=True):
    """What one tenant has unfinished in one queue."""

    queue: str
    tenant: str
    ready: int
    delayed: int
    running: int
    waiting: int
    oldest_seconds: float


class Depths(Struct, frozen=True, kw_only=True):
    """All unfinished rows, counted `age_seconds` ago. The next count is due `again_seconds` after that."""

    rows: list[Depth]
    age_seconds: float
    again_seconds: float


class WorkerRow(Struct, frozen=True, kw_only=True):
    """A worker as it registers (the first six) and as it is listed."""

    id: str
    pid: int
    host: str
    version: str | None
    agents: list[str]
    slots: int
    running: int = 0
    draining: bool = False
    loop_lag_seconds: float = 0.0
    seen_at: datetime | None = None
    released_at: datetime | None = None


class BeatAnswer(Struct, frozen=True, kw_only=True):
    """`released`: this id was declared dead for good; stop all attempts and register anew under another id."""

    released: bool
    epoch: int
    cancels: list[str]


class AgentRow(Struct, frozen=True, kw_only=True):
    """An agent at one code version. `versions`, newest first, and `registered_at` are filled in by the ledger."""

    name: str
    version: str
    queue: str
    input_schema: bytes
    output_schema: bytes
    options: bytes = b"{}"
    versions: list[str] = []
    registered_at: datetime | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """An API key to be: only its hash is stored; `prefix` is what a person may still see of it."""

    id: str
    hash: bytes
    prefix: str
    tenant: str
    scopes: list[str]
    expires_at: datetime | None = None


class KeyRow(Struct, frozen=True, kw_only=True):
    id: str
    prefix: str
    tenant: str
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class ActiveKey(Struct, frozen=True, kw_only=True):
    """A key that is neither revoked nor expired, as an authenticator needs it."""

    id: str
    hash: bytes
    tenant: str
    scopes: list[str]
    expires_at: datetime | None = None


class ConversationRow(Struct, frozen=True, kw_only=True):
    """A conversation. `holder` is the task that began in it and has not ended; `touched_at`, when one last came or went."""

    name: str
    created_at: datetime
    touched_at: datetime
    unfinished: int
    holder: str | None


class MessageRow(Struct, frozen=True, kw_only=True):
    """A message of a conversation. `seq` is its place among all; `task_id` is who appended it."""

    id: str
    seq: int
    task_id: str | None
    created_at: datetime
    body: bytes


class IdleSweep(Struct, frozen=True, kw_only=True):
    """What one look at some conversations deleted. `next`: behind which one to look next; None: that were all."""

    forgotten: int
    next: tuple[str, str] | None


class SettingsEntry(Struct, frozen=True, kw_only=True):
    """One change. `value` is JSON as bytes; None means that the path was unset."""

    version: int
    path: str
    value: bytes | None
    by: str
    why: str | None
    at: datetime


class SettingsState(Struct, frozen=True, kw_only=True):
    """All settings at one version: for every path that is set, the change that set it."""

    version: int
    entries: dict[str, SettingsEntry]


class PlaneStateRow(Struct, frozen=True, kw_only=True):
    """What the ledger knows of the hot plane: the epoch that scripts must name, and the run id it was built for."""

    epoch: int
    run_id: str | None


class Poll(Struct, frozen=True, kw_only=True):
    """What a process asks every second: what has changed, which of my running tasks to cancel, and the time."""

    now: datetime
    settings_version: int
    keys_version: int
    registry_version: int
    epoch: int
    cancels: list[str]


SchemaState = Literal[
    "current",  # every step that this code needs is there
    "behind",  # run `dayshift migrate`
    "ahead",  # a newer release has prepared its schema; this code still works on it
    "too_new",  # a newer release has taken away what this code needs
]
