"""A worker that is declared dead, or that is blocked, or dies: who may go on, and who must stop."""

import asyncio
import os
import signal
import time

import pytest
import redis.asyncio

from dayshift.domain.errors import PlaneNotReady, WrongUse
from dayshift.domain.events import Fault, LeaseLost, LoopBlocked, WorkerStopped
from dayshift.domain.task import Status
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.telemetry import subscribe
from dayshift.worker import Lease
from dayshift.worker import lease as lease_module
from dayshift.worker.heartbeat import Heartbeat
from dayshift.worker.slots import Slots
from tests.worker.house import agents_under_test, until, working


async def test_a_superseded_worker_stops_its_attempts_and_goes_on_under_a_new_id(house):
    lost = []
    end = subscribe(LeaseLost, lost.append)
    async with working(house) as worker:
        first_id = worker.worker_id
        task_id = await house.submit("waits")
        await house.event(task_id, "waiting")
        await house.services.rescue.rescue_worker(first_id, "test")
        await until(lambda: worker.worker_id != first_id)
        assert [event.worker_id for event in lost] == [first_id]
        await until(lambda: len(agents_under_test().SEEN[task_id]) == 2)
        task = await house.ledger.tasks.get(task_id, None)
        assert (task.status, task.attempt, task.losses, task.failures) == (Status.RUNNING, 2, 1, 0)
        assert (await house.finished(await house.submit("echo", text="on"))).status is Status.SUCCEEDED
    end()


async def test_leases_that_a_healthy_process_loses_bring_no_task_under_suspicion(house):
    async with working(house) as worker:
        task_id = await house.submit("waits")
        for losses in (1, 2):
            await until(lambda expected=losses: len(agents_under_test().SEEN.get(task_id, ())) == expected)
            lost_id = worker.worker_id
            await house.services.rescue.rescue_worker(lost_id, "no beat arrived")
            await until(lambda lost=lost_id: worker.worker_id != lost)
        await until(lambda: len(agents_under_test().SEEN[task_id]) == 3)  # in this process again
        assert house.children == []


async def test_a_worker_that_neither_plane_confirms_stops_by_itself(house, monkeypatch):
    monkeypatch.setattr(lease_module, "VALID_SECONDS", 1.0)
    lost = []
    end = subscribe(LeaseLost, lost.append)
    unreachable = "postgresql://postgres@127.0.0.1:1/none", "redis://127.0.0.1:1/0"
    planes = lambda: (Ledger(unreachable[0], pool_size=1), Plane(unreachable[1]))  # noqa: E731 - one line says it
    async with working(house, heartbeat_planes=planes) as worker:
        first_id = worker.worker_id
        task_id = await house.submit("waits")
        await until(lambda: lost)
        assert (lost[0].worker_id, lost[0].reason) == (first_id, "confirmed by neither plane for 1 s")
        await until(lambda: worker.worker_id != first_id)
        assert (await house.ledger.tasks.get(task_id, None)).failures == 0
    end()


async def test_a_worker_that_cannot_register_anew_ends(house, monkeypatch):
    stopped = asyncio.Event()
    end = subscribe(WorkerStopped, lambda _: stopped.set())

    async def refuse(*_):
        raise WrongUse("the password is wrong by now")

    async with working(house) as worker:
        monkeypatch.setattr(house.ledger.workers, "register", refuse)
        await house.services.rescue.rescue_worker(worker.worker_id, "test")
        await asyncio.wait_for(stopped.wait(), 15)
    end()


async def test_a_worker_whose_heart_cannot_begin_ends(house):
    stopped, faults = asyncio.Event(), []
    ends = [subscribe(WorkerStopped, lambda _: stopped.set()), subscribe(Fault, faults.append)]

    class Locked(Ledger):
        async def open(self):
            raise WrongUse("the password is wrong by now")

    planes = lambda: (Locked(house.database_url), Plane(house.valkey_url))  # noqa: E731 - one line says it
    async with working(house, heartbeat_planes=planes):
        await asyncio.wait_for(stopped.wait(), 15)
    assert {fault.where for fault in faults} == {"heartbeat", "worker"}
    for end in ends:
        end()


async def test_a_plane_that_is_not_ready_confirms_the_lease_all_the_same(house):
    lease = Lease("worker_1")
    heart = Heartbeat(
        lease,
        Slots(1),
        lambda: (house.ledger, house.plane),
        on_lost=lambda _: None,
        on_cancels=lambda _: None,
        on_broken=lambda _: None,
        loop_lag_seconds=lambda: 0.0,
        is_draining=lambda: False,
    )
    lease.note_held_up()
    house.plane.epoch += 1
    with pytest.raises(PlaneNotReady):
        await heart._beat_plane(house.plane)
    assert not lease.was_held_up  # it was confirmed later than that


