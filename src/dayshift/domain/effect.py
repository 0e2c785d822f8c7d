"""An effect: one thing that an agent did and that must not be done twice. All effects of a task are its journal.

    (nothing) ──begin──▶ started ──end──▶ done | failed
        │                   └─ its attempt died in between ──▶ unknown ──a person or a policy settles it──▶ done | (nothing)
        └────────── record ──────────────▶ done | failed

Only what must never be done blindly twice is written down as `started`; everything else is recorded with its outcome.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from msgspec import Struct, field

from dayshift.domain.task import Usage

KEY_BYTES = 16


class EffectStatus(StrEnum):
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class EffectKind(StrEnum):
    """What was done. The kind is part of the key."""

    LLM = "llm"
    TOOL = "tool"
    STEP = "step"
    VALUE = "value"  # the time, a random number, a UUID
    SLEEP = "sleep"
    SIGNAL = "signal"
    CHILD = "child"
    EMIT = "emit"
    APPEND = "append"  # to the conversation's history


WAITS = frozenset({EffectKind.SLEEP, EffectKind.SIGNAL, EffectKind.CHILD})
"""What an attempt finds begun, and goes on to wait for."""


class CallUsage(Usage, frozen=True, kw_only=True):
    """What one LLM call consumed, and who was paid for it: what its effect keeps beyond what a task sums up.

    Cached, written and reasoning tokens are parts of the input and the output, and counted in them. `others` are tokens and
    services at prices of their own, by the name of the unit. `is_estimated`: the provider did not say, so texts were measured.
    `told_usd`: the provider named its price itself. `is_priced`: it was asked what this costs, and `cost_usd` or `unpriced_calls` says it.
    """

    provider: str = ""
    model: str = ""
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    others: dict[str, int] = field(default_factory=dict)
    service_tier: str | None = None
    is_estimated: bool = False
    told_usd: float | None = None
    is_priced: bool = False

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def parts_of_input(self) -> tuple[int, int, int]:
        """Read from the provider's cache, written to it, and the rest. Never more than there are, whatever a provider says."""
        cached = min(self.cached_tokens, self.input_tokens)
        written = min(self.cache_write_tokens, self.input_tokens - cached)
        return cached, written, self.input_tokens - cached - written


class Difference(Struct, frozen=True):
    """What an effect was done instead of: an older `effect` that looks like it, and the first part of the two that differs
    (None when the older one was only done less often).
    """

    effect: str
    part: str | None


class Effect(Struct, frozen=True, kw_only=True):
    """One row of the journal.

    `key` names what was done and where (16 bytes); `occurrence` counts equal ones in the order of their recording.
    `digests` are those of the parts of the content; `emits` names what the agent has told its stream since the effect
    before. `scope` says below which steps and tools, and in which branches, it was done; `differs` is there when it was
    not found although something like it was recorded. `result` is as `journal/` encodes it: the answer, or the error. `due_at` is
    when a wait is over without an answer. `preview` is the beginning of what was asked, where that is kept.
    """

    id: str
    task_id: str
    key: bytes
    occurrence: int
    attempt: int
    kind: str
    name: str
    status: EffectStatus
    started_at: datetime
    finished_at: datetime | None = None
    digests: bytes | None = None
    emits: bytes | None = None
    usage: Usage | None = None
    result: bytes | None = None
    replayed_by: int | None = None
    scope: str = ""
    differs: Difference | None = None
    due_at: datetime | None = None
    preview: str | None = None


class SeenEffect(Struct, frozen=True, kw_only=True):
    """What callers see of an effect; its result is the agent's own."""

    id: str
    kind: str
    name: str
    occurrence: int
    status: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    usage: Usage | None
    cost_usd: float
    replayed: bool

    @classmethod
    def of(cls, effect: Effect, **more: Any) -> Self:
        """`more`: what a view shows beyond this."""
        return cls(
            id=effect.id,
            kind=effect.kind,
            name=effect.name,
            occurrence=effect.occurrence,
            status=effect.status,
            attempt=effect.attempt,
            started_at=effect.started_at,
            finished_at=effect.finished_at,
            usage=effect.usage,
            cost_usd=0.0 if effect.usage is None else effect.usage.cost_usd,
            replayed=effect.replayed_by is not None,
            **more,
        )
