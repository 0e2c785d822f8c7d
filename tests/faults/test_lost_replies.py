"""The request was carried out and its reply was lost, for each request that a task's life hangs on.

Each test asks for two things: that nothing is lost (every task ends as if the reply had come), and that nothing is done
twice (attempts, failures and losses are counted once, code is entered once, an event is told once, every slot comes free).
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import httpx2
import pytest

from tests.faults.fleet import Fleet

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

TASKS = 20
cut_or_swallowed = pytest.mark.parametrize("cut", [True, False], ids=["cut", "swallowed"])


async def submit(fleet: Fleet, agent: str = "slow", value: Any = None, count: int = TASKS) -> list[str]:
    value = {"seconds": 0.05} if value is None else value
    return await fleet.submit_many([{"agent": agent, "input": value}] * count)


async def all_ran_once(fleet: Fleet, ids: Sequence[str], *, first: Collection[str] = ("task.queued",)) -> None:
    """Every task ended well in its first attempt, and nothing of it was done, told or kept twice.

    `first`: what its stream may begin with.
    """
    tasks = await fleet.all_ended(list(ids))
    assert [task["status"] for task in tasks] == ["succeeded"] * len(ids)
    assert {(task["attempt"], task["failures"], task["losses"]) for task in tasks} == {(1, 0, 0)}
    assert fleet.entries() == dict.fromkeys(ids, 1)
    await fleet.nothing_left()
    for told in await asyncio.gather(*map(fleet.events_of, ids)):
        assert told[0] in first
        assert told[1:] == ["task.started", "task.succeeded"]


@cut_or_swallowed
async def test_a_claim(fleet: Fleet, cut: bool) -> None:
    worker = fleet["worker"]
    with worker.frozen():
        ids = await submit(fleet)
        await fleet.queued_in_plane("slow", TASKS)
        worker.plane.lose_reply("claim", cut=cut)
    await all_ran_once(fleet, ids)
    assert worker.plane.hits["claim"] == 1


async def test_the_commit_of_a_start(fleet: Fleet) -> None:
    worker = fleet["worker"]
    with worker.frozen():
        ids = await submit(fleet)
        await fleet.queued_in_plane("slow", TASKS)
        worker.ledger.lose_reply("start_tasks", times=2)
    await all_ran_once(fleet, ids)
    assert worker.ledger.hits["start_tasks"] == 2


@cut_or_swallowed
async def test_an_ack(fleet: Fleet, cut: bool) -> None:
    worker = fleet["worker"]
    worker.plane.lose_reply("ack", cut=cut)
    ids = await submit(fleet)
    await all_ran_once(fleet, ids)
    assert worker.plane.hits["ack"] == 1


async def test_the_append_of_an_event(fleet: Fleet) -> None:
    for name in ("gateway", "worker"):
        fleet[name].plane.lose_reply("append")
    ids = await submit(fleet)
    await all_ran_once(fleet, ids)
    assert [fleet[name].plane.hits["append"] for name in ("gateway", "worker")] == [1, 1]


@cut_or_swallowed
async def test_the_commit_of_a_finish(fleet: Fleet, cut: bool) -> None:
    worker = fleet["worker"]
    worker.ledger.lose_reply("finish_tasks", times=2 if cut else 1, cut=cut)
    ids = await submit(fleet)
    await all_ran_once(fleet, ids)
    assert worker.ledger.hits["finish_tasks"] == (2 if cut else 1)


async def test_the_commit_of_a_failure_that_is_tried_again(fleet: Fleet) -> None:
    worker = fleet["worker"]
    worker.ledger.lose_reply("finish_tasks", times=3)
    task = await fleet.submit("fails_twice", {})
    ended = await fleet.ended(task["id"])
    assert (ended["status"], ended["attempt"], ended["failures"], ended["losses"]) == ("succeeded", 3, 2, 0)
    assert worker.ledger.hits["finish_tasks"] == 3
    await fleet.nothing_left()
    retried = ["task.queued", *["task.started", "task.retrying"] * 2, "task.started", "task.succeeded"]
    assert await fleet.events_of(task["id"]) == retried


async def test_the_commits_of_a_conversation(fleet: Fleet) -> None:
    """What a finish says about the next message is in the reply that is lost."""
    worker = fleet["worker"]
    worker.ledger.lose_reply("finish_tasks", times=3)
    worker.ledger.lose_reply("start_tasks", times=3)
    ids = [(await fleet.submit("says_its_turn", {"turn": turn}, conversation="talk"))["id"] for turn in range(6)]
    tasks = await fleet.all_ended(ids)
    assert {(task["status"], task["attempt"]) for task in tasks} == {("succeeded", 1)}
    assert [line[1:] for line in fleet.witnessed()] == [[word, str(n)] for n in range(6) for word in ("begin", "end")]
    assert worker.ledger.hits == {"finish_tasks": 3, "start_tasks": 3}
    await fleet.nothing_left()


async def test_heartbeats(fleet: Fleet) -> None:
    worker = fleet["worker"]
    worker_id = await fleet.worker_of(worker)
    ids = await submit(fleet, value={"seconds": 5})
    await fleet.all_entered(ids)
    worker.plane.lose_reply("beat", times=2)
    worker.ledger.lose_reply("beat_worker", times=2)
    await all_ran_once(fleet, ids)
    assert (worker.plane.hits["beat"], worker.ledger.hits["beat_worker"]) == (2, 2)
    assert await fleet.worker_of(worker) == worker_id


async def test_the_commit_of_an_accept(fleet: Fleet) -> None:
    """Between the gateway and the ledger: the client notices nothing, with or without a key.

    Maintenance may announce the row, and a worker start it, before the gateway knows: then the stream has no first event,
    and its reader gets a snapshot in the place of it.
    """
    fleet["gateway"].ledger.lose_reply("accept_tasks", times=2)
    keyed = {"headers": {"Idempotency-Key": "accept"}}
    tasks = await asyncio.gather(fleet.submit("slow", {"seconds": 0}), fleet.submit("slow", {"seconds": 0}, **keyed))
    assert fleet["gateway"].ledger.hits["accept_tasks"] == 2
    await all_ran_once(fleet, [task["id"] for task in tasks], first={"task.queued", "task.snapshot"})


async def test_the_nudge_to_the_plane(fleet: Fleet) -> None:
    fleet["gateway"].plane.lose_reply("enqueue")
    await all_ran_once(fleet, await submit(fleet))
    assert fleet["gateway"].plane.hits["enqueue"] == 1


async def test_the_gateways_answer(fleet: Fleet) -> None:
    """Between the gateway and its client, who asks again with the same Idempotency-Key."""
    body = {"agent": "slow", "input": {"seconds": 0}}
    headers = {"Idempotency-Key": "answer"}
    async with fleet.through_door() as http:
        fleet.door.lose_reply("POST /v1/tasks")
        with pytest.raises(httpx2.TransportError):
            await http.post("/v1/tasks", json=body, headers=headers)
        [row] = await fleet.rows("SELECT id FROM tasks ORDER BY seq DESC LIMIT 1")
        answer = await http.post("/v1/tasks", json=body, headers=headers)
    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (202, "true")
    assert answer.json()["id"] == f"task_{row['id']}"
    await all_ran_once(fleet, [answer.json()["id"]])


async def test_the_answer_to_a_cancel(fleet: Fleet) -> None:
    task = await fleet.submit("slow", {"seconds": 60})
    await fleet.all_entered([task["id"]])
    fleet["gateway"].ledger.lose_reply("cancel_task")
    path = f"/v1/tasks/{task['id']}/cancel"
    async with fleet.through_door() as http:
        fleet.door.lose_reply(f"POST {path}")
        with pytest.raises(httpx2.TransportError):
            await http.post(path)
        assert (await http.post(path)).status_code == 202
    ended = await fleet.ended(task["id"])
    assert (ended["status"], ended["attempt"]) == ("cancelled", 1)
    await fleet.nothing_left()
    assert await fleet.events_of(task["id"]) == ["task.queued", "task.started", "task.cancelled"]
