"""Whatever falls over inside a worker, no task stays running there without anybody who runs it."""

import asyncio

from dayshift.domain.events import Fault
from dayshift.domain.settings import AgentSettings, Settings
from dayshift.domain.task import Started, Status
from dayshift.telemetry import subscribe
from dayshift.worker import judging, leftovers
from tests.worker.house import working


async def test_an_attempt_whose_end_cannot_be_judged_is_a_failure(house, monkeypatch):
    def fall_over(*_):
        raise RuntimeError("a bug in the judge")

    monkeypatch.setattr(judging.Judge, "of_ending", fall_over)
    house.settings = Settings(agents={"echo": AgentSettings(max_attempts=1)})
    async with working(house) as worker:
        task = await house.finished(await house.submit("echo", text="a"))
        assert (task.status, task.error.code) == (Status.FAILED, "agent_error")
        assert "RuntimeError: a bug in the judge" in task.error.message
        assert not worker.has_stuck_code


async def test_what_runs_here_by_the_ledger_and_is_held_by_nobody_is_handed_back(house, monkeypatch):
    monkeypatch.setattr(leftovers, "LOOK_SECONDS", 0.05)
    house.settings = Settings(agents={"echo": AgentSettings(enabled=False)})
    faults, lost = [], asyncio.Event()

    def hear(fault):
        faults.append(fault)
        lost.set()

    async with working(house) as worker:
        held = await house.submit("waits")
        await house.event(held, "waiting")
        task_id = await house.submit("echo", text="a")
        end = subscribe(Fault, hear)
        assert isinstance(await house.services.starting.start(task_id, worker.worker_id), Started)
        await asyncio.wait_for(lost.wait(), 10)
        house.settings = Settings()
        worker.look_again()
        task = await house.finished(task_id)
        end()
        assert (task.status, task.attempt, task.failures, task.losses) == (Status.SUCCEEDED, 2, 0, 0)
        assert [fault.error_type for fault in faults] == ["AttemptLost"]
        assert (await house.ledger.tasks.get(held, None)).attempt == 1
