"""Deploys without downtime."""

import asyncio
import signal
from collections import Counter

import pytest

from tests.system.house import House

pytestmark = pytest.mark.system


async def test_a_rolling_restart_under_load_fails_no_request_and_counts_nothing(house: House) -> None:
    await house.serve(gateways=1, workers=2, slots=50)
    before = {worker["pid"] for worker in await house.workers()}
    ids: list[str] = []
    rolled = asyncio.Event()

    async def load() -> None:
        number = 0
        while not rolled.is_set():
            task = await house.submit("slow", {"seconds": 0.3})
            ids.append(task["id"])
            number += 1
            await asyncio.sleep(0.02)

    async def roll() -> None:
        assert house.process is not None
        house.process.send_signal(signal.SIGHUP)

        async def replaced() -> bool:
            pids = {worker["pid"] for worker in await house.workers()}
            return len(pids) == 2 and not pids & before

        await house.until(replaced, "all workers replaced")
        rolled.set()

    await asyncio.gather(load(), roll())
    tasks = await house.all_ended(ids)
    assert len(tasks) > 20
    assert Counter(task["status"] for task in tasks) == {"succeeded": len(tasks)}
    assert all(task["failures"] == 0 and task["losses"] == 0 for task in tasks)
