"""Short ways to say what a ledger test needs."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from dayshift.domain import ids
from dayshift.domain.task import NewTask, Started
from dayshift.ledger import Finish, Ledger, Outcome, StartRefusal, StartWish, WorkerRow


def new_task(**fields) -> NewTask:
    return NewTask(
        **{
            "id": ids.new(ids.TASK),
            "tenant": "acme",
            "agent": "echo",
            "queue": "default",
            "input": b'{"n":1}',
            **fields,
        }
    )


def worker_row(**fields) -> WorkerRow:
    return WorkerRow(
        **{
            "id": ids.new(ids.WORKER),
            "pid": 1,
            "host": "box",
            "version": "v1",
            "agents": ["echo"],
            "slots": 8,
            **fields,
        }
    )


async def new_worker(ledger: Ledger) -> str:
    worker = worker_row()
    assert await ledger.workers.register(worker)
    return worker.id


async def accept(ledger: Ledger, **fields) -> str:
    task = new_task(**fields)
    await ledger.tasks.accept([task])
    return task.id


async def start(ledger: Ledger, task_id: str, worker_id: str, **fields) -> Started | StartRefusal:
    return (await ledger.tasks.start([StartWish(task_id=task_id, worker_id=worker_id, **fields)]))[0]


async def running(ledger: Ledger, worker_id: str, **fields) -> Started:
    started = await start(ledger, await accept(ledger, **fields), worker_id)
    assert isinstance(started, Started)
    return started


def outcome_of(started: Started, worker_id: str, outcome: Outcome = Outcome.SUCCEEDED, **fields) -> Finish:
    return Finish(task_id=started.id, attempt=started.attempt, worker_id=worker_id, outcome=outcome, **fields)


async def finish(ledger: Ledger, started: Started, worker_id: str, outcome: Outcome = Outcome.SUCCEEDED, **fields):
    return (await ledger.tasks.finish([outcome_of(started, worker_id, outcome, **fields)]))[0]


def reason(answer: Started | StartRefusal) -> str:
    return answer.reason if isinstance(answer, StartRefusal) else "started"


def from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def sql(url: str, statement: str, *arguments):
    """Look at, or bend, the database behind the ledger's back."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


async def while_changed_by_another(
    url: str, task_id: str, statement: Coroutine[Any, Any, Any], change: str = "trace_id = 'changed'"
) -> Any:
    """The answer of a statement that meets a task's row locked, waits, and finds it changed."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(10):
            changing = connection.transaction()
            await changing.start()
            await connection.execute(f"UPDATE tasks SET {change} WHERE id = $1", task_id.removeprefix("task_"))
            answer = asyncio.ensure_future(statement)
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.005)
            await changing.commit()
            return await answer
    finally:
        await connection.close()
