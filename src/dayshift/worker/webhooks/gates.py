"""Who may be called now: one gate a receiver, so that a slow or dead one takes no slots from the others.

    closed ──3 tries in a row failed──▶ open for 30 s ──▶ one try is let through ──it failed──▶ open, twice as long, at most 15 min
                                                              └──it went well──▶ closed

In all 128 tries are under way at once, and to one receiver as many as it has shown that it can take: 2 at first, one more for each that
went well, up to 16, and one after a failure. Whoever is not let in is told when to ask again: after the gate opens, or, behind a slow
receiver, when its turn comes if each try takes as long as those before. It is parked until then, and holds nothing; only behind a
quick receiver, when its turn comes within a second, it waits in memory.

Each worker process counts for itself: a fleet asks a dead receiver a few times more, and needs no agreement to leave it alone.
"""

from collections.abc import Callable

from msgspec import Struct

from dayshift.domain import clock
from dayshift.domain.jitter import stretched

MOST = 128
MOST_A_RECEIVER = 16
FIRST_A_RECEIVER = 2
FAILURES_TO_OPEN = 3
OPEN_SECONDS = 30.0
LONGEST_OPEN_SECONDS = 900.0
SOONEST_SECONDS = 0.02
FIRST_GUESS_SECONDS = 0.1
SPREAD = 0.5
MOST_GATES = 5_000


class NotNow(Struct, frozen=True):
    """Ask again in so many seconds. `is_broken`: since the receiver keeps failing, and not just for others before."""

    seconds: float
    is_broken: bool


class Gate:
    """Of one receiver."""

    def __init__(self) -> None:
        self.under_way = 0
        self.window = FIRST_A_RECEIVER
        self.failures = 0
        self.open_seconds = 0.0
        self.open_until_mono = 0.0
        self.line_until_mono = 0.0
        self.usual_seconds = FIRST_GUESS_SECONDS

    @property
    def is_broken(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN


class Gates:
    """Those of one process."""

    def __init__(self, *, now_mono: Callable[[], float] = clock.monotonic_seconds) -> None:
        self._now_mono = now_mono
        self._gates: dict[str, Gate] = {}
        self._under_way = 0

    def enter(self, receiver: str) -> NotNow | None:
        """None: go on, and `leave` afterwards."""
        gate = self._gate(receiver)
        now = self._now_mono()
        if gate.open_until_mono > now:
            return _later(gate.open_until_mono - now, is_broken=True)
        if gate.is_broken and gate.under_way:
            return _later(max(gate.open_seconds, OPEN_SECONDS), is_broken=True)
        if gate.under_way >= gate.window or self._under_way >= MOST:
            gate.line_until_mono = max(gate.line_until_mono, now) + gate.usual_seconds / gate.window
            return _later(min(gate.line_until_mono - now, LONGEST_OPEN_SECONDS), is_broken=False)
        gate.under_way += 1
        self._under_way += 1
        return None

    def leave(self, receiver: str, *, went_well: bool | None, seconds: float) -> bool:
        """Tell how the try went (None: it was given up); answers whether the receiver has just come back."""
        gate = self._gates[receiver]
        gate.under_way -= 1
        self._under_way -= 1
        gate.usual_seconds += (seconds - gate.usual_seconds) / 4
        if went_well is None:
            return False
        if went_well:
            was_broken = gate.is_broken
            gate.failures, gate.open_seconds, gate.open_until_mono = 0, 0.0, 0.0
            gate.window = min(gate.window + 1, MOST_A_RECEIVER)
            return was_broken
        gate.failures += 1
        gate.window = 1
        if gate.is_broken and gate.open_until_mono <= self._now_mono():
            gate.open_seconds = min(max(gate.open_seconds * 2, OPEN_SECONDS), LONGEST_OPEN_SECONDS)
            gate.open_until_mono = self._now_mono() + gate.open_seconds
        return False

    def _gate(self, receiver: str) -> Gate:
        gate = self._gates.get(receiver)
        if gate is None:
            if len(self._gates) >= MOST_GATES:
                self._forget_idle()
            gate = self._gates[receiver] = Gate()
        return gate

    def _forget_idle(self) -> None:
        self._gates = {name: gate for name, gate in self._gates.items() if gate.under_way or gate.failures}
        if len(self._gates) >= MOST_GATES:
            self._gates = {name: gate for name, gate in self._gates.items() if gate.under_way}


def _later(seconds: float, *, is_broken: bool) -> NotNow:
    return NotNow(stretched(max(seconds, SOONEST_SECONDS), SPREAD), is_broken)
