"""Waiting outside of tasks, where an agent is a function that somebody calls."""

import asyncio

from dayshift.domain import clock
from dayshift.domain.child import ChildEnd
from dayshift.domain.effect import Effect
from dayshift.domain.errors import WrongUse


class WaitingByHand:
    """A sleep sleeps, and nobody can send a signal."""

    def __init__(self) -> None:
        self.unparked: set[object] = set()

    async def until_due(self, wait: Effect) -> None:
        assert wait.due_at is not None, "who waits for a time says for how long"
        await asyncio.sleep(max(0.0, (wait.due_at - clock.now()).total_seconds()))

    async def until_provider(self, provider: str, seconds: float, message: str) -> None:  # noqa: ARG002 - nobody sees it here
        await asyncio.sleep(seconds)

    async def answer(self, wait: Effect) -> bytes | ChildEnd | None:
        raise WrongUse(
            f"ctx.wait_for({wait.name!r}): nobody can send a signal to a function called by hand; run it as a task"
        )
