"""An effect: one thing that an agent did and that must not be done twice. All effects of a task are its journal.

    (nothing) ──begin──▶ started ──end──▶ done | failed
        │                   └─ its attempt died in between ──▶ unknown ──a person or a policy settles it──▶ done | (nothing)
        └────────── record ──────────────▶ done | failed

Only what must never be done blindly twice is written down as `started`; everything else is recorded with its outcome.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

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
