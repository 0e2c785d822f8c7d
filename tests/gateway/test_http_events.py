"""Server-Sent Events from the engines to a reader: history, live, resume, and the end."""

import asyncio
import json

import pytest

from dayshift.domain.task import TaskError

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def read(client, path, *, until=None, headers=None):
    """The events of a stream as (number, type, data), up to the type `until` or to its end."""
    seen = []
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                seen.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                fields = {}
                if seen[-1][1] == until:
                    break
    return seen


async def submitted(http, echo):
    return (await http.post("/v1/tasks", json=echo)).json()["id"]


async def test_a_stream_goes_from_history_to_the_final_event(http, house, echo):
    task_id = await submitted(http, echo)
    reading = asyncio.create_task(read(http, f"/v1/tasks/{task_id}/events"))
    await house.finish(task_id, {"n": 1})
    async with asyncio.timeout(5):
        seen = await reading
    assert [kind for _, kind, _ in seen] == ["task.queued", "task.started", "task.succeeded"]
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(set(numbers))
    assert seen[-1][2]["task"]["output"] == {"n": 1}
    assert all({"task_id", "attempt", "at"} <= set(data) for _, _, data in seen)


async def test_a_late_comer_gets_history_and_the_end(http, house, echo):
    task_id = await submitted(http, echo)
    await house.finish(task_id)
    seen = await read(http, f"/v1/tasks/{task_id}/events")
    assert seen[-1][1] == "task.succeeded"
    after_the_end = await read(http, f"/v1/tasks/{task_id}/events?after={seen[-1][0]}")
    assert [kind for _, kind, _ in after_the_end][-1:] in ([], ["task.succeeded"])


@pytest.mark.parametrize("how", ["Last-Event-ID", "after"])
async def test_a_reader_resumes_without_a_gap(http, house, echo, how):
    task_id = await submitted(http, echo)
    path = f"/v1/tasks/{task_id}/events"
    begun = await read(http, path, until="task.queued")
    last = begun[-1][0]
    await house.finish(task_id)
    if how == "after":
        rest = await read(http, f"{path}?after={last}")
    else:
        rest = await read(http, f"{path}?after=0", headers={"last-event-id": str(last)})
    assert [kind for _, kind, _ in rest] == ["task.started", "task.succeeded"]
    assert rest == [event for event in await read(http, path) if event[0] > last]


async def test_the_stream_of_a_retried_dead_letter_goes_on_after_its_failure(http, house, echo):
    task_id = await submitted(http, echo)
    path = f"/v1/tasks/{task_id}/events"
    await house.finish(task_id, kind="failed", error=TaskError("fatal", "no"))
    assert (await read(http, path))[-1][1] == "task.failed"
    assert (await http.post(f"/v1/tasks/{task_id}/retry")).status_code == 202
    await house.finish(task_id)
    await house.services.outbox.delivered()
    seen = [kind for _, kind, _ in await read(http, path)]
    assert seen == [
        *("task.queued", "task.started", "task.failed"),
        *("task.queued", "task.started", "task.succeeded"),
    ]
