"""One worker and what becomes of the attempts that it runs."""

import asyncio
from datetime import timedelta

from dayshift.domain import clock
from dayshift.domain.events import Fault
from dayshift.domain.settings import AgentSettings, QueueSettings, Settings
from dayshift.domain.task import Status
from dayshift.telemetry import subscribe
from dayshift.worker import attempt as attempt_module
from tests.worker.house import agents_under_test, until, working


async def test_async_and_plain_agents_succeed_with_their_events_and_times(house):
    async with working(house):
        echo, plain = await house.submit("echo", text="hi"), await house.submit("plain", text="hi")
        task = await house.finished(echo)
        assert (task.status, bytes(task.output), task.attempt) == (Status.SUCCEEDED, b'"acme:1:hi"', 1)
        assert task.timing.total > 0
        assert (await house.event(echo, "echoing"))["length"] == 2
        assert (await house.event(echo, "task.succeeded"))["attempt"] == 1
        assert bytes((await house.finished(plain)).output) == b'"HI"'
        assert (await house.event(plain, "plain"))["text"] == "hi"


async def test_a_failure_is_tried_again_until_it_works_or_attempts_are_used_up(house):
    async with working(house):
        works, never = await house.submit("fails", times=2), await house.submit("fails", times=99)
        task = await house.finished(works)
        assert (task.status, task.attempt, task.failures) == (Status.SUCCEEDED, 3, 2)
        task = await house.finished(never)
        assert (task.status, task.attempt, task.failures) == (Status.FAILED, 3, 3)
        assert (task.error.code, task.error.message) == ("agent_error", "ValueError: failure 3")
        assert (await house.event(works, "task.retrying"))["error"]["message"] == "ValueError: failure 1"


async def test_retry_waits_as_long_as_it_asks_for(house):
    async with working(house):
        task_id = await house.submit("asks_again", after=0.7)
        assert bytes((await house.finished(task_id)).output) == b"2"
        first, second = agents_under_test().SEEN[task_id]
        assert 0.7 <= second - first < 3


async def test_what_is_final_is_not_tried_again(house):
    async with working(house):
        fatal, bad = await house.submit("gives_up"), await house.submit("not_json")
        task = await house.finished(fatal)
        assert (task.status, task.attempt, task.error.code) == (Status.FAILED, 1, "fatal")
        task = await house.finished(bad)
        assert (task.status, task.attempt, task.error.code) == (Status.FAILED, 1, "invalid_output")


async def test_timeouts_are_failures_and_the_tasks_own_wins(house):
    async with working(house):
        task = await house.finished(await house.submit("too_slow"))
        assert (task.error.code, task.attempt, task.failures) == ("timeout", 2, 2)
        task_id = await house.submit("waits", options={"timeout": 0.2})
        retrying = await house.event(task_id, "task.retrying")
        assert retrying["error"]["code"] == "timeout"


async def test_settings_override_timeout_and_attempts(house):
    house.settings = Settings(agents={"waits": AgentSettings(timeout=0.1, max_attempts=1)})
    async with working(house):
        task = await house.finished(await house.submit("waits"))
        assert (task.error.code, task.attempt) == ("timeout", 1)


async def test_expires_at_ends_a_running_attempt(house):
    async with working(house):
        soon = clock.now() + timedelta(seconds=1)
        task = await house.finished(await house.submit("waits", options={"expires_at": soon}))
        assert (task.status, task.error.code, task.attempt) == (Status.FAILED, "expired", 1)


async def test_a_cancel_reaches_the_running_code_within_a_second(house):
    async with working(house):
        task_id = await house.submit("waits")
        await house.event(task_id, "waiting")
        asked_mono = clock.monotonic_seconds()
        await house.services.control.cancel(task_id, "acme")
        task = await house.finished(task_id)
        assert task.status is Status.CANCELLED
        assert clock.monotonic_seconds() - asked_mono < 1


async def test_code_that_swallows_a_cancel_is_fenced_and_keeps_its_slot(house, monkeypatch):
    monkeypatch.setattr(attempt_module, "FENCE_AFTER_SECONDS", 0.5)
    faults = []
    end = subscribe(Fault, faults.append)
    async with working(house, slots=1) as worker:
        task_id = await house.submit("swallows")
        await house.event(task_id, "waiting")
        await house.services.control.cancel(task_id, "acme")
        assert (await house.finished(task_id)).status is Status.CANCELLED
        assert [fault.error_type for fault in faults] == ["CodeDidNotEnd"]
        assert worker.has_stuck_code
        queued = await house.submit("echo", text="later")
        agents_under_test().RELEASE.set()
        assert (await house.finished(queued)).status is Status.SUCCEEDED
        await until(lambda: not worker.has_stuck_code)
    agents_under_test().RELEASE.clear()
    end()


async def test_a_process_whose_slots_do_not_come_back_drains_and_ends(house, monkeypatch):
    monkeypatch.setattr(attempt_module, "FENCE_AFTER_SECONDS", 0.3)
    faults = []
    end = subscribe(Fault, faults.append)
    async with working(house, recycle_after_seconds=0.2) as worker:
        task_id = await house.submit("swallows")
        await house.event(task_id, "waiting")
        await house.services.control.cancel(task_id, "acme")
        await house.finished(task_id)
        await until(lambda: "StuckCode" in [fault.error_type for fault in faults])
        async with asyncio.timeout(15):
            while await house.ledger.workers.list():
                await asyncio.sleep(0.02)
        assert worker.has_stuck_code, "its supervisor ends the process that it still runs in"
    agents_under_test().RELEASE.set()
    await until(lambda: not worker.has_stuck_code)
    agents_under_test().RELEASE.clear()
    end()


async def test_a_paused_queue_and_a_disabled_agent_wait_until_they_are_let_go(house):
    house.settings = Settings(queues={"default": QueueSettings(paused=True)})
    async with working(house) as worker:
        task_id = await house.submit("echo", text="a")
        assert await house.services.waiters.wait(task_id, "acme", 0.5) is None
        house.settings = Settings(agents={"echo": AgentSettings(enabled=False)})
        worker.look_again()
        assert (await house.finished(await house.submit("plain", text="b"))).status is Status.SUCCEEDED
        assert await house.services.waiters.wait(task_id, "acme", 0.2) is None
        house.settings = Settings()
        worker.look_again()
        assert (await house.finished(task_id, 1)).status is Status.SUCCEEDED


async def test_many_tasks_pass_through_few_slots(house):
    async with working(house, slots=5):
        ids = await asyncio.gather(*(house.submit("naps", seconds=0.001) for _ in range(200)))
        tasks = await asyncio.gather(*(house.finished(task_id) for task_id in ids))
        assert {task.status for task in tasks} == {Status.SUCCEEDED}
        assert {task.attempt for task in tasks} == {1}


async def test_the_time_of_an_attempt_is_told_by_what_it_went_into(house):
    async with working(house):
        task = await house.finished(await house.submit("naps_in_a_step", seconds=0.3))
    timing = task.timing
    assert 0.3 <= timing.tools < timing.total
    assert 0 < timing.ledger < timing.total
    assert 0 <= timing.own < 0.3
    parts = timing.queued + timing.starting + timing.llm + timing.tools + timing.ledger + timing.own
    assert parts <= timing.total + 0.05
