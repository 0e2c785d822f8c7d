"""Posts and fleets over real processes: a tiny stand-in for `python -m dayshift` that obeys the two pipes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dayshift.domain.errors import PlaneAway
from dayshift.supervisor import Child, ChildFailed, Command, Fleet, Post

# Put first on PYTHONPATH as a package `dayshift` that only says ready, waits for SIGTERM or the end of its lifeline,
# and leaves a mark on the way out.
STAND_IN = """
import os, select, signal, sys
arguments = sys.argv[1:]
mood, marks = arguments[0], arguments[1]
ready = int(arguments[arguments.index("--ready-fd") + 1])
lifeline = int(arguments[arguments.index("--lifeline-fd") + 1])
def mark(word):
    with open(os.path.join(marks, f"{os.getpid()}.{word}"), "w"):
        return
if mood == "fails":
    sys.exit(2)
if mood == "killed at first":
    earlier = os.listdir(marks)
    mark("begun")
    if not earlier:
        os.kill(os.getpid(), signal.SIGKILL)
waker, wakes = os.pipe()
if mood == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif mood == "needs two":
    told = []
    def tell(*_):
        told.append(1)
        mark("told")
        if len(told) == 2:
            os.write(wakes, b"t")
    signal.signal(signal.SIGTERM, tell)
else:
    signal.signal(signal.SIGTERM, lambda *_: os.write(wakes, b"t"))
os.write(ready, b"ready\\n")
if mood == "renamed":
    os.write(ready, b"worker worker_2\\nworker worker_3\\n")
    os.kill(os.getpid(), signal.SIGKILL)
readable, _, _ = select.select([waker, lifeline], [], [])
mark("drained" if waker in readable else "orphaned")
"""

Spawner = Callable[[str], Callable[[], Awaitable[Child]]]


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    (tmp_path / "stand" / "dayshift").mkdir(parents=True)
    (tmp_path / "stand" / "dayshift" / "__init__.py").touch()
    (tmp_path / "stand" / "dayshift" / "__main__.py").write_text(STAND_IN)
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
async def spawner(marks: Path) -> AsyncIterator[Spawner]:
    children: list[Child] = []

    def of(mood: str) -> Callable[[], Awaitable[Child]]:
        async def spawn() -> Child:
            environment = {**os.environ, "PYTHONPATH": str(marks.parent / "stand")}
            command = Command(arguments=(mood, str(marks)), environment=environment)
            child = await Child.spawn("stand-in", command)
            children.append(child)
            return child

        return spawn

    yield of
    for child in children:
        if child.exit_status is None:
            child.kill()
            await child.wait_ended()


async def test_a_worker_that_goes_on_under_a_new_id_is_known_by_it_at_its_death(marks: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(marks.parent / "stand")}
    command = Command(arguments=("renamed", str(marks)), environment=environment)
    child = await Child.spawn("stand-in", command, worker_id="worker_1")
    assert child.worker_id == "worker_1"
    await child.wait_ready(20)
    assert await child.wait_ended() == -signal.SIGKILL
    assert child.worker_id == "worker_3"


def endings(marks: Path) -> dict[str, list[int]]:
    """Which marks which children have left."""
    found: dict[str, list[int]] = {}
    for mark in marks.iterdir():
        found.setdefault(mark.suffix[1:], []).append(int(mark.stem))
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def recorder() -> tuple[list[int], Callable[[Child], Awaitable[None]]]:
    deaths: list[int] = []

    async def after_death(child: Child) -> None:
        deaths.append(child.pid)

    return deaths, after_death


async def test_a_killed_child_is_replaced_and_its_death_reported(spawner: Spawner) -> None:
    deaths, after_death = recorder()
    post = Post("stand-in", spawner("obeys"), after_death, grace_seconds=10)
    await post.fill()
    assert post.child is not None
    first = post.child.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: post.child is not None and post.child.pid != first)
    assert deaths == [first]
    await post.stop()
    await post.stop()


async def test_the_successor_is_ready_before_the_predecessor_drains(spawner: Spawner, marks: Path) -> None:
    deaths, after_death = recorder()
    post = Post("stand-in", spawner("obeys"), after_death, grace_seconds=10)
    await post.fill()
    assert post.child is not None
    first = post.child.pid
    await post.replace()
    assert post.child.pid != first
    assert post.child.exit_status is None
    assert (marks / f"{first}.drained").exists()
    assert deaths == [first]
    await post.stop()


async def test_a_successor_that_fails_leaves_the_present_child(spawner: Spawner) -> None:
    moods = iter(["obeys", "fails"])
    _, after_death = recorder()
    post = Post("stand-in", lambda: spawner(next(moods))(), after_death, grace_seconds=10)
    await post.fill()
    present = post.child
    with pytest.raises(ChildFailed) as failure:
        await post.replace()
    assert failure.value.exit_status == 2
    assert post.child is present
    await post.stop()


async def test_a_deaf_child_is_killed_after_the_grace(spawner: Spawner) -> None:
    deaths, after_death = recorder()
    post = Post("stand-in", spawner("deaf"), after_death, grace_seconds=0.3)
    await post.fill()
    child = post.child
    assert child is not None
    await post.stop()
    assert child.exit_status == -signal.SIGKILL
    assert deaths == [child.pid]


async def test_a_fleet_that_cannot_start_stops_what_it_started(spawner: Spawner) -> None:
    deaths, after_death = recorder()
    good = Post("good", spawner("obeys"), after_death, grace_seconds=10)
    bad = Post("bad", spawner("fails"), after_death, grace_seconds=10)
    with pytest.raises(ChildFailed):
        await Fleet([[good], [bad]]).start()
    assert good.child is None
    assert len(deaths) == 2


async def test_a_first_child_that_was_killed_from_outside_is_replaced(spawner: Spawner) -> None:
    deaths, after_death = recorder()
    post = Post("stand-in", spawner("killed at first"), after_death, grace_seconds=10)
    await post.fill()
    assert post.child is not None
    await until(lambda: len(deaths) == 1)
    await post.stop()


async def test_a_roll_waits_until_the_fleet_has_started(spawner: Spawner) -> None:
    _, after_death = recorder()
    held = asyncio.Event()

    async def spawn_later() -> Child:
        await held.wait()
        return await spawner("obeys")()

    first = Post("first", spawner("obeys"), after_death, grace_seconds=10)
    fleet = Fleet([[first], [Post("second", spawn_later, after_death, grace_seconds=10)]])
    starting = asyncio.create_task(fleet.start())
    await until(lambda: first.child is not None)
    before = first.child
    rolling = asyncio.create_task(fleet.roll())
    await asyncio.sleep(0)
    assert first.child is before
    held.set()
    await starting
    await rolling
    assert all(post.child is not None for post in fleet.posts)
    assert first.child is not before
    await fleet.stop()


async def test_children_drain_when_their_supervisor_is_killed(marks: Path) -> None:
    supervisor = """
