"""The way out: nothing lost, no failure and no loss added."""

import asyncio

from dayshift.domain import clock
from dayshift.domain.events import WorkerStopped
from dayshift.domain.task import Status
from dayshift.telemetry import subscribe
from dayshift.worker import attempt as attempt_module
from tests.worker.house import agents_under_test, until, working


async def test_what_ends_within_the_grace_ends_and_the_rest_is_handed_back(house):
    async with working(house, grace_seconds=1.0) as worker:
        short, long = await house.submit("naps", seconds=0.5), await house.submit("waits")
        await house.event(long, "waiting")
        await house.event(short, "task.started")
        queued_after = asyncio.create_task(house.event(long, "task.queued"))
        worker.drain()
        assert (await house.finished(short)).status is Status.SUCCEEDED
        await queued_after
    task = await house.ledger.tasks.get(long, None)
    assert (task.status, task.failures, task.losses) == (Status.QUEUED, 0, 0)
    assert await house.ledger.workers.list() == []
    place = await house.ledger.tasks.place_of(long)
    assert await house.plane.enqueue([place]) == ["ready"]


async def test_a_second_request_skips_the_grace(house):
    async with working(house) as worker:
        task_id = await house.submit("waits")
        await house.event(task_id, "waiting")
        began_mono = clock.monotonic_seconds()
        worker.drain()
        worker.stop_hard()
    assert clock.monotonic_seconds() - began_mono < 5
    task = await house.ledger.tasks.get(task_id, None)
    assert (task.status, task.failures, task.losses) == (Status.QUEUED, 0, 0)


async def test_what_was_handed_back_is_run_by_the_next_worker(house):
    async with working(house):
        task_id = await house.submit("naps", seconds=2.0)
        await house.event(task_id, "task.started")
    async with working(house):
        task = await house.finished(task_id)
    assert (task.status, task.attempt, task.failures, task.losses) == (Status.SUCCEEDED, 2, 0, 0)


async def test_a_draining_worker_claims_nothing_more(house):
    async with working(house, grace_seconds=2.0) as worker:
        first = await house.submit("naps", seconds=1.0)
        await house.event(first, "task.started")
        worker.drain()
        later = await house.submit("echo", text="later")
        await house.finished(first)
    task = await house.ledger.tasks.get(later, None)
    assert (task.status, task.attempt) == (Status.QUEUED, 0)


async def test_a_start_that_is_granted_during_a_hard_stop_is_handed_back_before_the_lease(house, monkeypatch):
    starting = house.services.starting
    write, wait = starting._commits._write, starting.all_given_back
    granted, gate, stopped_after = asyncio.Event(), asyncio.Event(), []

    async def answer_late(wishes):
        answers = await write(wishes)
        granted.set()
        await gate.wait()
        return answers

    async def open_gate_and_wait():
        gate.set()
        await wait()

    monkeypatch.setattr(starting._commits, "_write", answer_late)
    monkeypatch.setattr(starting, "all_given_back", open_gate_and_wait)
    finished = house.services.finishing.finish

    async def note_finish(*said):
        answer = await finished(*said)
        stopped_after.append(answer.status)
        return answer

    monkeypatch.setattr(house.services.finishing, "finish", note_finish)
    end = subscribe(WorkerStopped, lambda _: stopped_after.append("stopped"))
    async with working(house) as worker:
        task_id = await house.submit("echo", text="a")
        await asyncio.wait_for(granted.wait(), 10)
        worker.stop_hard()
    end()
    assert stopped_after == [Status.QUEUED, "stopped"]
    task = await house.ledger.tasks.get(task_id, None)
    assert (task.status, task.attempt, task.losses) == (Status.QUEUED, 1, 0)


async def test_a_plain_function_that_is_handed_back_can_act_no_more(house, tmp_path, monkeypatch):
    """Nobody can stop its thread; but its task is another's now, so `ctx.emit` refuses it."""
    monkeypatch.setattr(attempt_module, "HAND_BACK_AFTER_SECONDS", 0.2)
    log = tmp_path / "acts"
    async with working(house, grace_seconds=0.1) as worker:
        agents_under_test().RELEASE.clear()
        task_id = await house.submit("goes_on", log=str(log))
        await house.event(task_id, "acting")
        worker.drain()
        await until(lambda: worker._slots.busy == 0, seconds=5)  # and not when its lease has run out, 8 s later
    task = await house.ledger.tasks.get(task_id, None)
    assert (task.status, task.failures, task.losses) == (Status.QUEUED, 0, 0)
    assert log.read_text().splitlines()
