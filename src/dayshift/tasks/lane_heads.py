"""The fronts of lanes: what the hot plane needs of each line, however many lines there are and however long they are.

Every lane is given its share, so that no tenant waits because others came first by name; behind it the lane is cold, and
refills bring the rest as it is worked off. All is read in bounded pieces: no statement grows with the number of lanes.
"""

from collections.abc import AsyncIterator, Sequence

from msgspec import Struct

from dayshift.domain.task import Place
from dayshift.hotplane import Lane
from dayshift.ledger import LaneName, Ledger

LANES_A_PAGE = 2_000
_PLACES_A_PIECE = 2_000


class LaneHeads(Struct, frozen=True):
    """The first places of some lanes, and which of these lanes go on behind them in the ledger."""

    places: list[Place]
    cold: list[Lane]


def fair_share(lanes: int, *, a_lane: int, in_all: int) -> int:
    """How many places each of so many lanes may have: at least one, whatever that makes in all."""
    return max(1, min(a_lane, in_all // max(1, lanes)))


async def all_lanes(ledger: Ledger) -> list[LaneName]:
    """Every lane that a queued task stands in."""
    lanes: list[LaneName] = []
    while True:
        page = await ledger.tasks.lanes_after(lanes[-1] if lanes else None, LANES_A_PAGE)
        lanes += page
        if len(page) < LANES_A_PAGE:
            return lanes


async def heads_of(ledger: Ledger, lanes: Sequence[LaneName], share: int) -> AsyncIterator[LaneHeads]:
    """The first `share` places of each lane, some lanes at a time."""
    lanes_a_piece = max(1, _PLACES_A_PIECE // (share + 1))
    for start in range(0, len(lanes), lanes_a_piece):
        found = await ledger.tasks.heads_of_lanes(lanes[start : start + lanes_a_piece], share + 1)
        yield cut(found, share)


def cut(places: Sequence[Place], share: int) -> LaneHeads:
    """Of places in lane order, each lane's first `share`; the first one too many says from where its lane is cold."""
    kept: list[Place] = []
    cold: list[Lane] = []
    taken: dict[LaneName, int] = {}
    for place in places:
        name = (place.agent, place.priority, place.tenant)
        taken[name] = taken.get(name, 0) + 1
        if taken[name] <= share:
            kept.append(place)
        elif taken[name] == share + 1:
            cold.append(Lane(place.agent, place.priority, place.tenant, from_seq=place.seq))
    return LaneHeads(kept, cold)
