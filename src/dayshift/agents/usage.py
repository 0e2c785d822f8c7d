"""Where an attempt's time went: in a provider's hands, waiting for its limit, waiting for commits, in tools and steps.

The four overlap: a step asks a model, a branch commits while another one is in a tool. Each moment is counted once, for the
first of the four that holds it in this order, so that together with the rest they make the attempt's running time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from dayshift.domain import clock

Interval = tuple[float, float]


class CallMeter:
    """Of one attempt. Used from the event loop and from threads: what is added is added at once."""

    __slots__ = ("_calls", "_commits", "_waits", "_work")

    def __init__(self) -> None:
        self._calls: list[Interval] = []
        self._waits: list[Interval] = []
        self._commits: list[Interval] = []
        self._work: list[Interval] = []

    def add(self, started_mono: float, ended_mono: float) -> None:
        """Count an LLM call."""
        self._calls.append((started_mono, ended_mono))

    def add_wait(self, started_mono: float, ended_mono: float) -> None:
        """Count the wait for a provider's limit."""
        self._waits.append((started_mono, ended_mono))

    def add_commit(self, started_mono: float, ended_mono: float) -> None:
        """Count the wait for an effect's commit."""
        self._commits.append((started_mono, ended_mono))

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count what is inside as a tool or a step."""
        started_mono = clock.monotonic_seconds()
        try:
            yield
        finally:
            self._work.append((started_mono, clock.monotonic_seconds()))

    @property
    def seconds(self) -> float:
        """The time in which at least one LLM call was under way: calls side by side are not counted twice."""
        return _covered(self._calls)

    @property
    def wait_seconds(self) -> float:
        """The time in which a limit was waited for and no call was under way."""
        return _covered(self._calls + self._waits) - self.seconds

    @property
    def ledger_seconds(self) -> float:
        """The time in which a commit was waited for, and none of those before."""
        return _covered(self._calls + self._waits + self._commits) - self.seconds - self.wait_seconds

    @property
    def tools_seconds(self) -> float:
        """The time in a tool or a step, and in none of the others."""
        all_of_them = _covered(self._calls + self._waits + self._commits + self._work)
        return all_of_them - self.seconds - self.wait_seconds - self.ledger_seconds


def _covered(intervals: list[Interval]) -> float:
    """How much time at least one of them covers."""
    total, covered_until = 0.0, 0.0
    for started, ended in sorted(intervals):
        total += max(0.0, ended - max(started, covered_until))
        covered_until = max(covered_until, ended)
    return total
