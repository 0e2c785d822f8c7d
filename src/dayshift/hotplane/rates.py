"""How much tenants and users may still ask for: sliding windows that all gateways share.

A window of quota q lets q come at once, and yet at most q in any span of its length. A single theoretical arrival time (GCRA)
gives only one of the two: with a burst of q it lets nearly 2q into the first window, with a small burst no batch fits and a
day's quota cannot be used in an hour. So a window is counted in 120 slices, each of which counts until all of it is too old.
That holds a client that never stops to between 99 and 100 % of its quota.

The counts belong to no epoch: a plane that lost everything begins with full quotas.
"""

from collections.abc import Sequence

from msgspec import Struct

from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.state import State


class RateWindow(Struct, frozen=True, kw_only=True):
    """A quota of a tenant, or of one user of it, in a window of so many seconds."""

    name: str
    tenant: str
    user: str | None = None
    quota: int
    seconds: int


class RateLeft(Struct, frozen=True):
    """What a window has left, when it is empty again, and when the cost that was refused will fit."""

    left: int
    empty_in_ms: int
    fits_in_ms: int


class RateAnswer(Struct, frozen=True):
    """Whether the cost was taken from all windows, when by the plane's clock; and each window, in the order asked."""

    taken: bool
    at_ms: int
    windows: tuple[RateLeft, ...]


class Rates:
    """`rate_clock_ms` stands for the plane's clock when it is set."""

    _state: State
    rate_clock_ms: int = 0

    async def take_rates(self, asked: Sequence[tuple[RateWindow, int]]) -> RateAnswer:
        """Take its cost from each window, or nothing from any. Repeated, it takes again."""
        flat: list[str | int] = [self.rate_clock_ms]
        for window, cost in asked:
            flat += (_key(window), window.quota, window.seconds * 1_000, cost)
        taken, at_ms, *numbers = await self._state.wire.run(SCRIPTS["rate_take"], [keys.PREFIX], flat)
        threes = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        return RateAnswer(bool(taken), at_ms, tuple(RateLeft(*three) for three in threes))

    async def give_rates_back(self, taken_at_ms: int, costs: Sequence[tuple[RateWindow, int]]) -> None:
        """Undo a part or all of what was taken at that time. Repeated, it gives back again."""
        flat: list[str | int] = [taken_at_ms]
        for window, cost in costs:
            flat += (_key(window), window.seconds * 1_000, cost)
        await self._state.wire.run(SCRIPTS["rate_give_back"], [keys.PREFIX], flat)


def _key(window: RateWindow) -> str:
    who = keys.escaped(window.tenant)
    if window.user is not None:
        who += ":" + keys.escaped(window.user)
    return f"{window.seconds}:{who}"
