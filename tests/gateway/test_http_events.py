"""Server-Sent Events: history, live, resume, heartbeat, and the end."""

import asyncio
import json

import pytest
from requests_by_hand import request

from dayshift.domain.stream import StreamEvent
from dayshift.gateway import events as events_module
from dayshift.gateway.drain import Drain
from dayshift.gateway.events import EventStream, frame_of


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
    reading = asyncio.create_task(read(house.client(), f"/v1/tasks/{task_id}/events"))
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
    seen = await read(house.client(), f"/v1/tasks/{task_id}/events")
    assert seen[-1][1] == "task.succeeded"
    after_the_end = await read(house.client(), f"/v1/tasks/{task_id}/events?after={seen[-1][0]}")
    assert [kind for _, kind, _ in after_the_end][-1:] in ([], ["task.succeeded"])


@pytest.mark.parametrize("how", ["Last-Event-ID", "after"])
async def test_a_reader_resumes_without_a_gap(http, house, echo, how):
    task_id = await submitted(http, echo)
    path = f"/v1/tasks/{task_id}/events"
    begun = await read(house.client(), path, until="task.queued")
    last = begun[-1][0]
    await house.finish(task_id)
    if how == "after":
        rest = await read(house.client(), f"{path}?after={last}")
    else:
        rest = await read(house.client(), f"{path}?after=0", headers={"last-event-id": str(last)})
    assert [kind for _, kind, _ in rest] == ["task.started", "task.succeeded"]
    assert rest == [event for event in await read(house.client(), path) if event[0] > last]


class Sent:
    """What was sent to a reader, and a reader that may stop to read."""

    def __init__(self, *, reads=True):
        self.messages = []
        self.reads = reads

    async def __call__(self, message):
        if not self.reads and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def text(self):
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    @property
    def is_complete(self):
        return self.messages[-1].get("more_body") is False


async def nothing_happens():
    await asyncio.Event().wait()
    yield StreamEvent(1, "never", b"{}")


def listening():
    asked = request(method="GET")

    async def receive():
        await asyncio.Event().wait()

    asked.receive = receive
    return asked


async def test_a_silent_stream_beats(monkeypatch):
    monkeypatch.setattr(events_module, "HEARTBEAT_SECONDS", 0.01)
    sent = Sent()
    stream = EventStream(nothing_happens(), listening(), Drain())
    sending = asyncio.create_task(stream.send(sent, closing=False))
    while sent.text.count(": heartbeat\n\n") < 3:
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_leaving_gateway_says_how_to_resume():
    sent, drain = Sent(), Drain()
    sending = asyncio.create_task(EventStream(nothing_happens(), listening(), drain).send(sent, closing=False))
    await asyncio.sleep(0)
    drain.begin()
    await sending
    assert "resume with Last-Event-ID\nretry: " in sent.text
    assert sent.is_complete


async def test_events_that_end_without_a_final_one_say_how_to_resume():
    async def cut_short():
        yield StreamEvent(5, "task.queued", b"{}")

    sent = Sent()
    await EventStream(cut_short(), listening(), Drain()).send(sent, closing=False)
    assert sent.text.index("id: 5") < sent.text.index("resume with")


async def test_a_reader_that_goes_ends_the_stream():
    closed = asyncio.Event()

    async def until_closed():
        try:
            await asyncio.Event().wait()
            yield StreamEvent(1, "never", b"{}")
        finally:
            closed.set()

    await EventStream(until_closed(), request(method="GET"), Drain()).send(Sent(), closing=False)
    assert closed.is_set()


async def test_a_reader_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(events_module, "SLOWEST_READ_SECONDS", 0.05)
    sent = Sent(reads=False)
    async with asyncio.timeout(2):
        await EventStream(nothing_happens(), listening(), Drain()).send(sent, closing=False)
    assert not sent.is_complete  # which makes the server cut the connection


def test_an_event_is_one_frame_whatever_its_json_looks_like():
    event = StreamEvent(7, "task.queued", b'{\r\n "a": "b\\n"}')
    assert frame_of(event) == b'id: 7\nevent: task.queued\ndata: {   "a": "b\\n"}\n\n'
