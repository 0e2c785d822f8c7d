"""The agents of the tests under faults: those of the system tests, and what they lack."""

import asyncio

from dayshift import Context, agent
from tests.system.agents import echo, fails_twice, plain_slow, says_its_turn, slow, witness

__all__ = ["echo", "fails_twice", "lasts", "plain_slow", "says_its_turn", "slow"]


@agent(name="lasts", timeout=120)
async def lasts(ctx: Context, seconds: float) -> int:
    """The first attempt lasts so long, any later one a moment. Leaves what became of each."""
    witness(f"{ctx.task_id} {ctx.attempt} entered")
    try:
        await asyncio.sleep(seconds if ctx.attempt == 1 else 0.2)
    except asyncio.CancelledError:
        witness(f"{ctx.task_id} {ctx.attempt} stopped")
        raise
    witness(f"{ctx.task_id} {ctx.attempt} done")
    return ctx.attempt
