"""When a task that is parked for a provider looks again by itself.

Whoever sees the breaker close wakes all who are parked. For it to close somebody has to try, each time that the breaker lets one through: a few
of those who are parked, whoever looks. To look means to be started, to be replayed, and to be parked again; so of many
each looks seldom, and together they look as often as a few would; one that is alone looks soon after the breaker may let it through.
"""

from dayshift.domain.errors import PlaneAway
from dayshift.domain.jitter import full_jitter
from dayshift.hotplane import Plane

LOOKS_AN_OPENING = 4
LONGEST_SECONDS = 600.0


class LookingAgain:
    """Goes by how many tasks of the fleet are parked for that provider."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def after_seconds(self, provider: str, *, soonest_seconds: float, open_seconds: float) -> float:
        """How long to wait: until it may be worth while, and some of the time in which the breaker opens as often as all are to look."""
        parked = max(await self._parked(provider), 1)
        spread_seconds = min(LONGEST_SECONDS, open_seconds * parked / LOOKS_AN_OPENING)
        return soonest_seconds + full_jitter(spread_seconds, spread_seconds, 1)

    async def _parked(self, provider: str) -> int:
        try:
            return await self._plane.count_parked(provider)
        except PlaneAway:
            return LOOKS_AN_OPENING  # how many there are is not known: as if they were a few
