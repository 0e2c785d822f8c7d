"""Refill: the cold tail of a lane comes back into the hot plane, page by page.

A claim names lanes that run low, and gives one worker the right to fetch each for two seconds. A refill that fails is
given out again: nothing here has to be repeated.
"""

from dayshift.domain.errors import DependencyAway
from dayshift.domain.events import Fault
from dayshift.hotplane import Lane, Plane
from dayshift.ledger import Ledger
from dayshift.telemetry import emit

PAGE = 1_000


class Refill:
    """Carries places from the ledger to the plane."""

    def __init__(self, ledger: Ledger, plane: Plane) -> None:
        self._ledger = ledger
        self._plane = plane

    async def refill(self, lane: Lane) -> None:
        """Load the lane's next page from the ledger (`Claim.refill` names the lanes). Never raises DependencyAway."""
        wanted = min(lane.room, PAGE) if lane.room > 0 else PAGE
        try:
            page = await self._ledger.tasks.lane_page(lane.agent, lane.priority, lane.tenant, lane.from_seq, wanted + 1)
            places, rest = page[:wanted], page[wanted:]
            await self._plane.refill(lane, places, rest[0].seq if rest else None)
        except DependencyAway as error:
            emit(Fault.of("tasks.refill", error))