import asyncio, os, sys
from dayshift.domain.errors import PlaneAway
from dayshift.supervisor import Child, Command
async def main():
    marks, stand = sys.argv[1:3]
    command = Command(arguments=("obeys", marks), environment={**os.environ, "PYTHONPATH": stand})
    child = await Child.spawn("stand-in", command)
    await child.wait_ready(20)
    print(child.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", supervisor, str(marks), str(marks.parent / "stand"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    await until(lambda: (marks / f"{pid}.orphaned").exists())


async def test_a_death_that_cannot_be_put_right_yet_delays_no_successor(spawner: Spawner) -> None:
    asked = asyncio.Event()

    async def away(_child: Child) -> None:
        asked.set()
        raise PlaneAway("Valkey does not answer")

    post = Post("stand-in", spawner("obeys"), away, grace_seconds=10)
    await post.fill()
    assert post.child is not None
    first = post.child.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: post.child is not None and post.child.pid != first)
    assert asked.is_set()
    await post.stop()


async def test_replacing_a_vacant_post_leaves_one_child(spawner: Spawner, marks: Path) -> None:
    """The child died and its successor waits for the backoff: a rolling restart must not be followed by it."""
    _, after_death = recorder()
    post = Post("stand-in", spawner("obeys"), after_death, grace_seconds=10)
    await post.fill()
    assert post.child is not None
    post._backoff_seconds = 0.5
    os.kill(post.child.pid, signal.SIGKILL)
    await until(lambda: post.child is None)
    await post.replace()
    taken = post.child
    await asyncio.sleep(0.7)  # longer than the backoff: nobody else may come
    assert post.child is taken
    await post.stop()
    assert taken is not None
    assert endings(marks) == {"drained": [taken.pid]}


async def test_a_second_signal_reaches_a_child_that_drains(spawner: Spawner, marks: Path) -> None:
    _, after_death = recorder()
    post = Post("stand-in", spawner("needs two"), after_death, grace_seconds=30)
    await post.fill()
    stopping = asyncio.create_task(post.stop())
    await until(lambda: "told" in endings(marks))
    post.stop_hard()
    await asyncio.wait_for(stopping, 20)
