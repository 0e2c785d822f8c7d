"""Submit: a 202 is durable, an Idempotency-Key makes one task, and a wait ends with the task."""

import asyncio
import json

import pytest

from dayshift.hotplane import channels
from dayshift.ledger.errors import BadRow

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_task_is_accepted_with_its_places(http, house, echo):
    answer = await http.post("/v1/tasks", json=echo)
    task = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert answer.headers["operation-location"] == f"{house.url}/v1/tasks/{task['id']}"
    assert task["status"] == "queued"
    assert task["tenant"].startswith("tenant-")
    assert task["agent"] == "echo"
    assert task["input"] == {"text": "hello"}
    assert task["output"] is None
    assert task["attempt"] == 0
    assert task["metadata"] == {}
    assert task["created_at"].endswith("Z")
    assert (await http.get(answer.headers["location"])).json() == task


async def test_every_field_is_kept(http, echo):
    asked = {
        **echo,
        "conversation": "c-1",
        "user": "u-1",
        "priority": 9,
        "delay": 3600,
        "timeout": 12.5,
        "expires_at": "2099-01-01T00:00:00+02:00",
        "metadata": {"order": 7, "tags": ["a"]},
    }
    answer = await http.post("/v1/tasks", json=asked)
    assert answer.status_code == 422  # ten years ahead is the most
    asked["expires_at"] = None
    task = (await http.post("/v1/tasks", json=asked)).json()
    assert {name: task[name] for name in ("conversation", "user", "priority", "metadata")} == {
        "conversation": "c-1",
        "user": "u-1",
        "priority": 9,
        "metadata": {"order": 7, "tags": ["a"]},
    }
    assert task["run_at"] > task["created_at"]


async def test_a_trace_is_taken_up(http, echo):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert (await http.post("/v1/tasks", json=echo, headers=sent)).json()["trace_id"] == trace


async def test_the_same_key_makes_one_task(http, echo):
    first = await http.post("/v1/tasks", json=echo, headers={"idempotency-key": '"k-1"'})
    assert "idempotent-replayed" not in first.headers
    same = json.dumps({"input": {"text": "hello"}, "agent": "echo"}, indent=4)
    again = await http.post(
        "/v1/tasks", content=same, headers={"idempotency-key": "k-1", "content-type": "application/json"}
    )
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["id"] == first.json()["id"]


async def test_a_replay_shows_the_task_as_it_is_now(http, house, echo):
    key = {"idempotency-key": "k-2"}
    task = (await http.post("/v1/tasks", json=echo, headers=key)).json()
    await house.finish(task["id"], {"said": "hi"})
    again = await http.post("/v1/tasks", json=echo, headers=key)
    assert (again.status_code, again.json()["status"]) == (202, "succeeded")
    waited = await http.post("/v1/tasks", json=echo, headers={**key, "prefer": "wait=5"})
    assert (waited.status_code, waited.json()["output"]) == (200, {"said": "hi"})
    assert waited.headers["idempotent-replayed"] == "true"


async def test_another_body_under_the_same_key_is_refused(http, echo):
    key = {"idempotency-key": "k-3"}
    await http.post("/v1/tasks", json=echo, headers=key)
    for other in ({**echo, "input": {"text": "other"}}, {**echo, "priority": 1}):
        answer = await http.post("/v1/tasks", json=other, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await http.get("/v1/tasks")).json()["data"]) == 1


async def test_a_refused_request_keeps_no_key(http, echo):
    key = {"idempotency-key": "k-4"}
    assert (await http.post("/v1/tasks", json={**echo, "input": {}}, headers=key)).status_code == 422
    answer = await http.post("/v1/tasks", json=echo, headers=key)
    assert answer.status_code == 202
    assert "idempotent-replayed" not in answer.headers


async def test_many_at_once_with_one_key_are_one_task(house, echo):
    api_key = await house.make_key("many", "submit")
    clients = [house.client(api_key) for _ in range(20)]
    key = {"idempotency-key": "k-5"}
    answers = await asyncio.gather(*(client.post("/v1/tasks", json=echo, headers=key) for client in clients))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1


async def test_a_wait_ends_with_the_task(http, house, echo):
    waiting = asyncio.create_task(http.post("/v1/tasks", json=echo, headers={"prefer": "wait=20"}))
    while not (listed := (await http.get("/v1/tasks")).json()["data"]):
        await asyncio.sleep(0.01)
    await house.finish(listed[0]["id"], [1, 2])
    answer = await waiting
    assert (answer.status_code, answer.json()["output"]) == (200, [1, 2])
    assert answer.headers["preference-applied"] == "wait=20"


async def test_a_task_is_listened_for_before_it_is_accepted(http, house, echo, monkeypatch):
    """So an end that comes at once cannot be missed, and the subscription costs the task no time."""
    listened, listen, accept = [], house.services.pushes.listen, house.ledger.tasks.accept

    async def note_listening(channel, handler):
        await listen(channel, handler)
        listened.append(channel)

    async def accept_once_listened_for(tasks):
        async with asyncio.timeout(5):
            while channels.task(tasks[0].id) not in listened:
                await asyncio.sleep(0)
        return await accept(tasks)

    monkeypatch.setattr(house.services.pushes, "listen", note_listening)
    monkeypatch.setattr(house.services.intake._commits, "_write", accept_once_listened_for)
    answer = await http.post("/v1/tasks", json=echo, headers={"prefer": "wait=1"})
    assert answer.status_code == 202


async def test_nobody_listens_on_for_a_task_that_was_not_accepted(http, house, echo, monkeypatch):
    async def refuse(_tasks):
        raise BadRow("refused")

    monkeypatch.setattr(house.services.intake._commits, "_write", refuse)
    answer = await http.post("/v1/tasks", json=echo, headers={"prefer": "wait=20"})
    assert answer.status_code >= 400
    await asyncio.sleep(0)
    assert not house.services.waiters._awaited


async def test_a_wait_that_is_over_says_how_it_stands(http, house, echo):
    answer = await http.post("/v1/tasks", json=echo, headers={"prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=1"


async def test_a_busy_conversation_can_be_refused(http, house, echo):
    first = (await http.post("/v1/tasks", json={**echo, "conversation": "c"})).json()
    busy = await http.post("/v1/tasks", json={**echo, "conversation": "c", "on_busy": "reject"})
    assert (busy.status_code, busy.json()["code"]) == (409, "conversation_busy")
    await house.finish(first["id"])
    free = await http.post("/v1/tasks", json={**echo, "conversation": "c", "on_busy": "reject"})
    assert free.status_code == 202
