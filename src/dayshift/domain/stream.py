"""What a task's callers see live: the events of its stream (CONTRACT section 3).

An event's number = max(last + 1, plane clock in microseconds): increasing, not dense, below 2**53.
"""

from typing import Any

from msgspec import Struct

QUEUED = "task.queued"
STARTED = "task.started"
WAITING = "task.waiting"
RETRYING = "task.retrying"
AGENT_EVENT = "agent.event"
LLM_DELTA = "llm.delta"
LLM_RESTARTED = "llm.restarted"
EFFECT_FINISHED = "effect.finished"
SNAPSHOT = "task.snapshot"
SUCCEEDED = "task.succeeded"
FAILED = "task.failed"
CANCELLED = "task.cancelled"

FINAL_EVENTS = frozenset({SUCCEEDED, FAILED, CANCELLED})


class StreamEvent(Struct, frozen=True):
    """One entry of a task's stream. `data` is a JSON object as bytes, with `task_id`, `attempt` and `at`."""

    number: int
    type: str
    data: bytes

    @property
    def is_final(self) -> bool:
        return self.type in FINAL_EVENTS


class Append(Struct, frozen=True):
    """A wish to append: refused by the plane when a higher attempt has already written to that stream."""

    task_id: str
    attempt: int
    type: str
    data: bytes


EventFields = dict[str, Any]
