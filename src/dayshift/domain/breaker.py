"""A breaker: stops asking what keeps failing, and finds out with one call at a time whether it is well again.

    closed ──at least `min_calls` in the window, and `error_ratio` of them failed──▶ open
    open ──`open_seconds` have passed──▶ half-open: one call is let through as a probe
    half-open ──the probe went well──▶ closed, with an empty window
              ──it failed──▶ open, from then on
              ──nothing was heard of it for `open_seconds`, or it was given up──▶ the next call is the probe

Whoever wants to call asks `admit` first, and tells by `settle` how it went. A call that began before the breaker opened says
nothing about now: its result is not counted. Of one process, and used from several threads.
"""

import threading
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from dayshift.domain import clock

SLICES = 10  # of a window: so coarse is what is forgotten at a time


class BreakerRule(Struct, frozen=True, kw_only=True):
    """When to open, and for how long."""

    error_ratio: float = 0.5
    window_seconds: float = 60.0
    min_calls: int = 10
    open_seconds: float = 30.0


class Refusal(Struct, frozen=True):
    """The breaker is open: nothing is called before so many seconds have passed."""

    after_seconds: float


class Admission(Struct, frozen=True):
    """A call may be made. `era` counts what the breaker has gone through, and so tells an old call from the probe."""

    era: int
    is_probe: bool


class _Slice(Struct):
    ends_mono: float
    calls: int = 0
    errors: int = 0


class Breaker:
    """`on_change` hears each new state: closed, open or half-open."""

    def __init__(
        self,
        rule: BreakerRule,
        *,
        on_change: Callable[[str], None] | None = None,
        now_mono: Callable[[], float] = clock.monotonic_seconds,
    ) -> None:
        self._rule = rule
        self._on_change = on_change or (lambda _state: None)
        self._now_mono = now_mono
        self._lock = threading.Lock()
        self._era = 0
        self._slices: deque[_Slice] = deque()
        self._opened_until_mono: float | None = None  # None: closed
        self._probe_until_mono: float | None = None  # until when a probe is waited for

    @property
    def is_closed(self) -> bool:
        return self._opened_until_mono is None

    def look(self) -> Refusal | None:
        """What `admit` would refuse, if it would; nothing changes."""
        with self._lock:
            return self._refusal()

    def open_for(self, seconds: float) -> None:
        """Open it on somebody else's word."""
        with self._lock:
            state = self._open(seconds)
        self._on_change(state)

    def admit(self) -> Admission | Refusal:
        """Ask to call."""
        with self._lock:
            refusal = self._refusal()
            if refusal is not None:
                return refusal
            if self._opened_until_mono is None:
                return Admission(self._era, is_probe=False)
            self._era += 1
            self._probe_until_mono = self._now_mono() + self._rule.open_seconds
            admission = Admission(self._era, is_probe=True)
        self._on_change("half-open")
        return admission

    def settle(self, admission: Admission, *, failed: bool | None) -> None:
        """Tell how the call went; None: it was given up, which says nothing."""
        with self._lock:
            if admission.era != self._era:
                return
            state = self._probed(failed) if admission.is_probe else self._count(failed)
        if state is not None:
            self._on_change(state)

    def _refusal(self) -> Refusal | None:
        if self._opened_until_mono is None:
            return None
        after_seconds = max(self._opened_until_mono, self._probe_until_mono or 0.0) - self._now_mono()
        return Refusal(after_seconds) if after_seconds > 0 else None

    def _probed(self, failed: bool | None) -> str | None:
        self._probe_until_mono = None
        if failed is None:
            return None
        if failed:
            return self._open(self._rule.open_seconds)
        self._era += 1
        self._opened_until_mono = None
        self._slices.clear()
        return "closed"

    def _count(self, failed: bool | None) -> str | None:
        if failed is None:
            return None
        now = self._now_mono()
        while self._slices and self._slices[0].ends_mono + self._rule.window_seconds <= now:
            self._slices.popleft()
        if not self._slices or self._slices[-1].ends_mono <= now:
            self._slices.append(_Slice(now + self._rule.window_seconds / SLICES))
        self._slices[-1].calls += 1
        self._slices[-1].errors += failed
        calls, errors = sum(one.calls for one in self._slices), sum(one.errors for one in self._slices)
        if failed and calls >= self._rule.min_calls and errors >= self._rule.error_ratio * calls:
            return self._open(self._rule.open_seconds)
        return None

    def _open(self, seconds: float) -> str:
        self._era += 1
        self._probe_until_mono = None
        self._opened_until_mono = self._now_mono() + seconds
        return "open"
