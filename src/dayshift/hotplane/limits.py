"""What a provider lets us use, shared by all workers: reserved before a call, settled after it, waited for in turn.

The states of a reservation stand in `scripts/_limit_held.lua`, the pace and what corrects it in `_limit_accounts.lua`, who comes
next in `_limit_line.lua`. Why it is right:

- Each script is one atomic step by the plane's clock, so no two workers see the same balance.
- A *line* is all calls that compete for the same accounts: a provider, or one model of it that has limits of its own. An *account* is
  one credential of a line. A worker may ask for any of a pool of credentials; heads bound to different ones pass each other.
- A worker asks for the calls at the front of its own line, in order. What cannot start now registers the first of them as the worker's
  head, with the time at which it may start; the worker sets a timer, and is told by push when that becomes sooner.
  A push that is lost makes it late, never wrong: at the time that it was told it asks all the same.
- A worker that dies leaves: a head (skipped a second after its time), grants that it never heard of (back after a second), reservations
  under way (lapse when they are not renewed). A worker that was only frozen finds its records, and settles them truly.
- Grants are made up to a horizon ahead, at the very moment that the bucket will hold enough: no timer's lateness is lost capacity.

These keys belong to no epoch: what the provider counted stays counted, whatever happens to our queue. Lost with the plane,
a bucket starts empty.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from dayshift.domain.provider_settings import ProviderLimits
from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.state import State

HORIZON_MS: Final = 20.0
FAR_HORIZON_MS: Final = 60.0
BURST_SHARE: Final = 0.015
ALIVE_MS: Final = 15_000

_ANSWERS: Final[dict[bytes, Literal["granted", "busy", "waits", "waits_for_a_place"]]] = {
    b"g": "granted",
    b"b": "busy",
    b"w": "waits",
    b"p": "waits_for_a_place",
}
_PARTS = 4


class LimitPlace(Struct, frozen=True):
    """Where a worker's calls stand: in which line, under the name of which head, and what they may use as far as it knows."""

    line: str
    head: str
    worker: str
    credentials: tuple[str, ...]
    limits: ProviderLimits


class LimitCall(Struct, frozen=True):
    """A call that wants to start: what it will use, by our estimate, and what its turn depends on.

    `first_output_tokens`: what a provider that looks at the call's own bound counts of its output when it comes in. `is_in_hand`: the
    call has yet to come; granted only while there is plenty, else `busy`.
    """

    id: str
    tenant: str
    weight: float
    priority: int
    waited_ms: float
    longest_wait_ms: float | None
    input_tokens: int
    output_tokens: int
    first_output_tokens: int = 0
    is_in_hand: bool = False


class LimitAnswer(Struct, frozen=True):
    """`granted`: may start in `wait_ms` by that credential. `busy`: would have to wait so long. `waits`: ask again in so long.
    `waits_for_a_place` among the concurrent calls: the same, but it is pushed when there is one.

    `virtual` is what its tenant has had, in the line's virtual time; None where nobody competes.
    """

    kind: Literal["granted", "busy", "waits", "waits_for_a_place"]
    credential: str | None
    wait_ms: float
    virtual: float | None


class LimitTelling(Struct, frozen=True):
    """One thing that became of a reservation, or that a provider said; its parts as `limit_tell.lua` takes them."""

    op: Literal["c", "s", "b", "f", "h"]
    name: str
    first: str | int | float = ""
    second: str | int | float = ""


class Limits:
    """Reserving, telling, leaving. No epoch: `PlaneAway` is the only trouble."""

    _state: State
    limit_clock_ms: float | Literal[""] = ""
    """For tests: the time that it is; else the server's clock is right."""

    async def limit_reserve(self, place: LimitPlace, calls: Sequence[LimitCall]) -> list[LimitAnswer]:
        """Reserve for calls in their order. The answers end with the first call that must wait; those behind it have none."""
        credentials = place.credentials
        flat: list[str | int | float] = [place.line, self.limit_clock_ms, place.head, place.worker]
        flat += (_shape(place.limits), HORIZON_MS, FAR_HORIZON_MS, len(credentials), *credentials)
        for call in calls:
            flat += (call.id, call.tenant, call.weight, call.priority, call.waited_ms)
            flat.append(-1 if call.longest_wait_ms is None else call.longest_wait_ms)
            flat += (call.input_tokens, call.output_tokens, call.first_output_tokens, int(call.is_in_hand))
        reply = await self._limit("limit_reserve", flat)
        return [
            LimitAnswer(
                _ANSWERS[reply[at]],
                credentials[reply[at + 1] - 1] if reply[at + 1] else None,
                reply[at + 2] / 1000,
                float(reply[at + 3]) if reply[at + 3] else None,
            )
            for at in range(0, len(reply), _PARTS)
        ]

    async def limit_tell(self, line: str, tellings: Sequence[LimitTelling]) -> int:
        """Say what became of reservations; may be repeated. Answers how many of them were known."""
        flat: list[str | int | float] = [line, self.limit_clock_ms]
        for telling in tellings:
            flat += (telling.op, telling.name, telling.first, telling.second)
        return int(await self._limit("limit_tell", flat))

    async def limit_leave(self, line: str, head: str) -> bool:
        """Nobody of this worker waits in the line any more."""
        return bool(await self._limit("limit_leave", [line, self.limit_clock_ms, head]))

    async def limit_beat(self, worker: str, alive_ms: int = ALIVE_MS) -> int:
        """Say that this worker's limiter is alive (0: that it leaves); answers how many are."""
        return int(await self._limit("limit_beat", [worker, alive_ms]))

    async def _limit(self, script: str, arguments: Sequence[str | int | float]) -> Any:
        texts = [repr(argument) if isinstance(argument, float) else argument for argument in arguments]
        return await self._state.wire.run(SCRIPTS[script], [keys.LIMIT], texts)


def line_of(provider: str, model: str | None) -> str:
    """The name of the line of a provider, or of one model of it that has limits of its own."""
    return keys.escaped(provider) if model is None else f"{keys.escaped(provider)}/{keys.escaped(model)}"


def is_larger_than_a_bucket(limits: ProviderLimits, input_tokens: int, output_tokens: int) -> bool:
    """Whether a call can start only when a bucket is full, and is granted further ahead (`FAR_HORIZON_MS`) for that."""
    most = BURST_SHARE * limits.window / 60
    amounts = (
        (limits.tokens_per_minute, input_tokens + output_tokens),
        (limits.input_tokens_per_minute, input_tokens),
        (limits.output_tokens_per_minute, output_tokens),
    )
    return any(limit is not None and amount > max(1.0, most * limit) for limit, amount in amounts)


def _shape(limits: ProviderLimits) -> str:
    per_minute = (
        limits.requests_per_minute,
        limits.tokens_per_minute,
        limits.input_tokens_per_minute,
        limits.output_tokens_per_minute,
        limits.concurrent,
    )
    return " ".join([*(str(number or 0) for number in per_minute), repr(limits.window)])