async def test_a_worker_that_was_stopped_and_declared_dead_writes_nothing_when_it_goes_on(house, tmp_path):
    log = tmp_path / "log"
    process = house.start_process()
    try:
        await until_listed(house, 1)
        task_id = await house.submit("naps", seconds=1.0, log=str(log))
        await until(log.exists)
        [row] = await house.ledger.workers.list()
        process.send_signal(signal.SIGSTOP)
        await house.services.rescue.rescue_worker(row.id, "stopped")
        async with working(house):
            task = await house.finished(task_id)
            assert (task.attempt, task.losses, int(bytes(task.output))) == (2, 1, os.getpid())
        process.send_signal(signal.SIGCONT)
        await until_listed(house, 1)  # it has registered anew
        [anew] = await house.ledger.workers.list()
        assert (anew.pid, anew.id != row.id) == (process.pid, True)
        task = await house.ledger.tasks.get(task_id, None)
        assert (task.attempt, int(bytes(task.output))) == (2, os.getpid())
    finally:
        end_processes([process])


async def test_a_worker_goes_on_after_the_plane_was_lost(house):
    async with working(house):
        running = await house.submit("naps", seconds=1.0)
        await house.event(running, "task.started")
        client = redis.asyncio.from_url(house.valkey_url)
        await client.flushdb()
        await client.aclose()
        later = await house.submit("echo", text="later")
        assert await house.services.rebuild.rebuild_if_lost()
        assert (await house.finished(later)).status is Status.SUCCEEDED
        task = await house.finished(running)
        assert (task.status, task.attempt) == (Status.SUCCEEDED, 1)


async def test_a_blocked_loop_keeps_its_lease_and_is_reported(house):
    blocked, lost = [], []
    ends = [subscribe(LoopBlocked, blocked.append), subscribe(LeaseLost, lost.append)]
    async with working(house) as worker:
        task_id = await house.submit("blocks", seconds=5.0)
        task = await house.finished(task_id)
        assert (task.status, task.attempt) == (Status.SUCCEEDED, 1)
        [row] = await house.ledger.workers.list()
        assert row.id == worker.worker_id
    assert not lost
    assert any("the_blocking_line" in event.stack for event in blocked)
    for end in ends:
        end()


async def test_when_one_of_two_workers_is_killed_all_tasks_finish(house, tmp_path):
    log = tmp_path / "log"
    workers = [house.start_process() for _ in range(2)]
    try:
        await until_listed(house, 2)
        ids = [await house.submit("naps", seconds=3.0, log=str(log)) for _ in range(16)]
        await until(lambda: log.exists() and len(log.read_text().splitlines()) >= 16)
        doomed = workers[0]
        rows = {row.pid: row.id for row in await house.ledger.workers.list()}
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
        await house.services.rescue.rescue_worker(rows[doomed.pid], "killed")
        tasks = await asyncio.gather(*(house.finished(task_id) for task_id in ids))
        assert {task.status for task in tasks} == {Status.SUCCEEDED}
        assert {int(bytes(task.output)) for task in tasks} == {workers[1].pid} or doomed.pid not in {
            int(bytes(task.output)) for task in tasks
        }
        assert sum(task.losses for task in tasks) > 0
        assert {task.failures for task in tasks} == {0}
    finally:
        end_processes(workers)


async def test_a_task_that_kills_its_workers_becomes_a_dead_letter_and_its_neighbours_do_not(house, tmp_path):
    counter = tmp_path / "counter"
    workers = [house.start_process()]
    try:
        await until_listed(house, 1)
        neighbours = [await house.submit("naps", seconds=0.2) for _ in range(20)]
        killer = await house.submit("exits", counter=str(counter))
        poisoned = asyncio.create_task(house.finished(killer, 90))
        while not poisoned.done():
            await keep_one_alive(house, workers)
        task = await poisoned
        assert (task.status, task.error.code) == (Status.FAILED, "poison")
        lines = counter.read_text().splitlines()
        assert len(lines) == 3
        assert len({line.split()[0] for line in lines}) == 3
        tasks = await asyncio.gather(*(house.finished(task_id) for task_id in neighbours))
        assert {task.status for task in tasks} == {Status.SUCCEEDED}
        assert {task.failures for task in tasks} == {0}
    finally:
        end_processes(workers)


async def test_a_drained_process_ends_by_itself(house):
    process = house.start_process()
    await until_listed(house, 1)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert time.monotonic() - began < 10
    assert await house.ledger.workers.list() == []


async def until_listed(house, count, seconds=20.0):
    async with asyncio.timeout(seconds):
        while len(await house.ledger.workers.list()) < count:
            await asyncio.sleep(0.05)


async def keep_one_alive(house, workers):
    """What a supervisor does: rescue the dead, and start another."""
    current = workers[-1]
    if current.poll() is None:
        await asyncio.sleep(0.05)
        return
    for row in await house.ledger.workers.list():
        if row.pid == current.pid:
            await house.services.rescue.rescue_worker(row.id, "died")
    workers.append(house.start_process())


def end_processes(workers):
    for process in workers:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
