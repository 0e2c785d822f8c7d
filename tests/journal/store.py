"""A ledger of one task, in memory."""

import asyncio

from dayshift.domain.effect import Effect
from dayshift.domain.errors import Superseded
from dayshift.journal import AttemptJournal


class Store:
    """A ledger of one task. `writes_left` effects are still written; then the attempt is cut off."""

    def __init__(self) -> None:
        self.effects: dict[tuple[bytes, int], Effect] = {}
        self.writes_left = 10_000
        self.strict = False

    async def write(self, effect: Effect, *, handed_on: bool = False, wait_seconds: float | None = None) -> Effect:
        if self.writes_left == 0:
            raise Superseded("cut off")
        self.writes_left -= 1
        await asyncio.sleep(0)
        place = effect.key, effect.occurrence
        standing = self.effects.get(place)
        assert standing is None or standing.id == effect.id, "a journal gives a place to one effect only"
        self.effects[place] = effect
        return effect

    def open(self, attempt: int) -> AttemptJournal:
        return AttemptJournal(
            self,
            task_id="task_1",
            attempt=attempt,
            effects=list(self.effects.values()),
            may_act=lambda: None,
            strict=self.strict,
        )
