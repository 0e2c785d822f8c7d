"""Who asks, and what has become of it so far."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import Struct

from dayshift.domain.budget import Spender
from dayshift.llm.exchange import Incoming
from dayshift.llm.verdicts import Verdict

WaitForProvider: TypeAlias = Callable[[str, float, str], Awaitable[None]]
"""Wait so many seconds for a provider, with a notice. May never return: then the task is parked, and asks again when it goes on."""


class Caller(Struct, frozen=True, kw_only=True):
    """The attempt that asks. `deadline_mono`: when it must have ended. `is_approved`: a person lets it spend beyond its budgets."""

    task_id: str
    agent: str
    tenant: str
    user: str | None
    conversation: str | None
    priority: int
    deadline_mono: float
    spender: Spender
    is_approved: bool = False
    wait_for_provider: WaitForProvider


class Story:
    """What was tried for one call. Told to the caller in the answer's headers, and in the error if there is none."""

    def __init__(self, broken_at: tuple[str, ...] = ()) -> None:
        self.broken_at = broken_at
        self.attempts = 0
        self._asked: set[str] = set()
        self.refusals = 0
        self.waited_seconds = 0.0
        self.last: Incoming | None = None
        self.reasons: dict[str, str] = {}
        self.again_seconds: float | None = None
        self.told_seconds: float | None = None

    def asks(self, target: str) -> bool:
        """Note that a target is asked; whether for the first time."""
        is_first = target not in self._asked
        self._asked.add(target)
        return is_first

    def tried(self, target: str, incoming: Incoming | None, verdict: Verdict) -> None:
        """A target was asked, and its answer is no good."""
        self.last = incoming
        self.told_seconds = verdict.retry_after_seconds
        self.passed_over(target, verdict.reason, verdict.retry_after_seconds)

    def passed_over(self, target: str, reason: str, after_seconds: float | None) -> None:
        """A target was not asked, or not with success; it may be well again after that time."""
        self.reasons[target] = reason
        if after_seconds is not None:
            self.again_seconds = min(after_seconds, self.again_seconds or after_seconds)

    @property
    def text(self) -> str:
        """Every target with what was wrong with it."""
        return "; ".join(f"{target}: {reason}" for target, reason in self.reasons.items())
