"""How a script over state is called: with the epoch in front, and NOT_READY turned into a call for its owner."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from dayshift.domain.errors import PlaneNotReady
from dayshift.hotplane import keys
from dayshift.hotplane.connection import Wire
from dayshift.hotplane.scripts import SCRIPTS

CHECKED: Final = "checked"
REBUILDING: Final = "rebuilding"


class HotBound(Struct, frozen=True):
    """How much of a long backlog is kept in the plane.

    `agent_ready` bounds the ready tasks of an agent; each lane may hold `lane_floor` all the same. A lane with a cold
    tail asks for a refill below half of the floor, or below `low_water` while its agent has room.
    """

    agent_ready: int = 10_000
    lane_floor: int = 64
    low_water: int = 512
    page: int = 1_000


class State:
    """The scripts over one plane's state, called under one epoch."""

    def __init__(self, wire: Wire, bound: HotBound) -> None:
        self.wire = wire
        self.bound = bound
        self.epoch = 0
        self.on_not_ready: Callable[[], None] | None = None

    async def run(self, script: str, *arguments: str | int | bytes, rebuilding: bool = False) -> Any:
        """Run a script; `rebuilding` writes into an epoch whose marker is not there yet."""
        mode = REBUILDING if rebuilding else CHECKED
        bound = self.bound
        call = (self.epoch, mode, bound.agent_ready, bound.lane_floor, bound.low_water, bound.page)
        try:
            return await self.wire.run(SCRIPTS[script], [keys.MARKER], [*call, *arguments])
        except PlaneNotReady:
            if self.on_not_ready is not None:
                self.on_not_ready()
            raise
