"""A gateway that has enough at work refuses the next request at once; what only waits is not at work."""

import asyncio
from contextlib import asynccontextmanager

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def full(house):
    """Every place is taken by somebody else."""
    shedding = house.app.shedding
    kept = shedding.at_work
    shedding.at_work += 400
    try:
        yield
    finally:
        shedding.at_work -= 400
    assert shedding.at_work == kept


async def test_a_full_gateway_refuses_before_it_looks_at_the_key_and_stays_alive(house):
    async with full(house):
        stranger = await house.client(key="dsk_nobody").post("/v1/tasks", json={"agent": "echo"})
        assert stranger.status_code == 503
        assert stranger.json()["code"] == "overloaded"
        assert 1 <= float(stranger.json()["retry_after"]) <= 4
        assert (await house.client().get("/livez")).status_code == 200
        assert (await house.client().get("/metrics")).status_code == 200
    assert (await house.client(key="dsk_nobody").post("/v1/tasks", json={"agent": "echo"})).status_code == 401


async def test_waits_and_streams_are_not_at_work(house, http):
    task = (await http.post("/v1/tasks", json={"agent": "echo", "input": {"text": "hello"}})).json()
    polling = asyncio.create_task(http.get(f"/v1/tasks/{task['id']}", params={"wait": 30}))
    waiting = asyncio.create_task(
        http.post("/v1/tasks", json={"agent": "echo", "input": {"text": "two"}}, headers={"Prefer": "wait=30"})
    )
    async with http.stream("GET", f"/v1/tasks/{task['id']}/events") as stream:
        events = stream.aiter_lines()
        async for line in events:
            if line.startswith("event: task.queued"):
                break
        async with asyncio.timeout(10):
            while (
                len(house.services.waiters._awaited) < 2 or house.app.shedding.at_work
            ):  # until both wait, and only wait
                await asyncio.sleep(0.01)
    for pending in (polling, waiting):
        pending.cancel()
    await asyncio.gather(polling, waiting, return_exceptions=True)


async def test_refused_and_failed_requests_give_their_places_back(house, http):
    for _ in range(3):
        await http.post("/v1/tasks", json={"agent": "nobody", "input": {}})
        await http.post("/v1/tasks", content=b"{", headers={"content-type": "application/json"})
        await house.client(key="dsk_nobody").get("/v1/tasks")
        await http.get("/v1/tasks/task_nothing")
    assert house.app.shedding.at_work == 0
