"""What the hot plane is asked and what it answers, as plain frozen data."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Place

Enqueued = Literal["ready", "delayed", "held", "cold"]
"""Where an announced task is now: in its line, waiting for its time, with a worker, or left in the ledger (cold)."""

BeatReply = Literal["same", "differs"]


class Lane(Struct, frozen=True):
    """A line whose tail lies in the ledger only, and the right to fetch the next piece of it for two seconds.

    `from_seq` is the first place that is not hot, `room` how many places are wanted, `token` the proof of the right.
    """

    agent: str
    priority: int
    tenant: str
    from_seq: int
    room: int = 0
    token: str = ""


class Claim(Struct, frozen=True):
    """The answer to a claim. `next_due_ms` is the wall time at which a claim may find more; None: only a wake-up tells."""

    task_ids: list[str]
    refill: list[Lane]
    next_due_ms: int | None


class Ack(Struct, frozen=True):
    """A worker is done with a task. `slot_seconds` is how long it held a slot; `again` queues it once more.

    `called` goes with a task that was parked: it is queued there instead if it was announced while the worker held it, as
    what came for it can reach the plane before this does.
    """

    task_id: str
    slot_seconds: float = 0.0
    again: Place | None = None
    called: Place | None = None


class Reconciled(Struct, frozen=True):
    """What a full comparison changed: ids put back into their lines, and ids noted as held by the worker."""

    requeued: list[str]
    restored: list[str]


class PlaneState(Struct, frozen=True):
    """What this server is (`run_id` changes when it restarts) and the epoch that its marker names, if there is one."""

    run_id: str
    marker_epoch: int | None


class Numbered(Struct, frozen=True):
    """Which events of a writer a call appends: its name, new with each process, and each one's order among all of its.

    Orders start at 1 and rise; a writer has one call under way at a time and repeats it, or goes on behind it.
    """

    writer: str
    orders: list[int]


class StreamPage(Struct, frozen=True):
    """A piece of a task's stream, in order. `starts_at_beginning`: the stream still has its first event."""

    events: Sequence[StreamEvent]
    starts_at_beginning: bool
