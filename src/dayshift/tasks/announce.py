"""Announcing again what the hot plane should hold and may not.

A place reaches the plane by a nudge behind a commit, and a nudge can be lost with its process. So maintenance announces
what has been ready for a while and is still queued. Announcing what the plane holds already changes nothing.

    young    ready for 2 to 60 s: every row is announced once as it passes that window, oldest first
    heads    the first rows of every lane, whatever their age: what the young pass missed (nobody was there to run it, or
             its turn in a conversation came long after its acceptance) moves on lane by lane, behind any backlog. Of very
             many lanes some thousand at a time, in turn: lanes that nobody works off must not stand before the others.
    delayed  due within ten minutes, in the order in which they become due
    waking   parked, and to wake within ten minutes, likewise
"""

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.task import Place
from dayshift.hotplane import Plane
from dayshift.ledger import LaneName, Ledger
from dayshift.tasks.lane_heads import fair_share, heads_of

YOUNGEST_SECONDS = 2.0
OLDEST_SECONDS = 60.0
SLICE_SECONDS = 1.0
OVERLAP_SECONDS = 1.0
ROWS_A_SLICE = 5_000
HEADS_A_LANE = 64
HEADS_IN_ALL = 4_000
LANES_A_TURN = 4_000
DELAYED_WITHIN_SECONDS = 600.0
DELAYED_PAGE = 1_000
DELAYED_IN_ALL = 20_000


class Announce:
    """Carries places from the ledger to the plane. All raise `LedgerAway` and `PlaneAway`, and may be repeated."""

    def __init__(self, ledger: Ledger, plane: Plane) -> None:
        self._ledger = ledger
        self._plane = plane
        self._young_at: float | None = None
        self._last_lane: LaneName | None = None

    async def young(self) -> int:
        """Announce what became old enough since the last time that this succeeded; all of the window the first time."""
        started_at = monotonic_seconds()
        since = OLDEST_SECONDS if self._young_at is None else started_at - self._young_at + OVERLAP_SECONDS
        announced = 0
        to_seconds = min(YOUNGEST_SECONDS + since, OLDEST_SECONDS)
        while to_seconds > YOUNGEST_SECONDS:
            from_seconds = max(to_seconds - SLICE_SECONDS, YOUNGEST_SECONDS)
            announced += await self._announce(
                await self._ledger.tasks.announceable(from_seconds, to_seconds, ROWS_A_SLICE)
            )
            to_seconds = from_seconds
        self._young_at = started_at
        return announced

    async def heads(self) -> int:
        """Announce the first ready rows of the lanes whose turn it is: of all, if there are not very many."""
        lanes = await self._ledger.tasks.lanes_after(self._last_lane, LANES_A_TURN)
        share = fair_share(len(lanes), a_lane=HEADS_A_LANE, in_all=HEADS_IN_ALL)
        announced = 0
        async for heads in heads_of(self._ledger, lanes, share):
            announced += await self._announce(heads.places)
        self._last_lane = lanes[-1] if len(lanes) == LANES_A_TURN else None
        return announced

    async def delayed(self, *, since_seconds: float = 0.0) -> int:
        """Announce what becomes due within ten minutes, and before that what became due since some seconds ago."""
        announced = 0
        last: Place | None = None
        while announced < DELAYED_IN_ALL:
            page = await self._ledger.tasks.delayed_page(
                DELAYED_WITHIN_SECONDS, DELAYED_PAGE, last, since_seconds=since_seconds
            )
            announced += await self._announce(page)
            if len(page) < DELAYED_PAGE:
                break
            last = page[-1]
        return announced + await self._waking()

    async def _waking(self) -> int:
        """A parked task that wakes at a time is to the plane a delayed one."""
        announced = 0
        last: Place | None = None
        while announced < DELAYED_IN_ALL:
            page = await self._ledger.waits.waking_page(DELAYED_WITHIN_SECONDS, DELAYED_PAGE, last)
            announced += await self._announce(page)
            if len(page) < DELAYED_PAGE:
                break
            last = page[-1]
        return announced

    async def _announce(self, places: list[Place]) -> int:
        if places:
            await self._plane.enqueue(places)
        return len(places)
