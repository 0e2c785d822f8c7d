"""`dayshift.Client` against gateways that are killed while it reads."""

import asyncio
import os
import signal
from itertools import pairwise

import psutil
import pytest

import dayshift
from dayshift.domain.errors import DayshiftError, NotFound
from tests.system.house import House

pytestmark = pytest.mark.system

NUMBERS = 40
READERS = 300


def gateways(house: House) -> list[int]:
    """Their pids."""
    assert house.process is not None
    below = psutil.Process(house.process.pid).children(recursive=True)
    return [process.pid for process in below if process.is_running() and "gateway" in process.cmdline()]


async def test_a_reader_sees_every_event_once_although_gateways_are_killed(house: House) -> None:
    await house.serve(gateways=2, workers=1)
    key = house.http.headers["authorization"].removeprefix("Bearer ")
    async with dayshift.Client(str(house.http.base_url), key) as client:
        task = await client.submit("counts", NUMBERS, metadata={"of": "tests"})
        numbers, ids, kills = [], [], 0
        async for event in client.stream(task):
            ids.append(event.id)
            if event.type == "agent.event":
                numbers.append(event.data["number"])
                if event.data["number"] in (10, 25):
                    for pid in gateways(house):
                        os.kill(pid, signal.SIGKILL)
                        kills += 1
                if event.data["number"] == NUMBERS - 2:
                    await client.signal(task, "go-on", {"word": "please"})
        assert kills >= 3
        assert numbers == list(range(NUMBERS))
        assert all(one < other for one, other in pairwise(ids))
        assert await client.result(task) == NUMBERS
        assert [(each.id, each.metadata) async for each in client.tasks(agent="counts")] == [(task.id, {"of": "tests"})]

        other = await client.submit("slow", 60)
        await client.cancel(other)
        with pytest.raises(dayshift.TaskFailed, match="was cancelled"):
            await client.result(other, timeout_seconds=30)
        with pytest.raises(NotFound):
            await client.get("task_0192f0c4-0000-7000-8000-000000000000")
        async with dayshift.Client(str(house.http.base_url), "dsk_wrong") as stranger:
            with pytest.raises(DayshiftError, match="does not know this API key"):
                await stranger.get(task)


async def test_hundreds_of_readers_see_every_event_once_although_their_gateway_is_killed(house: House) -> None:
    await house.serve(gateways=2, workers=1, slots=READERS)
    key = house.http.headers["authorization"].removeprefix("Bearer ")
    async with dayshift.Client(str(house.http.base_url), key) as client:
        ids = await house.submit_many([{"agent": "counts", "input": {"to": NUMBERS}}] * READERS)
        half_way = asyncio.Semaphore(0)

        async def read(task_id: str) -> tuple[list[int], list[int]]:
            numbers, events = [], []
            async for event in client.stream(task_id):
                events.append(event.id)
                if event.type == "agent.event":
                    numbers.append(event.data["number"])
                    if len(numbers) == NUMBERS // 2:
                        half_way.release()
                if event.type == "task.waiting":
                    await client.signal(task_id, "go-on", {"word": "please"})
            return numbers, events

        reading = [asyncio.create_task(read(task_id)) for task_id in ids]
        for _ in range(READERS // 4):
            await half_way.acquire()
        for pid in gateways(house):
            os.kill(pid, signal.SIGKILL)
        for numbers, events in await asyncio.gather(*reading):
            assert numbers == list(range(NUMBERS))
            assert all(one < other for one, other in pairwise(events))
