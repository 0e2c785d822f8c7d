import asyncio

import pytest

from dayshift.domain.events import Event, LoopLag, Note
from dayshift.telemetry import bound, bound_ids, emit, subscribe, subscribe_all


def test_an_event_reaches_only_the_subscribers_of_its_class():
    seen: list[Event] = []
    end = subscribe(Note, seen.append)
    emit(Note(message="hello"))
    emit(LoopLag(lag_seconds=0.1))
    end()
    emit(Note(message="after the end"))
    assert seen == [Note(message="hello")]


def test_subscribe_all_sees_every_class():
    seen: list[Event] = []
    end = subscribe_all(seen.append)
    emit(Note(message="a"))
    emit(LoopLag(lag_seconds=0.1))
    end()
    assert [type(event) for event in seen] == [Note, LoopLag]


def test_a_subscriber_that_raises_stops_neither_the_emitter_nor_the_next_subscriber(capsys: pytest.CaptureFixture[str]):
    seen: list[Event] = []

    def broken(_event: Note) -> None:
        raise RuntimeError("telemetry is broken")

    ends = [subscribe(Note, broken), subscribe(Note, seen.append)]
    emit(Note(message="one"))
    emit(Note(message="two"))
    for end in ends:
        end()
    assert len(seen) == 2
    assert capsys.readouterr().err.count("telemetry is broken") == 1  # said once, not for every event


def test_bound_ids_nest_and_end():
    with bound(task_id="task_1", attempt=1):
        with bound(attempt=2):
            assert bound_ids() == {"task_id": "task_1", "attempt": 2}
        assert bound_ids() == {"task_id": "task_1", "attempt": 1}
    assert bound_ids() == {}


async def test_bound_ids_follow_coroutines_and_threads_but_not_neighbours():
    async def child() -> dict[str, object]:
        return dict(bound_ids())

    async def one(number: int) -> tuple[dict[str, object], dict[str, object]]:
        with bound(task_id=f"task_{number}"):
            await asyncio.sleep(0)
            return await asyncio.create_task(child()), await asyncio.to_thread(lambda: dict(bound_ids()))

    answers = await asyncio.gather(one(1), one(2))
    assert answers == [({"task_id": "task_1"},) * 2, ({"task_id": "task_2"},) * 2]
