"""What this process knows of one breaker: as the fleet has it, or as a breaker of its own while the hot plane is away."""

import asyncio
from collections.abc import Callable
from weakref import WeakSet

from dayshift.domain import breaker
from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.events import BreakerChanged
from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import BreakerName, BreakerReport, BreakerSeen, BreakerState
from dayshift.telemetry import emit

SHOWN = {"closed": "closed", "open": "open", "probing": "half-open", "ramp": "half-open"}


class BreakerView:
    """`heard_at_mono` None: nothing is known yet. Belongs to the loop of its process, but for its counting and `refused_seconds`."""

    def __init__(self, name: BreakerName, rule: BreakerSettings, on_closed: Callable[[BreakerName], None]) -> None:
        self.name = name
        self.rule = rule
        self.era = 0
        self.heard_at_mono: float | None = None
        self.used_at_mono = monotonic_seconds()
        self.asking = asyncio.Lock()
        self.probe = ""
        self.alone: breaker.Breaker | None = None
        self.state: BreakerState = "closed"
        self._on_closed = on_closed
        self._shown = "closed"
        self._ask_at_mono = 0.0
        self._calls = 0
        self._failures = 0
        self._waiting: WeakSet[asyncio.Future[None]] = WeakSet()

    @property
    def is_closed(self) -> bool:
        return self._shown == "closed"

    @property
    def has_counted(self) -> bool:
        return self._calls > 0

    def refused_seconds(self) -> float | None:
        """For how long nothing is to be called; None: it is worth while to ask."""
        if self.alone is not None:
            refusal = self.alone.look()
            return None if refusal is None else refusal.after_seconds
        if self.state == "closed":
            return None
        left_seconds = self._ask_at_mono - monotonic_seconds()
        return left_seconds if left_seconds > 0 else None

    def hear(self, seen: BreakerSeen, *, asked_at_mono: float | None = None) -> None:
        """Take the fleet's word. A push (no time of asking) or a reply that a newer word has overtaken is of a lower era;
        so is the answer of a plane that was lost in between, but that was asked for later than all that was heard.
        """
        if self.alone is not None or (seen.era < self.era and not self._is_newer(asked_at_mono)):
            return
        if seen.era != self.era:
            self._calls = self._failures = 0
        self.heard_at_mono = monotonic_seconds()
        self.era, self.state = seen.era, seen.state
        self._ask_at_mono = self.heard_at_mono + seen.after_seconds
        self._show(SHOWN[seen.state], is_shared=True)

    def count(self, era: int, *, failed: bool) -> bool:
        """Count a call that was made in that era; whether it counts."""
        if era != self.era:
            return False
        self._calls += 1
        self._failures += failed
        return True

    def counted(self) -> BreakerReport:
        """What was counted since the last time."""
        report = BreakerReport(self.name, self.era, self._calls, self._failures, self.rule)
        self._calls = self._failures = 0
        return report

    def be_alone(self) -> None:
        """The plane is away: go on with a breaker of our own, from where the fleet's was."""
        if self.alone is not None:
            return
        rule = breaker.BreakerRule(
            error_ratio=self.rule.error_ratio,
            window_seconds=self.rule.window,
            min_calls=self.rule.min_calls,
            open_seconds=self.rule.open,
        )
        alone = breaker.Breaker(rule, on_change=lambda state: self._show(state, is_shared=False))
        refused_seconds = self.refused_seconds()
        if self.state != "closed":
            alone.open_for(refused_seconds or 0.0)
        self.alone, self.probe = alone, ""
        self._calls = self._failures = 0

    def be_of_the_fleet(self) -> None:
        """The plane is back: what it says is what holds, and it is heard next."""
        self.alone = None

    def opened(self) -> "asyncio.Future[None]":
        """Done when it opens; at once if it is open."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._shown == "open" and self.refused_seconds() is not None:
            future.set_result(None)
        else:
            self._waiting.add(future)
        return future

    def _is_newer(self, asked_at_mono: float | None) -> bool:
        return asked_at_mono is not None and asked_at_mono > (self.heard_at_mono or 0.0)

    def _show(self, state: str, *, is_shared: bool) -> None:
        if state == self._shown:
            return
        self._shown = state
        emit(BreakerChanged(provider=self.name.provider, model=self.name.model, state=state, is_shared=is_shared))
        if state == "open":
            waiting, self._waiting = self._waiting, WeakSet()
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        elif state == "closed":
            self._on_closed(self.name)
