"""A task that took two workers with it runs alone."""

import os
import subprocess
import sys

from dayshift.domain.task import Status
from tests.worker.house import agents_under_test, until, working


async def lose_twice(house, worker, task_id):
    """Declare the worker dead while it runs the task, twice over."""
    for losses in (1, 2):
        await until(lambda expected=losses: len(agents_under_test().SEEN.get(task_id, ())) >= expected)
        worker_id = worker.worker_id
        await house.services.rescue.rescue_worker(worker_id, "test")
        await until(lambda lost=worker_id: worker.worker_id != lost)


async def test_it_may_still_succeed_in_a_process_of_its_own(house):
    async with working(house) as worker:
        task_id = await house.submit("naps", seconds=2.5)
        await lose_twice(house, worker, task_id)
        task = await house.finished(task_id)
        assert (task.status, task.attempt, task.losses, task.failures) == (Status.SUCCEEDED, 3, 2, 0)
        [child] = house.children
        assert int(bytes(task.output)) == child.pid != os.getpid()
        assert await child.wait() == 0
        await until(lambda: not worker.has_stuck_code)


async def test_a_drained_worker_has_its_child_hand_the_task_back(house):
    async with working(house, grace_seconds=0.1) as worker:
        task_id = await house.submit("waits")
        await lose_twice(house, worker, task_id)
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
