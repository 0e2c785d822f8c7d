"""Processes are killed, and nothing is lost."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tests.system.house import House

pytestmark = pytest.mark.system


def witnessed(house: House) -> list[list[str]]:
    path = Path(house.environment["WITNESS"])
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def test_a_killed_worker_of_two_loses_none_of_200_running_tasks(house: House) -> None:
    await house.serve(workers=2, slots=120)
    ids = await house.submit_many([{"agent": "slow", "input": {"seconds": 3}}] * 200)

    async def all_run() -> bool:
        return len(witnessed(house)) == 200

    await house.until(all_run, "all running")
    [row] = await house.rows(
        "SELECT worker_id FROM tasks WHERE status = 'running' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    victim = next(worker for worker in await house.workers() if worker["id"] == f"worker_{row['worker_id']}")
    killed_at = time.time()
    os.kill(victim["pid"], signal.SIGKILL)
    tasks = await house.all_ended(ids)
    assert Counter(task["status"] for task in tasks) == {"succeeded": 200}
    assert sum(task["failures"] for task in tasks) == 0
    lost = [task for task in tasks if task["losses"]]
    assert lost
    assert all(task["losses"] == 1 and task["attempt"] == 2 and task["output"] == 2 for task in lost)
    again = [float(at) for _, attempt, at in witnessed(house) if attempt == "2"]
    assert len(again) == len(lost)
    assert max(again) - killed_at < 10, "a supervised death is noticed at once, not by a lease that runs out"
    [finishes] = await house.rows("SELECT count(*) n FROM tasks WHERE finished_at IS NOT NULL")
    assert finishes["n"] == 200


async def test_a_worker_that_had_lost_its_lease_is_missed_at_once_when_it_dies(house: House) -> None:
    """It lives on under a new id, and its supervisor must know that one."""
    await house.serve(workers=1, slots=20)
    [before] = await house.workers()
    await house.rows(
        "UPDATE workers SET released_at = clock_timestamp(), release_reason = 'a test', released_alive = true"
    )

    async def works_on() -> bool:
        return [worker["pid"] for worker in await house.workers() if worker["id"] != before["id"]] == [before["pid"]]

    await house.until(works_on, "known under a new id")
    ids = await house.submit_many([{"agent": "slow", "input": {"seconds": 3}}] * 20)
    await house.until(lambda: _are_entered(house, 20), "all running")
    killed_at = time.time()
    os.kill(before["pid"], signal.SIGKILL)
    tasks = await house.all_ended(ids)
    assert {(task["status"], task["attempt"], task["losses"]) for task in tasks} == {("succeeded", 2, 1)}
    again = [float(at) for _, attempt, at in witnessed(house) if attempt == "2"]
    assert max(again) - killed_at < 9, "a supervised death is noticed at once, not by a lease that runs out"


async def _are_entered(house: House, count: int) -> bool:
    return len(witnessed(house)) == count


async def test_a_killed_gateway_leaves_one_task_for_each_idempotency_key(house: House) -> None:
    await house.serve(gateways=1, workers=1)
    gateway = await _gateway_pid(house)

    async def submit(number: int) -> str:
        """As a careful client: the same key again until there is an answer."""
        while True:
            try:
                task = await house.submit("echo", f"{number}", headers={"Idempotency-Key": f"key-{number}"})
                return str(task["id"])
            except httpx2.TransportError:
                await asyncio.sleep(0.05)

    async def kill_soon() -> None:
        await asyncio.sleep(0.15)
        os.kill(gateway, signal.SIGKILL)

    results = await asyncio.gather(*(submit(number) for number in range(400)), kill_soon())
    ids = [task_id for task_id in results if task_id]
    tasks = await house.all_ended(ids)
    assert sorted(int(task["output"]) for task in tasks) == list(range(400))
    [row] = await house.rows("SELECT count(*) n FROM tasks")
    assert row["n"] == 400


async def test_sigterm_under_load_loses_and_counts_nothing(house: House) -> None:
    await house.serve(workers=2, slots=50)
    ids = await house.submit_many([{"agent": "slow", "input": {"seconds": 0.5}}] * 300)
    ids += await house.submit_many([{"agent": "slow", "input": {"seconds": 60}}] * 20)
    began = time.monotonic()
    assert await house.stop() == 0
    assert time.monotonic() - began < 45
    rows = await house.rows("SELECT status, failures, losses FROM tasks")
    assert len(rows) == 320
    assert all(row["failures"] == 0 and row["losses"] == 0 for row in rows)
    assert not [row for row in rows if row["status"] == "running"]
    await house.rows("UPDATE tasks SET input = convert_to('{\"seconds\": 0.1}', 'UTF8') WHERE status = 'queued'")
    await house.serve(workers=2, slots=200)
    tasks = await house.all_ended(ids)
    assert Counter(task["status"] for task in tasks) == {"succeeded": 320}


async def test_a_blocked_loop_keeps_its_lease_and_is_reported_with_its_stack(house: House) -> None:
    await house.serve(workers=1)
    task = await house.submit("blocks_the_loop", {"seconds": 13})
    ended = await house.ended(task["id"])
    assert (ended["status"], ended["attempt"], ended["losses"]) == ("succeeded", 1, 0)
    assert any("blocks_the_loop" in line and "time.sleep" in line for line in house.log().splitlines())


async def test_a_held_interpreter_may_lose_its_lease_but_not_its_neighbours(house: House) -> None:
    await house.serve(workers=2, slots=40)
    ids = await house.submit_many([{"agent": "slow", "input": {"seconds": 6}}] * 40)
    task = await house.submit("holds_the_interpreter", {"seconds": 25})
    neighbours = await house.all_ended(ids)
    assert Counter(row["status"] for row in neighbours) == {"succeeded": 40}
    ended = await house.ended(task["id"])
    assert ended["status"] == "succeeded"
    assert (ended["losses"], ended["output"]) == (1, 2)
    assert ended["failures"] == 0


async def test_an_agent_that_kills_its_worker_is_a_dead_letter_and_its_neighbours_finish(house: House) -> None:
    await house.serve(workers=2, slots=60)
    ids = await house.submit_many([{"agent": "slow", "input": {"seconds": 2}}] * 8)
    poison = await house.submit("kills_its_worker", {})
    tasks = await house.all_ended(ids)
    assert Counter(task["status"] for task in tasks) == {"succeeded": 8}
    assert all(task["failures"] == 0 for task in tasks)
    ended = await house.ended(poison["id"])
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "poison"
    assert (await house.get("/v1/dead"))["data"][0]["id"] == poison["id"]
    exits = [line for line in witnessed(house) if line[0] == poison["id"]]
    assert len(exits) == 3


async def _gateway_pid(house: House) -> int:
    assert house.process is not None
    import psutil

    children = psutil.Process(house.process.pid).children()
    return next(child.pid for child in children if "gateway" in child.cmdline())
