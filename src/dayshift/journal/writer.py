"""Where an attempt's journal writes to. It knows no more of the ledger than this, so an author's code loads no database driver."""

from datetime import timedelta
from typing import Protocol

import msgspec

from dayshift.domain import clock
from dayshift.domain.child import Child
from dayshift.domain.effect import Effect
from dayshift.domain.errors import WrongUse


class Writer(Protocol):
    """Commits one effect; answers with the one that stands. Raises Superseded when nothing may be written any more.

    `handed_on`: the agent works with this result already, so it takes the place of another one. `wait_seconds`: it is a wait
    that is over after so long; when that is by the ledger's clock stands in the answer.
    """

    async def write(self, effect: Effect, *, handed_on: bool = False, wait_seconds: float | None = None) -> Effect: ...

    async def spawn(self, effect: Effect, child: Child) -> Effect:
        """Commit an effect together with the task that it stands for, which bears its id."""


class Nowhere:
    """Takes what is written and forgets it, for code that runs outside of tasks."""

    async def write(
        self,
        effect: Effect,
        *,
        handed_on: bool = False,  # noqa: ARG002 - the protocol names it
        wait_seconds: float | None = None,
    ) -> Effect:
        if wait_seconds is None:
            return effect
        return msgspec.structs.replace(effect, due_at=clock.now() + timedelta(seconds=wait_seconds))

    async def spawn(self, effect: Effect, child: Child) -> Effect:
        raise WrongUse(f"agent {child.agent} cannot be called as a task of {effect.task_id}, which is none")
