"""Conversations at work: each in order, one at a time, with a history that is what was said, however many workers die."""

import asyncio
import itertools
import os
import signal
import subprocess

import msgspec

from dayshift.domain.task import Status, Task
from dayshift.journal.history import History
from tests.worker.house import TENANT, House, until, working
from tests.worker.test_lost_leases import end_processes, until_listed

CONVERSATIONS, MESSAGES, KILLS = (int(n) for n in os.environ.get("DAYSHIFT_TEST_TALKS", "5x6x3").split("x"))


async def test_plain_agents_converse_as_well(house):
    async with working(house):
        for told in (["hi"], ["hi", "hi"]):
            task_id = await house.submit("chats_plainly", options={"conversation": "c"})
            assert msgspec.json.decode((await house.finished(task_id)).output) == told


async def test_conversations_keep_their_order_and_their_history_while_workers_are_killed(house: House):
    workers = [house.start_process() for _ in range(2)]
    names = [f"c{number}" for number in range(CONVERSATIONS)]
    ended: list[str] = []
    try:
        await until_listed(house, 2)
        conversing = asyncio.gather(*(_converse(house, name, ended) for name in names))
        for kill in range(1, KILLS + 1):
            at = kill * CONVERSATIONS * MESSAGES // (KILLS + 1)
            await until(lambda at=at: len(ended) >= at or conversing.done(), seconds=300)
            await _kill_one(house, workers, conversing)
        told = dict(zip(names, await conversing, strict=True))
    finally:
        end_processes(workers)
    for name, tasks in told.items():
        assert [task.status for task in tasks] == [Status.SUCCEEDED] * MESSAGES, [task.error for task in tasks]
        assert all(before.finished_at <= after.started_at for before, after in itertools.pairwise(tasks)), name
        history = await History(house.ledger, TENANT, name).read(None, None)
        said = [msgspec.json.decode(message)["content"] for message in history.messages]
        assert said == [one for number in range(MESSAGES) for one in (number, 2 * number + 1)], name
    lost = sum(task.losses for tasks in told.values() for task in tasks)
    killed = len(workers) - 2
    print(f"{len(told)} conversations of {MESSAGES} messages, {killed} workers killed, {lost} attempts lost")
    assert lost > 0


async def _converse(house: House, name: str, ended: list[str]) -> list[Task]:
    """Send every message without waiting for the one before to be worked on."""
    sent = [await house.submit("chats", number=number, options={"conversation": name}) for number in range(MESSAGES)]
    tasks = []
    for task_id in sent:
        tasks.append(await house.finished(task_id, 300))
        ended.append(task_id)
    return tasks


async def _kill_one(house: House, workers: list, conversing: asyncio.Future) -> None:
    """One that runs something, if any still does, and start another in its place."""
    while (busy := await _busy_worker(house, conversing)) is not None:
        worker_id, pid = busy
        worker = next(worker for worker in workers if worker.pid == pid)
        if await _is_stopped_at_work(house, worker_id, worker):
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            workers.append(house.start_process())
            await house.services.rescue.rescue_worker(worker_id, "killed")
            return
        worker.send_signal(signal.SIGCONT)


async def _is_stopped_at_work(house: House, worker_id: str, worker: subprocess.Popen[bytes]) -> bool:
    """Stopped, for the task that was running at a look may have ended before a signal arrives."""
    worker.send_signal(signal.SIGSTOP)
    return bool(await house.ledger.tasks.running_of(worker_id))


async def _busy_worker(house: House, conversing: asyncio.Future) -> tuple[str, int] | None:
    async with asyncio.timeout(60):
        while not conversing.done():
            for row in await house.ledger.workers.list():
                if await house.ledger.tasks.running_of(row.id):
                    return row.id, row.pid
            await asyncio.sleep(0.01)
    return None
