"""Breakers that all workers share: what a provider and model have come to of late, and who may try it.

    closed ──of at least `min_calls` calls in the window, `error_ratio` failed──▶ open
           ──of at least `min_calls` calls in its last part, however short, nearly all failed──▶ open
    open ──its time is over, and somebody asks──▶ probing: that one may call, under a token
    probing ──well──▶ ramp: 2 calls in the first second, 6 in the next, 18, 54, 162 ──5 s──▶ closed
            ──failed──▶ open again, for longer each time: 1.5 times, at most 2 times the rule's
            ──told nothing, or its worker died (5 s unrenewed)──▶ open, and due: the next who asks is the probe
    ramp ──of at least 3 calls, `error_ratio` failed──▶ open, likewise for longer

**Soon enough.** After a good minute of 100 calls a second an outage would have to last for half a minute, and 3,000 calls, before
half of the window had failed. So the last part of the window counts alone as well, from the beginning of each of its twenty slices
on; as little is a weak proof, halfway from `error_ratio` to all must have failed there.

**One probe for the fleet.** The token is written by the script that looks whether there is one, so of two workers that ask at
once one gets it. Its worker renews it once a second, however long the call takes: a provider that hangs is probed by one call until
that times out. Who dies with a probe renews nothing, so it is free after 5 s. A probe that told nothing (a 4xx, a cancelled call)
is free at once, but the next begins a second after it at the earliest.

**Old news.** Each opening and each ramp begins an *era*, numbered by the plane's clock in microseconds, so that numbers rise even
after everything was lost. A call carries the era in which it began, and is counted in that one only: what was sent before the
breaker opened says nothing about now. A ramp and the closed state after it are one era, since their calls are equally new.

**Everybody knows.** Each change is pushed; a message may be lost, so workers look once a second as well. A message and a
reply travel on different connections and may overtake each other: the higher era is the newer word.

**Loss.** Breakers belong to no epoch: they speak of the world outside, not of the queue. One that is lost is closed, which at worst
costs the fleet `min_calls` failures until it opens again. That costs less than a rebuild would, and there is nothing to rebuild from.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, cast

from msgspec import Struct

from dayshift.domain.provider_settings import BreakerSettings
from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.state import State

BreakerState: TypeAlias = Literal["closed", "open", "probing", "ramp"]
BreakerWord: TypeAlias = Literal["go", "probe", "wait"]
ProbeOutcome: TypeAlias = Literal["well", "failed", "nothing"]

_FIELDS = 3


class BreakerName(Struct, frozen=True):
    """What breaks together."""

    provider: str
    model: str


class BreakerSeen(Struct, frozen=True):
    """A breaker as the plane had it. `after_seconds`: when it is worth while to ask; 0 is now."""

    state: BreakerState
    era: int
    after_seconds: float


class BreakerReport(Struct, frozen=True):
    """How so many calls of one era went."""

    name: BreakerName
    era: int
    calls: int
    failures: int
    rule: BreakerSettings


class Breakers:
    """Every call may be repeated when its answer was lost. `now_us` is the plane's clock unless a test says another."""

    _state: State

    async def report_calls(self, reports: Sequence[BreakerReport], *, now_us: int = 0) -> list[BreakerSeen]:
        """Count calls; an opening may come of it. Repeated, calls count twice, which opens a breaker sooner and not wrongly."""
        flat: list[str | int] = [now_us]
        for report in reports:
            flat += (_key_name(report.name), report.era, report.calls, report.failures, *_rule(report.rule))
        return _seen_of(await self._state.wire.run(SCRIPTS["breaker_report"], [keys.PREFIX], flat))

    async def ask_permit(self, name: BreakerName, token: str, *, now_us: int = 0) -> tuple[BreakerWord, BreakerSeen]:
        """Ask to call what may be open; `probe` is to be settled by `tell_probe` under the same token."""
        arguments = (now_us, _key_name(name), token)
        word, *seen = await self._state.wire.run(SCRIPTS["breaker_permit"], [keys.PREFIX], arguments)
        return cast("BreakerWord", word.decode()), _seen(*seen)

    async def tell_probe(
        self, name: BreakerName, token: str, outcome: ProbeOutcome, rule: BreakerSettings, *, now_us: int = 0
    ) -> BreakerSeen:
        """How a probe went."""
        arguments = (now_us, _key_name(name), token, outcome, *_rule(rule))
        return _seen(*await self._state.wire.run(SCRIPTS["breaker_probed"], [keys.PREFIX], arguments))

    async def look_at_breakers(self, names: Sequence[tuple[BreakerName, str]], *, now_us: int = 0) -> list[BreakerSeen]:
        """Look at each, and renew the probe of that token where there is one ('': none)."""
        flat: list[str | int] = [now_us]
        for name, token in names:
            flat += (_key_name(name), token)
        return _seen_of(await self._state.wire.run(SCRIPTS["breaker_look"], [keys.PREFIX], flat))


def breaker_pushed(payload: bytes) -> tuple[BreakerName, BreakerSeen]:
    """Read what was said on the channel BREAKERS."""
    name, *seen = payload.rsplit(b"|", _FIELDS)
    provider, _, model = name.decode().partition(":")
    return BreakerName(keys.unescaped(provider), keys.unescaped(model)), _seen(*seen)


def _key_name(name: BreakerName) -> str:
    return f"{keys.escaped(name.provider)}:{keys.escaped(name.model)}"


def _rule(rule: BreakerSettings) -> tuple[int | str, ...]:
    return _ms(rule.window), rule.min_calls, repr(rule.error_ratio), _ms(rule.open)


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 10)


def _seen_of(reply: Sequence[bytes]) -> list[BreakerSeen]:
    return [_seen(*reply[at : at + _FIELDS]) for at in range(0, len(reply), _FIELDS)]


def _seen(state: bytes, era: bytes, after_ms: bytes) -> BreakerSeen:
    return BreakerSeen(cast("BreakerState", state.decode()), int(era), int(after_ms) / 1000)
