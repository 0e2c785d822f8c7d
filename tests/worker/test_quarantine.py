"""A task that took two workers with it runs alone."""

import asyncio
import os
import subprocess
import sys

import pytest

from dayshift.agents import load
from dayshift.domain import ids
from dayshift.domain.events import Fault
from dayshift.domain.task import Started, Status
from dayshift.ledger import WorkerRow
from dayshift.telemetry import subscribe
from dayshift.worker import Lease
from dayshift.worker import quarantine as quarantine_module
from dayshift.worker.attempt import Attempt
from dayshift.worker.quarantine import Quarantine
from dayshift.worker.registration import Registration
from tests.worker.house import AGENTS, agents_under_test, until, working


async def lose_twice(house, worker, task_id, monkeypatch):
    """Declare the worker dead while it runs the task, twice over, as if the task had stopped its heart."""
    monkeypatch.setattr(Lease, "was_held_up", True)
    for losses in (1, 2):
        await until(lambda expected=losses: len(agents_under_test().SEEN.get(task_id, ())) >= expected)
        worker_id = worker.worker_id
        await house.services.rescue.rescue_worker(worker_id, "test")
        await until(lambda lost=worker_id: worker.worker_id != lost)


async def test_it_may_still_succeed_in_a_process_of_its_own(house, monkeypatch):
    async with working(house) as worker:
        task_id = await house.submit("naps", seconds=2.5)
        await lose_twice(house, worker, task_id, monkeypatch)
        task = await house.finished(task_id)
        assert (task.status, task.attempt, task.losses, task.failures) == (Status.SUCCEEDED, 3, 2, 0)
        [child] = house.children
        assert int(bytes(task.output)) == child.pid != os.getpid()
        assert await child.wait() == 0
        await until(lambda: not worker.has_stuck_code)


async def test_a_drained_worker_has_its_child_hand_the_task_back(house, monkeypatch):
    async with working(house, grace_seconds=0.1) as worker:
        task_id = await house.submit("waits")
        await lose_twice(house, worker, task_id, monkeypatch)
        await until(lambda: house.children)
        await third_attempt(house, task_id)
        worker.drain()
    [child] = house.children
    assert await child.wait() == 0
    task = await house.ledger.tasks.get(task_id, None)
    assert (task.status, task.attempt, task.losses, task.failures) == (Status.QUEUED, 3, 2, 0)


def test_code_that_holds_the_interpreter_lock_ends_with_its_process():
    program = (
        "import re\n"
        "from dayshift.worker import alone\n"
        "alone.MARGIN_SECONDS = alone.FENCE_AFTER_SECONDS = 0\n"
        "alone.end_unless_finished(0.5)\n"
        "re.match(r'(a|aa)+$', 'a' * 60 + 'b')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr


async def third_attempt(house, task_id):
    async for event in house.services.waiters.stream(task_id, "acme"):
        if event.type == "agent.event" and b'"attempt":3' in event.data:
            return


class StubbornChild:
    """Starts its task and then leaves it running: it could not tell the ledger, and ends only when killed."""

    pid = 0

    def __init__(self):
        self.ended = asyncio.Event()
        self.exit_code = 0

    async def wait_ended(self):
        await self.ended.wait()
        return self.exit_code

    def drain(self):
        return

    def kill(self):
        self.exit_code = -9
        self.ended.set()


async def test_a_child_that_may_not_start_its_task_is_not_started_in_a_circle(house):
    """Of a pinned task, when the code on disk has changed since this worker began."""
    faults, spawned = [], []
    end = subscribe(Fault, faults.append)

    async def spawn(task_id, worker_id):
        spawned.append(worker_id)
        child = StubbornChild()
        child.ended.set()
        return child

    parent = Lease(ids.new(ids.WORKER))
    await Registration(house.ledger, load(str(AGENTS)), 1).register_agents()
    await Registration(house.ledger, load(str(AGENTS)), 1).register_worker(parent)
    task_id = await house.submit("echo", text="a")
    await house.services.outbox.delivered()
    claim = lambda: house.plane.claim(parent.worker_id, ids.new("claim_"), [("echo", -1)], 1)  # noqa: E731 - one line says it
    assert (await claim()).task_ids == [task_id]
    await Quarantine(house.ledger, house.plane, house.services.rescue, spawn).run(Attempt(task_id, parent))
    end()
    again = await claim()
    assert (again.task_ids, len(spawned)) == ([], 1)
    assert again.next_due_ms is not None, "it comes back in some seconds"
    assert [(fault.where, fault.error_type) for fault in faults] == [("quarantine", "NotStarted")]


@pytest.mark.parametrize("is_killed_from_here", [True, False])
async def test_a_child_that_could_not_hand_its_task_back_is_no_proof_of_poison(house, monkeypatch, is_killed_from_here):
    monkeypatch.setattr(quarantine_module, "END_SECONDS", 0.01)
    services, child, started = house.services, StubbornChild(), asyncio.Event()

    async def register(worker_id):
        await house.ledger.workers.register(WorkerRow(id=worker_id, pid=0, host="", version="", agents=[], slots=1))

    async def spawn(task_id, worker_id):
        await register(worker_id)
        assert isinstance(await services.starting.start(task_id, worker_id, quarantine=True), Started)
        started.set()
        return child

    parent = Lease(ids.new(ids.WORKER))
    await Registration(house.ledger, load(str(AGENTS)), 1).register_agents()
    await register(parent.worker_id)
    task_id = await house.submit("echo", text="a")
    await services.outbox.delivered()
    claim = lambda: house.plane.claim(parent.worker_id, ids.new("claim_"), [("echo", -1)], 1)  # noqa: E731 - one line says it
    assert (await claim()).task_ids == [task_id]
    quarantine = Quarantine(house.ledger, house.plane, services.rescue, spawn)
    running = asyncio.create_task(quarantine.run(Attempt(task_id, parent)))
    await started.wait()
    if is_killed_from_here:
        running.cancel()
    else:
        child.ended.set()
    await asyncio.gather(running, return_exceptions=True)
    assert (await house.ledger.tasks.get(task_id, None)).status is Status.RUNNING
    assert (await claim()).task_ids == [task_id]
    taken = await services.starting.start(task_id, parent.worker_id)
    assert isinstance(taken, Started)
    assert (taken.attempt, taken.losses) == (2, 1)
