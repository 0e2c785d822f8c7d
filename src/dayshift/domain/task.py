"""A task: one request to run an agent. Its states, its shape seen from outside, and what an attempt needs to run it.

    queued ──start──▶ running ──finish──▶ succeeded | failed | cancelled
      ▲  ▲              │  │
      │  └─ retry, give ┘  └─park──▶ waiting ──wake──▶ queued
      └──── a person retries a dead letter (failed)

`queued` covers what waits for a slot, for its time (`run_at`) and for its turn in a conversation.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

LOWEST_PRIORITY = 0
DEFAULT_PRIORITY = 5
HIGHEST_PRIORITY = 9


class TaskError(Struct, frozen=True):
    """Why a task failed. `code` is a stable word: `agent_error`, `fatal`, `timeout`, `expired`, `poison`,
    `invalid_input`, `invalid_output`, `unknown_agent`, `budget_spent`, `cancelled`.
    """

    code: str
    message: str
    retryable: bool = False


USD_DIGITS = (
    12  # so that sums of floats show no dust; prices are not finer than a millionth of a dollar for a million tokens
)


class Usage(Struct, frozen=True, kw_only=True):
    """What the LLM calls of a task consumed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    llm_calls: int = 0
    replayed_calls: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            llm_calls=self.llm_calls + other.llm_calls,
            replayed_calls=self.replayed_calls + other.replayed_calls,
            cost_usd=round(self.cost_usd + other.cost_usd, USD_DIGITS),
            unpriced_calls=self.unpriced_calls + other.unpriced_calls,
        )


class Timing(Struct, frozen=True, kw_only=True):
    """Where a task's time went, in seconds, summed over its attempts.

    `queued`: ready, but without a slot. `starting`: from claim to the agent's first line. `llm`: in a provider's hands.
    `llm_wait`: waiting for a provider's limit. `tools`: in tools and steps. `ledger`: waiting for commits. `own`: the
    rest of the agent's running time. `total`: from acceptance to the end.
    """

    queued: float = 0.0
    starting: float = 0.0
    llm: float = 0.0
    llm_wait: float = 0.0
    tools: float = 0.0
    ledger: float = 0.0
    own: float = 0.0
    total: float = 0.0


class WaitingFor(Struct, frozen=True):
    type: str
    name: str
    id: str
    until: datetime | None = None


class Notice(Struct, frozen=True):
    code: str
    message: str
    retry_at: datetime | None = None


class Task(Struct, frozen=True, kw_only=True):
    """A task as every door shows it (CONTRACT section 3). `input`, `output` and `metadata` are JSON as it came."""

    id: str
    agent: str
    status: Status
    input: msgspec.Raw
    output: msgspec.Raw = msgspec.Raw(b"null")
    error: TaskError | None = None
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    priority: int = DEFAULT_PRIORITY
    tenant: str
    user: str | None = None
    conversation: str | None = None
    queue: str
    created_at: datetime
    run_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    waiting_for: WaitingFor | None = None
    notice: Notice | None = None
    usage: Usage = Usage()
    timing: Timing = Timing()
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    trace_id: str | None = None
    version: str | None = None
    parent: str | None = None  # the task that called this one

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


class NewTask(Struct, frozen=True, kw_only=True):
    """A validated request, ready to become a row. `input` and `metadata` are JSON bytes."""

    id: str
    tenant: str
    agent: str
    queue: str
    input: bytes
    priority: int = DEFAULT_PRIORITY
    user: str | None = None
    conversation: str | None = None
    delay_seconds: float = 0.0  # from acceptance, by the ledger's clock
    run_at: datetime | None = None  # wins over delay_seconds
    timeout_seconds: float | None = None  # None: the agent's
    expires_at: datetime | None = None
    metadata: bytes = b"{}"
    trace_id: str | None = None
    webhook_url: str | None = None
    idempotency_key: str | None = None
    idempotency_hash: bytes | None = None
    a2a: str | None = None  # what the A2A door keeps with it, as JSON


class Place(Struct, frozen=True):
    """All that the hot plane must know to queue a task: whose turn it is, and when.

    `agent` is what workers claim it by (see domain/pins.py): the agent's name, or AGENT@VERSION of a pinned task that has
    started. `seq` is the ledger's order of acceptance. `run_at_ms` is the wall time in milliseconds before which it may not be
    claimed (0: now).
    """

    id: str
    agent: str
    priority: int
    tenant: str
    seq: int
    run_at_ms: int = 0


class Started(Struct, frozen=True, kw_only=True):
    """A start that the ledger granted: everything that the executor needs. Never shown outside."""

    id: str
    attempt: int
    agent: str
    queue: str
    tenant: str
    user: str | None
    conversation: str | None
    priority: int
    seq: int
    input: bytes
    failures: int
    losses: int
    timeout_seconds: float | None
    expires_at: datetime | None
    created_at: datetime
    run_at: datetime
    started_at: datetime
    trace_id: str | None
    metadata: bytes
    timing: Timing
    usage: Usage
    takeover: bool = False  # from a worker that was declared dead: its attempt is lost
    wakes: int = 0  # how often something had come that it may wait for
    parent_id: str | None = None
    depth: int = 0
    claimed_as: str | None = None  # by which name, if not by the agent's: the agent is pinned

    def place(self, run_at_ms: int = 0) -> Place:
        """Where the task stands in the queue's order, due at that time (0: now)."""
        return Place(self.id, self.claimed_as or self.agent, self.priority, self.tenant, self.seq, run_at_ms)


def json_or_none(value: Any) -> bytes | None:
    """Encode for a nullable JSON column: None stays NULL."""
    return None if value is None else msgspec.json.encode(value)
