import pytest
from ledger_builders import accept, finish, from_now, new_task, new_worker, reason, running, sql, start

from dayshift.domain import ids
from dayshift.domain.errors import Conflict, InvalidInput, NotFound
from dayshift.domain.task import Status
from dayshift.ledger import Outcome


@pytest.mark.by_url
async def test_cancelling_a_queued_task_ends_it_and_a_running_one_is_asked(ledger):
    worker = await new_worker(ledger)
    queued, held = await accept(ledger), await running(ledger, worker)
    result = await ledger.tasks.cancel("acme", queued)
    assert (result.was, result.worker_id, result.task.status) == (Status.QUEUED, None, Status.CANCELLED)
    assert result.task.error.code == "cancelled"
    asked = await ledger.tasks.cancel("acme", held.id)
    assert (asked.was, asked.worker_id, asked.task.status) == (Status.RUNNING, worker, Status.RUNNING)
    assert (await ledger.poll(worker)).cancels == [held.id]
    assert (await ledger.workers.beat(worker, 1, False, 0.0)).cancels == [held.id]
    await finish(ledger, held, worker, Outcome.CANCELLED)
    assert (await ledger.poll(worker)).cancels == []
    again = await ledger.tasks.cancel("acme", held.id)
    assert (again.was, again.task.status) == (Status.CANCELLED, Status.CANCELLED)


@pytest.mark.parametrize("verb", ["cancel", "retry", "erase"])
async def test_unknown_tasks_and_those_of_others_are_not_found(ledger, verb):
    task_id = await accept(ledger)
    for tenant, one in (("globex", task_id), ("acme", ids.new(ids.TASK)), ("acme", "task_nonsense"), ("acme", "")):
        with pytest.raises(NotFound):
            await getattr(ledger.tasks, verb)(tenant, one)
    assert (await ledger.tasks.get(task_id, "acme")).status == Status.QUEUED
    assert await ledger.tasks.get(task_id, "globex") is None
    assert await ledger.tasks.get("task_nonsense", None) is None


async def test_only_a_dead_letter_is_retried_with_a_new_seq_and_no_failures(ledger):
    worker = await new_worker(ledger)
    failed = await running(ledger, worker, expires_at=from_now(3600))
    await finish(ledger, failed, worker, Outcome.FAILED)
    later = await accept(ledger)
    place = await ledger.tasks.retry("acme", failed.id)
    assert place.seq > (await ledger.tasks.place_of(later)).seq
    task = await ledger.tasks.get(failed.id, None)
    assert (task.status, task.failures, task.attempt, task.error) == (Status.QUEUED, 0, 1, None)
    for status in ("queued", "running"):
        with pytest.raises(Conflict, match=status):
            await ledger.tasks.retry("acme", failed.id)
        await start(ledger, failed.id, worker)


async def test_an_expired_dead_letter_can_be_retried(ledger, database_url):
    task_id = await accept(ledger, expires_at=from_now(3600), conversation="c")
    await sql(database_url, "UPDATE tasks SET expires_at = now() - interval '1 second'")
    (failed,) = await ledger.tasks.fail_expired()
    assert (failed.id, failed.error.code, failed.status) == (task_id, "expired", Status.FAILED)
    assert await ledger.tasks.fail_expired() == []
    assert (await ledger.tasks.accept([new_task(conversation="c")]))[0].is_head
    await ledger.tasks.retry("acme", task_id)
    assert await ledger.tasks.fail_expired() == []


async def test_erasing_frees_the_idempotency_key_and_needs_an_end(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, idempotency_key="k", idempotency_hash=b"h")
    with pytest.raises(Conflict, match="Cancel it first"):
        await ledger.tasks.erase("acme", started.id)
    await finish(ledger, started, worker)
    await ledger.tasks.erase("acme", started.id)
    assert await ledger.tasks.get(started.id, None) is None
    (anew,) = await ledger.tasks.accept([new_task(idempotency_key="k", idempotency_hash=b"h")])
    assert anew.replay_of is None


