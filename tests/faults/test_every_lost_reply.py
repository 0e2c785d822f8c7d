"""The reply of every single request that a process makes, lost once: whatever was heard on its ways is taken in turn.

test_lost_replies.py asks closely about the requests that matter most. Here nobody has chosen: a request that is added to
the protocol tomorrow is lost the day after.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import pytest

from tests.faults.fleet import Fleet
from tests.faults.proxy import Proxy
from tests.faults.started import Process

pytestmark = [
    pytest.mark.system,
    pytest.mark.long_fault,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]

ONCE = [("succeeded", 1, 0, 0)]
SCENE_SECONDS = 60.0
WAYS = ("ledger", "plane")
BEFORE_ANYTHING = {"auth", "client"}  # how a connection begins: the fleet's have begun

Scene = Callable[[Fleet, str], Awaitable[None]]


async def each_lost_once(fleet: Fleet, names: Iterable[str], scene: Scene) -> AsyncIterator[str]:
    """Play the scene once for each request of these processes, and lose its first reply. Yields what was lost."""
    await scene(fleet, "first")
    heard = [(process, way, name) for process in names for way in WAYS for name in way_of(fleet[process], way).heard]
    for number, (process, way, name) in enumerate(heard):
        if name not in BEFORE_ANYTHING:
            lost = f"{process} {way} {name}"
            async with asyncio.timeout(SCENE_SECONDS):
                way_of(fleet[process], way).lose_reply(name)
                try:
                    await scene(fleet, f"n{number}")
                except AssertionError as wrong:
                    raise AssertionError(f"with the reply of {lost} lost: {wrong}") from wrong
            fleet.heal()
            yield lost


def way_of(process: Process, way: str) -> Proxy:
    proxy: Proxy = getattr(process, way)
    return proxy


def figures(tasks: Iterable[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    """The distinct ways in which these ended."""
    return sorted({(task["status"], task["attempt"], task["failures"], task["losses"]) for task in tasks})


async def talk(fleet: Fleet, name: str) -> None:
    """Four messages of a conversation, each of which speaks once and in its turn."""
    ids = [(await fleet.submit("says_its_turn", {"turn": turn}, conversation=name))["id"] for turn in range(4)]
    assert figures(await fleet.all_ended(ids)) == ONCE
    spoken = [line[1:] for line in fleet.witnessed() if line[0] == name]
    assert spoken == [[word, str(turn)] for turn in range(4) for word in ("begin", "end")]


async def run_once(fleet: Fleet, count: int, seconds: float, **fields: Any) -> None:
    ids = await fleet.submit_many([{"agent": "slow", "input": {"seconds": seconds}, **fields}] * count)
    assert figures(await fleet.all_ended(ids)) == ONCE
    entries = fleet.entries()
    assert [entries[task_id] for task_id in ids] == [1] * count


async def cancel_one(fleet: Fleet) -> None:
    task = await fleet.submit("slow", {"seconds": 60})
    await fleet.all_entered([task["id"]])
    assert (await fleet.http.post(f"/v1/tasks/{task['id']}/cancel")).status_code == 202
    assert figures([await fleet.ended(task["id"])]) == [("cancelled", 1, 0, 0)]


async def read_a_stream(fleet: Fleet) -> None:
    """Live, to its end. What a reader is told instead of a first event that came too late is a snapshot."""
    task = await fleet.submit("slow", {"seconds": 0.2})
    told = [name for _, name in await fleet.stream_of(task["id"])]
    assert told[0] in {"task.queued", "task.snapshot"}
    assert told[1:] == ["task.started", "task.succeeded"]


async def live(fleet: Fleet, tag: str) -> None:
    """Something of everything that tasks do."""
    await asyncio.gather(
        talk(fleet, f"live-{tag}"),
        run_once(fleet, 20, 0.05),
        run_once(fleet, 2, 0, delay=0.3),
        cancel_one(fleet),
        read_a_stream(fleet),
    )
    await fleet.nothing_left()


async def lose_the_plane(fleet: Fleet, tag: str) -> None:
    """FLUSHALL with tasks that run, wait, are delayed, and talk."""
    running = asyncio.create_task(run_once(fleet, 10, 2.0))
    delayed = asyncio.create_task(run_once(fleet, 5, 0, delay=1.5))
    await fleet.until(lambda: runs(fleet, 10), "10 running")
    talking = asyncio.create_task(talk(fleet, f"lost-{tag}"))
    await fleet.plane._wire.ask(b"FLUSHALL")
    await asyncio.gather(running, delayed, talking, run_once(fleet, 10, 0))
    fleet.plane.epoch = (await fleet.ledger.plane_state.get()).epoch
    await fleet.nothing_left()


async def runs(fleet: Fleet, count: int) -> bool:
    [row] = await fleet.rows("SELECT count(*) n FROM tasks WHERE status = 'running'")
    return int(row["n"]) >= count


async def leave(fleet: Fleet) -> None:
    """SIGTERM to one of two workers, in the middle of what ends within its grace and of what does not."""
    ids = await fleet.submit_many([{"agent": "lasts", "input": seconds} for seconds in (0.8, 4.0)] * 20)
    await fleet.all_entered(ids)
    leaving = fleet.processes.pop("leaving")
    leaving.child.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(leaving.child.wait(), 30) == 0
    assert figures(await fleet.all_ended(ids)) == [("succeeded", 1, 0, 0), ("succeeded", 2, 0, 0)]


async def test_in_the_life_of_tasks(fleet: Fleet) -> None:
    lost = [name async for name in each_lost_once(fleet, ("gateway", "worker", "maintenance"), live)]
    assert {"worker plane claim", "worker ledger finish_tasks", "gateway ledger accept_tasks"} <= set(lost)


async def test_in_a_rebuild(fleet: Fleet) -> None:
    lost = [name async for name in each_lost_once(fleet, ("maintenance",), lose_the_plane)]
    assert {"maintenance ledger raise_epoch", "maintenance plane write_marker"} <= set(lost)


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("ledger", "finish_tasks"),
        ("ledger", "release_worker"),
        ("plane", "append"),
        ("plane", "stop_claiming"),
        ("plane", "ack"),
        ("plane", "release_worker"),
    ],
)
async def test_in_a_drain(fleet: Fleet, way: str, name: str) -> None:
    """A worker that leaves makes few requests, and each scene takes a process: these are all that it makes."""
    leaving = await fleet.start_worker("leaving", slots=20, grace_seconds=1.5)
    await fleet.until(lambda: fleet.has_workers(2), "2 workers")
    way_of(leaving, way).lose_reply(name)
    await leave(fleet)
    assert way_of(leaving, way).hits[name] == 1
    await fleet.nothing_left()
