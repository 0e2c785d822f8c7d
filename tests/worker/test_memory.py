"""What attempts leave behind. The workers' collector looks for old cycles seldom, so there must be none of ours.

An error that an agent was handed lives in a cycle of its own with the frames that it came through, as Python has it.
"""

import asyncio
import gc

import pytest

from dayshift.worker.waits import SWEEP_SECONDS
from tests.worker.house import working


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        ("sleeps", {"seconds": 1.2}),
        ("calls_others", {"texts": ["a", "b"]}),
    ],
)
async def test_an_attempt_that_is_over_is_freed_without_the_collector_of_cycles(house, agent, given):
    async with working(house):
        await house.finished(await house.submit(agent, **given))
        await asyncio.sleep(SWEEP_SECONDS + 1)  # in which the last look at its waits comes
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await house.finished(await house.submit(agent, **given))
            await asyncio.sleep(SWEEP_SECONDS + 1)
            gc.collect()
            left = {
                type(found).__name__ for found in gc.garbage if type(found).__module__.startswith("dayshift.worker")
            }
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert left == set()