async def test_lists_are_newest_first_filtered_and_paged(ledger):
    worker = await new_worker(ledger)
    made = []
    for n in range(12):
        fields = {"agent": "ab"[n % 2], "user": f"u{n % 3}", "conversation": f"c{n % 4}"}
        made.append((new_task(**fields), fields))
        await ledger.tasks.accept([made[-1][0]])
    await accept(ledger, tenant="globex")
    done = [made[n][0].id for n in (0, 3)]
    for task_id in done:
        await finish(ledger, await start(ledger, task_id, worker), worker)
    made.sort(key=lambda one: one[0].id)  # two ids of one millisecond are in no order
    newest = [task.id for task, _ in reversed(made)]

    async def listed(**filters) -> list[str]:
        return [task.id for task in await ledger.tasks.list("acme", limit=100, **filters)]

    def expected(**filters) -> list[str]:
        return [task.id for task, fields in reversed(made) if all(fields[key] == filters[key] for key in filters)]

    assert await listed() == newest
    assert await listed(status=Status.SUCCEEDED) == sorted(done, reverse=True)
    for filters in (
        {"agent": "a"},
        {"user": "u1"},
        {"conversation": "c3"},
        {"agent": "b", "user": "u2"},
        {"agent": "a", "conversation": "c0"},
        {"agent": "b", "user": "u1", "conversation": "c1"},
    ):
        assert await listed(**filters) == expected(**filters)
    assert await listed(agent="a", status=Status.SUCCEEDED) == done[:1]
    pages, after = [], None
    while page := await ledger.tasks.list("acme", limit=5, after=after):
        after = page[-1].id
        pages += [task.id for task in page]
    assert pages == newest
    with pytest.raises(InvalidInput):
        await ledger.tasks.list("acme", after="nonsense")


async def test_finished_among_tells_only_what_has_ended(ledger):
    worker = await new_worker(ledger)
    done, queued = await running(ledger, worker), await accept(ledger)
    await finish(ledger, done, worker)
    found = await ledger.tasks.finished_among([done.id, queued, ids.new(ids.TASK)])
    assert [task.id for task in found] == [done.id]


async def test_retention_spares_dead_letters_and_what_is_young_or_unfinished(ledger, database_url):
    worker = await new_worker(ledger)
    outcomes = [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED]
    old = [await running(ledger, worker) for _ in outcomes]
    for started, outcome in zip(old, outcomes, strict=True):
        await finish(ledger, started, worker, outcome)
    await accept(ledger, idempotency_key="k", idempotency_hash=b"h", conversation="c")
    await sql(
        database_url, "UPDATE tasks SET finished_at = finished_at - interval '2 days' WHERE finished_at IS NOT NULL"
    )
    await finish(ledger, await running(ledger, worker, conversation="d"), worker)
    assert await ledger.tasks.drop_expired(86_400) == 2
    assert sorted(task.status for task in await ledger.tasks.list("acme")) == ["failed", "queued", "succeeded"]
    assert await ledger.tasks.drop_old_idempotency_keys() == 0
    await sql(database_url, "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert await ledger.tasks.drop_old_idempotency_keys() == 1


async def test_the_table_itself_refuses_states_that_cannot_be(ledger, database_url):
    import asyncpg

    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    for change in (
        "status = 'succeeded'",
        "status = 'queued'",
        "worker_id = NULL",
        "finished_at = now()",
        "status = 'paused'",
        "attempt = 0",
        "failures = 2",
        "losses = 0, poison_losses = 1",
        "output = '1'",
        "error_code = 'x'",
        "status = 'waiting', worker_id = NULL",
        "status = 'failed', worker_id = NULL, finished_at = now()",
        "priority = 10",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await sql(database_url, f"UPDATE tasks SET {change} WHERE id = $1", started.id[5:])
    assert reason(await start(ledger, started.id, worker)) == "running"
