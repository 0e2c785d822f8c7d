"""Five workers, each in a trouble of its own, past the lease, at the same time; then all of it is over.

    sound       none
    no-ledger   cut off from PostgreSQL: the hot plane vouches for it
    no-plane    cut off from Valkey: the ledger vouches for it
    alone       cut off from both: it must stop by itself, and another takes over
    frozen      SIGSTOP: it cannot stop, and another takes over; it wakes up with results

Half of the tasks end while the trouble lasts, half would end after it. The trouble lasts until all the tasks of `alone`
and `frozen` have been entered again, which takes ten seconds at least.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct

from dayshift.domain import clock
from tests.faults import processes
from tests.faults.fleet import Fleet

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

WORKERS = ("sound", "no-ledger", "no-plane", "alone", "frozen")
KEEPING = ("sound", "no-ledger", "no-plane")
LOSING = ("alone", "frozen")
SLOTS = 10
DURING_SECONDS, BEYOND_SECONDS = 4.0, 14.0


class Scene(Struct):
    """What was seen once everything was over. `ran_on`: task -> the worker that was given it first."""

    fleet: Fleet
    tasks: dict[str, dict[str, Any]]
    ran_on: dict[str, str]
    first_ids: dict[str, str]
    taken_over_after_seconds: float

    def of(self, *names: str) -> list[dict[str, Any]]:
        found = [task for task_id, task in self.tasks.items() if self.ran_on[task_id] in names]
        assert found, f"no task was given to {names}"
        return found

    def deeds(self, names: Iterable[str]) -> Counter[str]:
        """What the code of these workers' tasks did, as `ATTEMPT WORD`."""
        return Counter(f"{n} {word}" for task_id, n, word in self.fleet.witnessed() if self.ran_on[task_id] in names)

    def refused(self, name: str) -> dict[str, str]:
        """The attempts of a worker that were superseded: task -> where it learned that."""
        return {line["task_id"]: line["where"] for line in self.fleet[name].log_events("attempt.superseded")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(planes: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    fleet = Fleet(Path(tmp_path_factory.mktemp("fleet")), *planes)
    try:
        await fleet.open(workers=WORKERS, slots=SLOTS)
        yield await play(fleet)
    finally:
        await fleet.close()


async def play(fleet: Fleet) -> Scene:
    first_ids = {name: await fleet.worker_of(fleet[name]) for name in WORKERS}
    seconds = [DURING_SECONDS, BEYOND_SECONDS] * (SLOTS * len(WORKERS) // 2)
    ids = await fleet.submit_many([{"agent": "lasts", "input": each} for each in seconds])
    await fleet.all_entered(ids)
    names = {worker_id.removeprefix("worker_"): name for name, worker_id in first_ids.items()}
    rows = await fleet.rows("SELECT id, worker_id FROM tasks")
    ran_on = {f"task_{row['id']}": names[str(row["worker_id"])] for row in rows}
    began_mono = clock.monotonic_seconds()
    make_trouble(fleet)
    await fleet.all_entered([task_id for task_id, name in ran_on.items() if name in LOSING], 2)
    lasted_seconds = clock.monotonic_seconds() - began_mono
    fleet.heal()
    processes.thaw(fleet["frozen"].pid)
    tasks = await fleet.all_ended(ids)
    return Scene(fleet, {task["id"]: task for task in tasks}, ran_on, first_ids, lasted_seconds)


def make_trouble(fleet: Fleet) -> None:
    fleet["no-ledger"].ledger.partition()
    fleet["no-plane"].plane.partition()
    fleet["alone"].partition()
    processes.freeze(fleet["frozen"].pid)


async def test_the_loss_of_one_plane_kills_no_healthy_attempt(scene: Scene) -> None:
    assert scene.taken_over_after_seconds > 10, "the trouble was over before anybody could have been declared dead"
    figures = {(task["status"], task["output"], task["losses"], task["failures"]) for task in scene.of(*KEEPING)}
    assert figures == {("succeeded", 1, 0, 0)}
    each_once = len(scene.of(*KEEPING))
    assert scene.deeds(KEEPING) == {"1 entered": each_once, "1 done": each_once}
    for name in KEEPING:
        assert await scene.fleet.worker_of(scene.fleet[name]) == scene.first_ids[name], f"{name} lost its lease"


async def test_what_a_lost_worker_ran_is_taken_over_once(scene: Scene) -> None:
    assert scene.taken_over_after_seconds < 25
    figures = {
        (task["status"], task["output"], task["attempt"], task["losses"], task["failures"])
        for task in scene.of(*LOSING)
    }
    assert figures == {("succeeded", 2, 2, 1, 0)}
    deeds = scene.deeds(LOSING)
    assert deeds["1 entered"] == deeds["2 entered"] == deeds["2 done"] == len(scene.of(*LOSING))
    assert not any(deed.startswith("3") for deed in deeds)


async def test_a_worker_that_neither_plane_hears_stops_by_itself(scene: Scene) -> None:
    """What would have ended later was stopped, and what had ended was refused: its outcome came too late."""
    deeds = scene.deeds(["alone"])
    assert deeds["1 stopped"] > 0
    assert deeds["1 done"] + deeds["1 stopped"] == deeds["1 entered"]
    assert scene.refused("alone").keys() == {task["id"] for task in scene.of("alone")}
    late = {task_id for task_id, where in scene.refused("alone").items() if where == "finish"}
    assert len(late) == deeds["1 done"] > 0


async def test_a_worker_that_was_stopped_past_its_lease_has_its_results_refused(scene: Scene) -> None:
    assert scene.refused("frozen").keys() == {task["id"] for task in scene.of("frozen")}


async def test_all_of_them_work_on_when_it_is_over(scene: Scene) -> None:
    fleet = scene.fleet
    for name in LOSING:
        assert await fleet.worker_of(fleet[name]) != scene.first_ids[name]
        assert len(fleet[name].log_events("lease.lost")) == 1
    ids = await fleet.submit_many([{"agent": "slow", "input": {"seconds": 2}}] * (SLOTS * len(WORKERS)))
    await fleet.all_entered(ids)
    [row] = await fleet.rows("SELECT count(DISTINCT worker_id) n FROM tasks WHERE status = 'running'")
    assert row["n"] == len(WORKERS)
    tasks = await fleet.all_ended(ids)
    assert {(task["status"], task["attempt"]) for task in tasks} == {("succeeded", 1)}
    await fleet.nothing_left()
