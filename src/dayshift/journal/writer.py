"""Where an attempt's journal writes to. It knows no more of the ledger than this, so an author's code loads no database driver."""

from typing import Protocol

from dayshift.domain.effect import Effect


class Writer(Protocol):
    """Commits one effect; answers with the one that stands. Raises Superseded when nothing may be written any more.

    `handed_on`: the agent works with this result already, so it takes the place of another one.
    """

    async def write(self, effect: Effect, *, handed_on: bool = False) -> Effect: ...
