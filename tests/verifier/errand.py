"""What a client asks for, and what it does then: an *errand* is a task to come, an *act* is one thing done about it.

What an errand must come to follows from its own fields and from the acts on it (see oracle.py), never from what happens to
be faulty.
"""

from hashlib import sha256

import msgspec
from msgspec import Struct

from tests.verifier.score import Call, Score, child_of, moves_of

TENANTS = ("ada", "bob", "cyd")
BOBS_CONCURRENCY = 4  # bob's tasks run at most so many at once
CAPPED_CONCURRENCY = 3  # so do those of the agent `capped`
MAX_ATTEMPTS = 3  # of the agents; a task that fails so often is a dead letter
DOORS = 2  # the supervised gateways, and the lone one


class Errand(Struct, frozen=True, kw_only=True):
    """One task to come. Its label is its idempotency key, and what the witness knows it by.

    With a score it is a durable one: it performs that, and `steps` do not count. It fails before its move `fail_at`.
    """

    label: str
    agent: str = "steps"
    tenant: str = "ada"
    steps: int = 2
    step_ms: int = 50
    fails: int = 0  # so many of its attempts fail
    broken: bool = False  # every attempt fails, until a person mends it
    priority: int = 5
    conversation: str | None = None
    delay_seconds: float = 0.0
    score: Score | None = None
    fail_at: int = 0

    def body(self) -> dict[str, object]:
        """The request that submits it."""
        fields: dict[str, object] = {"agent": self.agent, "input": self.input(), "priority": self.priority}
        if self.conversation is not None:
            fields["conversation"] = self.conversation
        if self.delay_seconds:
            fields["delay"] = self.delay_seconds
        return fields

    def input(self) -> dict[str, object]:
        work = ("steps", "step_ms") if self.score is None else ("score", "fail_at")
        return {name: msgspec.to_builtins(getattr(self, name)) for name in ("label", *work, "fails", "broken")}

    def family(self) -> list["Errand"]:
        """It, and all that it calls, and all that those call."""
        calls = [move for move in moves_of(self.score or ()) if isinstance(move, Call)]
        return [self, *(errand for call in calls for errand in called_by(self, call).family())]


def called_by(parent: Errand, call: Call) -> Errand:
    """The errand that a move makes: of its parent's tenant and priority, and of no conversation."""
    return Errand(
        label=child_of(parent.label, call.id),
        agent=call.agent,
        tenant=parent.tenant,
        priority=parent.priority,
        fails=call.fails,
        broken=call.broken,
        score=call.score,
        fail_at=len(call.score) // 2,
    )


class Submit(Struct, frozen=True, tag=True):
    """Submit one by one, each after the answer for the one before; `repeats` times more with the same key, at both doors.

    `waits_seconds`: ask the answer to wait so long for the task's end (`Prefer: wait`).
    """

    labels: tuple[str, ...]
    repeats: int = 0
    waits_seconds: int = 0


class SubmitAtOnce(Struct, frozen=True, tag=True):
    """Submit all at the same moment, at both doors."""

    labels: tuple[str, ...]


class SubmitBatch(Struct, frozen=True, tag=True):
    labels: tuple[str, ...]


class Misuse(Struct, frozen=True, tag=True):
    """Submit another body with the same key: it must be refused."""

    label: str


class Cancel(Struct, frozen=True, tag=True):
    label: str
    after_seconds: float


class Follow(Struct, frozen=True, tag=True):
    """Read the event stream to its end; hang up after so many events each time, and resume at the other door."""

    label: str
    hang_up_after: int


class Await(Struct, frozen=True, tag=True):
    """Long-poll until it has ended."""

    label: str


class Replay(Struct, frozen=True, tag=True):
    """Wait for the dead letter, mend what broke it, and retry it."""

    label: str


class Signal(Struct, frozen=True, tag=True):
    """Send a signal, whether it is waited for or not; `repeats` times more, at both doors."""

    label: str
    name: str
    payload: str
    after_seconds: float
    repeats: int = 0


class Answer(Struct, frozen=True, tag=True):
    """Wait until the task waits for a signal of that name, and answer that wait; `repeats` times more, at both doors."""

    label: str
    name: str
    payload: str
    repeats: int = 0


Act = Submit | SubmitAtOnce | SubmitBatch | Misuse | Cancel | Follow | Await | Replay | Signal | Answer


class Program(Struct, frozen=True, kw_only=True):
    number: int
    at_seconds: float
    door: int
    kind: str
    errands: tuple[Errand, ...]
    acts: tuple[Act, ...]


def result_of(label: str, steps: int) -> str:
    """What an errand must return: a chain over its steps, so that a step left out or done out of turn shows."""
    chain = label
    for step in range(steps):
        chain = sha256(f"{chain}:{step}".encode()).hexdigest()[:16]
    return chain
