"""Emits on their way to the stream, with a plane that is commanded."""

import asyncio
import json
import threading

import pytest

from dayshift.domain.errors import PlaneAway, Superseded
from dayshift.domain.events import Fault
from dayshift.telemetry import subscribe
from dayshift.worker import emitting
from dayshift.worker.attempt import Attempt, StopReason
from dayshift.worker.emitting import Emitter
from dayshift.worker.lease import Lease


class CommandedPlane:
    def __init__(self):
        self.batches = []
        self.is_away = False

    async def append(self, appends):
        if self.is_away:
            raise PlaneAway("no answer")
        await asyncio.sleep(0)
        self.batches.append([json.loads(append.data) for append in appends])


async def at_once():
    """The start has been announced already."""


@pytest.fixture
def faults():
    found = []
    end = subscribe(Fault, found.append)
    yield found
    end()


async def test_events_keep_their_order_and_travel_together():
    plane = CommandedPlane()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 3, at_once)
    for number in range(5):
        emitter(b'{"name":"step","number":%d}' % number)
    await emitter(b'{"name":"last"}')
    events = [event for batch in plane.batches for event in batch]
    assert [event.get("number") for event in events] == [0, 1, 2, 3, 4, None]
    assert len(plane.batches) < 3
    assert (events[0]["task_id"], events[0]["attempt"], events[0]["name"]) == ("task_1", 3, "step")
    assert "at" in events[0]


async def test_a_thread_may_emit_without_awaiting():
    plane = CommandedPlane()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, at_once)
    thread = threading.Thread(target=lambda: emitter(b'{"name":"from a thread"}'))
    thread.start()
    await asyncio.to_thread(thread.join)
    await emitter.flush()
    assert plane.batches[0][0]["name"] == "from a thread"


async def test_events_are_dropped_and_reported_once_while_the_plane_is_away(faults):
    plane = CommandedPlane()
    plane.is_away = True
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, at_once)
    await emitter(b'{"name":"lost"}')
    await emitter(b'{"name":"lost"}')
    plane.is_away = False
    await emitter(b'{"name":"heard"}')
    assert [event["name"] for batch in plane.batches for event in batch] == ["heard"]
    assert [fault.error_type for fault in faults] == ["EventsDropped"]


async def test_what_waits_is_bounded(faults, monkeypatch):
    monkeypatch.setattr(emitting, "MAX_WAITING", 10)
    plane = CommandedPlane()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, at_once)
    for _ in range(50):
        emitter(b'{"name":"flood"}')
    await emitter.flush()
    assert sum(len(batch) for batch in plane.batches) == 10
    assert len(faults) == 1


async def test_an_attempt_without_a_lease_may_not_speak():
    lease = Lease("worker_1")
    emitter = Emitter(CommandedPlane(), Attempt("task_1", lease), 1, at_once)
    lease.lose("gone")
    with pytest.raises(Superseded):
        emitter(b'{"name":"late"}')


async def test_code_that_was_left_behind_may_not_speak():
    attempt = Attempt("task_1", Lease("worker_1"))
    emitter = Emitter(CommandedPlane(), attempt, 1, at_once)
    body = asyncio.get_running_loop().create_future()
    until_ended = asyncio.create_task(attempt.until_ended(body, 60, StopReason.TIMEOUT))
    await asyncio.sleep(0)
    emitter(b'{"name":"in time"}')
    attempt._release_waiter()  # what its timer does when the code has not ended in its grace
    assert not await until_ended
    with pytest.raises(Superseded):
        emitter(b'{"name":"late"}')


async def test_nothing_is_heard_of_an_attempt_before_its_start(monkeypatch):
    plane, announced = CommandedPlane(), asyncio.Event()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, announced.wait)
    emitter(b'{"name":"early"}')
    for _ in range(10):
        await asyncio.sleep(0)
    assert plane.batches == []
    announced.set()
    await emitter.flush()
    assert plane.batches[0][0]["name"] == "early"
    monkeypatch.setattr(emitting, "FLUSH_SECONDS", 0.05)
    impatient = Emitter(plane, Attempt("task_2", Lease("worker_1")), 1, asyncio.Event().wait)
    impatient(b'{"name":"late"}')
    assert impatient._flusher is not None
    await impatient._flusher  # a stream that is not told of the start holds nothing up for long
    assert plane.batches[-1][0]["name"] == "late"


async def test_what_models_say_gathers_and_keeps_its_place_among_other_events():
    plane = CommandedPlane()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, at_once)
    for word in ("a", "b"):
        emitter.delta("x", word)
        emitter.delta("y", word.upper())
    await emitter(b'{"name":"between"}')
    emitter.delta("x", "c")
    emitter.restarted("x")
    emitter.delta("x", "d")
    await emitter.flush()
    events = [event for batch in plane.batches for event in batch]
    assert [(event.get("call"), event.get("text"), event.get("name")) for event in events] == [
        ("x", "ab", None),
        ("y", "AB", None),
        (None, None, "between"),
        ("x", "c", None),
        ("x", None, None),
        ("x", "d", None),
    ]


async def test_words_that_come_one_by_one_are_told_a_few_times_a_second_and_the_last_at_once(monkeypatch):
    monkeypatch.setattr(emitting, "DELTA_SECONDS", 60.0)
    plane = CommandedPlane()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, at_once)
    for word in ("a", "b", "c", "d"):
        emitter.delta("x", word)
        for _ in range(5):
            await asyncio.sleep(0)
    assert len(plane.batches) == 1
    async with asyncio.timeout(5):
        await emitter.flush()
    assert "".join(event["text"] for batch in plane.batches for event in batch) == "abcd"


async def test_a_thread_may_tell_what_a_model_says():
    plane = CommandedPlane()
    emitter = Emitter(plane, Attempt("task_1", Lease("worker_1")), 1, at_once)
    await asyncio.to_thread(emitter.delta, "x", "from a thread")
    await asyncio.sleep(0)
    await emitter.flush()
    assert [event["text"] for batch in plane.batches for event in batch] == ["from a thread"]
