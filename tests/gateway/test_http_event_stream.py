"""One event stream against a reader and a source that can be told what to do."""

import asyncio

from requests_by_hand import request

from dayshift.domain.stream import StreamEvent
from dayshift.gateway import events as events_module
from dayshift.gateway.events import EventStream, frame_of


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
    stream = EventStream(nothing_happens(), listening())
    sending = asyncio.create_task(stream.send(sent, closing=False))
    while sent.text.count(": heartbeat\n\n") < 3:
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_events_that_end_without_a_final_one_say_how_to_resume():
    async def cut_short():
        yield StreamEvent(5, "task.queued", b"{}")

    sent = Sent()
    await EventStream(cut_short(), listening()).send(sent, closing=False)
    assert sent.text.index("id: 5") < sent.text.index("resume with")


async def test_events_go_on_after_an_end_that_was_not_the_last():
    async def retried():
        for number, kind in enumerate(("task.failed", "task.queued", "task.succeeded"), 1):
            yield StreamEvent(number, kind, b"{}")

    sent = Sent()
    await EventStream(retried(), listening()).send(sent, closing=False)
    assert [line[4:] for line in sent.text.splitlines() if line.startswith("id: ")] == ["1", "2", "3"]
    assert "resume with" not in sent.text
    assert sent.is_complete


async def test_a_reader_that_goes_ends_the_stream():
    closed = asyncio.Event()

    async def until_closed():
        try:
            await asyncio.Event().wait()
            yield StreamEvent(1, "never", b"{}")
        finally:
            closed.set()

    await EventStream(until_closed(), request(method="GET")).send(Sent(), closing=False)
    assert closed.is_set()


async def test_a_reader_that_does_not_read_is_cut_off(monkeypatch):
    monkeypatch.setattr(events_module, "SLOWEST_READ_SECONDS", 0.05)
    sent = Sent(reads=False)
    async with asyncio.timeout(2):
        await EventStream(nothing_happens(), listening()).send(sent, closing=False)
    assert not sent.is_complete  # which makes the server cut the connection


def test_an_event_is_one_frame_whatever_its_json_looks_like():
    event = StreamEvent(7, "task.queued", b'{\r\n "a": "b\\n"}')
    assert frame_of(event) == b'id: 7\nevent: task.queued\ndata: {   "a": "b\\n"}\n\n'
