"""What is asked of a task in the very moment in which another transaction changes it: the question waits, and then sees it whole."""

import asyncio
import contextlib

import asyncpg
import pytest
from ledger_builders import finish, new_worker, running
from test_ledger_effects import effect_of

from dayshift.domain import clock
from dayshift.domain.errors import Conflict
from dayshift.domain.task import Status
from dayshift.ledger import EffectWrite, Outcome
from dayshift.ledger.rows import bare
from dayshift.ledger.statements import SQL

TENANT = "acme"


class Change:
    """What another transaction has done, and when it began to commit it."""

    def __init__(self, transaction):
        self.transaction = transaction
        self.committed_at = None

    async def commit(self):
        self.committed_at = clock.now()
        await self.transaction.commit()


@contextlib.asynccontextmanager
async def committing(url, statement, *arguments):
    """A change that is made and not committed; `change.commit()` commits it."""
    connection = await asyncpg.connect(url)
    change = Change(connection.transaction())
    await change.transaction.start()
    await connection.execute(statement, *arguments)
    try:
        yield change
    finally:
        await connection.close()


async def meanwhile(url, change, question):
    """The answer of a question that was asked before the change was committed, and had to wait for it."""
    asked = asyncio.create_task(question)
    watching = await asyncpg.connect(url)
    async with asyncio.timeout(5):
        while not await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    await watching.close()
    await change.commit()
    return await asked


FAILED_ONCE = "UPDATE tasks SET status = 'queued', worker_id = NULL, failures = 1 WHERE id = $1"
PARKED = "UPDATE tasks SET status = 'waiting', worker_id = NULL, waiting_for = '{}' WHERE id = $1"


@pytest.mark.parametrize("committed", [FAILED_ONCE, PARKED])
async def test_a_cancel_meets_an_outcome(ledger, database_url, committed):
    started = await running(ledger, await new_worker(ledger))
    async with committing(database_url, committed, bare(started.id)) as change:
        done = await meanwhile(database_url, change, ledger.tasks.cancel(TENANT, started.id))
    assert done.task.status is Status.CANCELLED
    assert done.worker_id is None
    assert done.task.finished_at > change.committed_at, "it had not ended while its lock was waited for"


async def test_a_cancel_meets_a_start(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await finish(ledger, started, worker, Outcome.GIVEN_BACK)
    again = "UPDATE tasks SET status = 'running', worker_id = $2, attempt = attempt + 1, start_id = $2 WHERE id = $1"
    async with committing(database_url, again, bare(started.id), bare(worker)) as change:
        done = await meanwhile(database_url, change, ledger.tasks.cancel(TENANT, started.id))
    assert (done.task.status, done.worker_id) == (Status.RUNNING, worker)


async def test_a_child_s_end_meets_its_parent_s_park(ledger, database_url):
    started = await running(ledger, await new_worker(ledger))
    async with committing(database_url, PARKED, bare(started.id)) as change:
        (woken,) = await meanwhile(database_url, change, ledger.waits.wake([started.id]))
    assert woken.place.id == started.id
    assert (await ledger.tasks.get(started.id, TENANT)).status is Status.QUEUED


async def test_a_retry_meets_an_outcome(ledger, database_url):
    started = await running(ledger, await new_worker(ledger))
    failed = (
        "UPDATE tasks SET status = 'failed', worker_id = NULL, finished_at = now(), error_code = 'x', error_message = '', "
        "error_retryable = false WHERE id = $1"
    )
    async with committing(database_url, failed, bare(started.id)) as change:
        place = await meanwhile(database_url, change, ledger.tasks.retry(TENANT, started.id))
    assert place.id == started.id
    with pytest.raises(Conflict):
        await ledger.tasks.retry(TENANT, started.id)


async def test_an_effect_meets_a_signal(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    async with committing(database_url, SQL["wake_tasks"], [bare(started.id)]) as change:
        write = EffectWrite(effect_of(started), worker, None)
        (answer,) = await meanwhile(database_url, change, ledger.effects.record([write]))
    assert answer.ruling == "recorded"
