"""Order, shares and conversations through the whole house."""

import asyncio
from collections import defaultdict
from pathlib import Path

import httpx2
import pytest

from tests.system.house import House

pytestmark = pytest.mark.system

CONVERSATIONS = 12
MESSAGES = 15


def heard(house: House) -> dict[str, list[str]]:
    """What each conversation's messages left behind, in the order in which they left it."""
    lines: dict[str, list[str]] = defaultdict(list)
    for line in Path(house.environment["WITNESS"]).read_text().splitlines():
        name, word, turn = line.split()
        lines[name].append(f"{word} {turn}")
    return lines


async def test_conversations_run_in_order_one_message_at_a_time(house: House) -> None:
    await house.serve(workers=2)

    async def talk(name: str) -> list[str]:
        return [
            (await house.submit("says_its_turn", {"turn": turn}, conversation=name))["id"] for turn in range(MESSAGES)
        ]

    ids = await asyncio.gather(*(talk(f"c{number}") for number in range(CONVERSATIONS)))
    await house.all_ended([task_id for line in ids for task_id in line])
    expected = [f"{word} {turn}" for turn in range(MESSAGES) for word in ("begin", "end")]
    assert heard(house) == {f"c{number}": expected for number in range(CONVERSATIONS)}


async def test_ten_tasks_of_one_tenant_do_not_wait_for_the_thousands_of_another(house: House) -> None:
    await house.serve(workers=1, slots=10)
    await house.configure("tenants.*.max_queued", 100_000)
    many = await house.submit_many([{"agent": "slow", "input": {"seconds": 0.05}}] * 3_000)
    other = httpx2.AsyncClient(
        base_url=house.url, headers={"Authorization": f"Bearer {await house.make_key('beta')}"}, timeout=60
    )
    async with other:
        few = []
        for _ in range(10):
            answer = await other.post("/v1/tasks", json={"agent": "slow", "input": {"seconds": 0.05}})
            few.append(answer.json()["id"])
        for task_id in few:
            task = (await other.get(f"/v1/tasks/{task_id}?wait=30")).json()
            assert task["status"] == "succeeded"
        assert (await other.get(f"/v1/tasks/{many[0]}")).status_code == 404

    # When the ten have ended, most of the thousands still wait.
    async def most_still_wait() -> bool:
        queue = next(row for row in (await house.get("/v1/queues"))["data"] if row["name"] == "default")
        return queue["ready"] > 500

    await house.until(most_still_wait, "more than 500 ready", seconds=5)  # as the depths are counted now and then
    last = await house.get(f"/v1/tasks/{many[-1]}")
    assert last["status"] == "queued"


async def test_a_setting_is_in_force_everywhere_within_a_second_under_load(house: House) -> None:
    await house.serve(workers=2, slots=20)
    ids = await house.submit_many([{"agent": "slow", "input": {"seconds": 0.2}}] * 400)
    await house.configure("queues.default.paused", value=True)
    await asyncio.sleep(1.0)  # the promise: one second
    [before] = await house.rows("SELECT coalesce(sum(attempt), 0) n FROM tasks")
    await asyncio.sleep(1.0)
    [after] = await house.rows("SELECT coalesce(sum(attempt), 0) n FROM tasks")
    assert before["n"] == after["n"] < 400
    await house.configure("agents.slow.concurrency", 3)
    await house.configure("queues.default.paused", value=False)
    await asyncio.sleep(2.0)
    [running] = await house.rows("SELECT count(*) n FROM tasks WHERE status = 'running'")
    assert 0 < running["n"] <= 3
    refused = await house.http.put("/v1/settings/agents.slow.concurrency", json={"value": "three"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "agents.slow.concurrency"
    deleted = await house.http.delete("/v1/settings/agents.slow.concurrency")
    assert deleted.status_code in (200, 204)
    tasks = await house.all_ended(ids)
    assert all(task["status"] == "succeeded" and task["failures"] == 0 for task in tasks)
