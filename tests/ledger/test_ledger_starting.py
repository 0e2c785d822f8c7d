import asyncio

import pytest
from ledger_builders import (
    accept,
    finish,
    from_now,
    new_worker,
    reason,
    running,
    sql,
    start,
    while_changed_by_another,
    worker_row,
)

from dayshift.domain import ids
from dayshift.domain.task import Started, Status
from dayshift.ledger import Outcome, StartWish


@pytest.mark.by_url
async def test_a_start_gives_all_that_the_executor_needs(ledger):
    worker = await new_worker(ledger)
    task_id = await accept(ledger, input=b'{"x":1}', metadata=b'{"m":2}', timeout_seconds=9.5, user="u", priority=7)
    started = await start(ledger, task_id, worker, version="v7")
    assert isinstance(started, Started)
    assert (started.id, started.attempt, started.failures, started.losses) == (task_id, 1, 0, 0)
    assert (started.input, started.metadata, started.timeout_seconds) == (b'{"x":1}', b'{"m":2}', 9.5)
    assert (started.agent, started.queue, started.tenant, started.user) == ("echo", "default", "acme", "u")
    task = await ledger.tasks.get(task_id, None)
    assert (task.status, task.attempt, task.version) == (Status.RUNNING, 1, "v7")
    assert task.started_at == started.started_at


@pytest.mark.by_url
async def test_of_twenty_workers_that_want_the_same_tasks_each_is_granted_once(ledger):
    workers = [await new_worker(ledger) for _ in range(20)]
    tasks = [await accept(ledger) for _ in range(30)]
    asked = [
        [StartWish(task_id=task, worker_id=worker) for task in tasks[n:] + tasks[:n]]
        for n, worker in enumerate(workers)
    ]
    answers = await asyncio.gather(*[ledger.tasks.start(wishes) for wishes in asked])
    granted = [answer.id for batch in answers for answer in batch if isinstance(answer, Started)]
    assert sorted(granted) == sorted(tasks)
    assert {reason(answer) for batch in answers for answer in batch} == {"started", "running"}
    assert all(task.attempt == 1 for task in await ledger.tasks.get_many(tasks))


async def test_a_row_that_changed_while_its_lock_was_waited_for_is_started_all_the_same(ledger, database_url):
    worker, task_id = await new_worker(ledger), await accept(ledger)
    started = await while_changed_by_another(database_url, task_id, start(ledger, task_id, worker))
    assert (reason(started), started.trace_id) == ("started", "changed")
    task = await ledger.tasks.get(task_id, None)
    assert (task.status, task.attempt) == (Status.RUNNING, 1)


async def test_a_repeated_wish_is_the_same_attempt_and_another_wish_is_refused(ledger):
    worker = await new_worker(ledger)
    wish = StartWish(task_id=await accept(ledger), worker_id=worker)
    first, again = await ledger.tasks.start([wish]), await ledger.tasks.start([wish])
    assert first == again
    assert reason(await start(ledger, wish.task_id, worker)) == "running"


async def test_the_same_task_twice_in_a_batch_is_granted_once(ledger):
    worker, task_id = await new_worker(ledger), await accept(ledger)
    answers = await ledger.tasks.start([StartWish(task_id=task_id, worker_id=worker) for _ in range(3)])
    assert [reason(answer) for answer in answers] == ["started", "running", "running"]


async def test_refusals_say_what_the_ledger_knows(ledger):
    worker = await new_worker(ledger)
    later = await accept(ledger, delay_seconds=60)
    done = await running(ledger, worker)
    await finish(ledger, done, worker)
    refused = await start(ledger, later, worker)
    assert reason(refused) == "not_due"
    task = await ledger.tasks.get(later, None)
    assert refused.run_at_ms == round(task.run_at.timestamp() * 1000)
    assert reason(await start(ledger, done.id, worker)) == "final"
    assert reason(await start(ledger, ids.new(ids.TASK), worker)) == "gone"


async def test_a_worker_that_is_released_or_unknown_starts_nothing(ledger):
    task_id = await accept(ledger)
    assert reason(await start(ledger, task_id, ids.new(ids.WORKER))) == "worker_released"
    worker = await new_worker(ledger)
    await ledger.workers.release(worker, "test")
    assert reason(await start(ledger, task_id, worker)) == "worker_released"


async def test_only_a_released_workers_task_is_taken_over(ledger):
    dead, alive = await new_worker(ledger), await new_worker(ledger)
    lost = await running(ledger, dead)
    assert reason(await start(ledger, lost.id, alive)) == "running"
    await ledger.workers.release(dead, "lease ran out")
    taken = await start(ledger, lost.id, alive)
    assert (taken.attempt, taken.losses, taken.failures) == (2, 1, 0)
    assert not (await finish(ledger, lost, dead)).accepted
    assert (await finish(ledger, taken, alive)).accepted


async def test_a_dead_workers_result_counts_while_nobody_has_taken_over(ledger):
    dead, alive = await new_worker(ledger), await new_worker(ledger)
    lost = await running(ledger, dead)
    await ledger.workers.release(dead, "lease ran out")
    assert (await finish(ledger, lost, dead, output=b"42")).accepted
    assert reason(await start(ledger, lost.id, alive)) == "final"


async def test_after_two_losses_in_a_row_it_starts_in_quarantine_only(ledger):
    task_id = await accept(ledger)
    for expected_losses in (0, 1):
        worker = await new_worker(ledger)
        started = await start(ledger, task_id, worker)
        assert started.losses == expected_losses
        await ledger.workers.release(worker, "died")
    worker = await new_worker(ledger)
    assert reason(await start(ledger, task_id, worker)) == "quarantine"
    alone = await start(ledger, task_id, worker, quarantine=True)
    assert (alone.attempt, alone.losses) == (3, 2)
    await finish(ledger, alone, worker, Outcome.GIVEN_BACK)
    assert reason(await start(ledger, task_id, worker)) == "quarantine"
    again = await start(ledger, task_id, worker, quarantine=True)
    await finish(ledger, again, worker, Outcome.RETRY)
    assert reason(await start(ledger, task_id, worker)) == "started"


async def test_a_lease_that_its_process_outlived_is_a_loss_without_suspicion(ledger):
    task_id = await accept(ledger)
    for expected_losses in (0, 1, 2):
        worker = await new_worker(ledger)
        assert (await start(ledger, task_id, worker)).losses == expected_losses
        if expected_losses == 1:  # others may have been first: the word of the process counts all the same
            await ledger.workers.release(worker, "silent")
        await ledger.workers.release(worker, "lease lost", process_lives=True)
    alone = await new_worker(ledger)
    assert (await start(ledger, task_id, alone, quarantine=True)).losses == 3
    await ledger.workers.release(alone, "drained", process_lives=True)
    assert await ledger.workers.poison_quarantined(alone, was_seen=True) == []
    assert (await start(ledger, task_id, await new_worker(ledger))).losses == 4


async def test_death_in_quarantine_is_poison(ledger):
    task_id = await accept(ledger, conversation="c")
    for _ in range(2):
        worker = await new_worker(ledger)
        await start(ledger, task_id, worker)
        await ledger.workers.release(worker, "died")
    alone, neighbour = await new_worker(ledger), await accept(ledger)
    await start(ledger, task_id, alone, quarantine=True)
    assert await ledger.workers.poison_quarantined(alone, was_seen=True) == []
    await start(ledger, neighbour, alone)
    await ledger.workers.release(alone, "died")
    (poisoned,) = await ledger.workers.poison_quarantined(alone, was_seen=True)
    assert (poisoned.id, poisoned.status, poisoned.error.code, poisoned.losses) == (task_id, Status.FAILED, "poison", 3)
    assert [place.id for place in await ledger.tasks.running_of(alone)] == [neighbour]
    follower = await ledger.tasks.accept([__import__("ledger_builders").new_task(conversation="c")])
    assert follower[0].is_head


async def test_silence_in_quarantine_is_poison_only_when_it_comes_again_and_again(ledger):
    task_id = await accept(ledger)
    for _ in range(2):
        worker = await new_worker(ledger)
        await start(ledger, task_id, worker)
        await ledger.workers.release(worker, "silent")
    for expected_losses in (2, 3, 4):
        alone = await new_worker(ledger)
        assert (await start(ledger, task_id, alone, quarantine=True)).losses == expected_losses
        await ledger.workers.release(alone, "silent")
        poisoned = await ledger.workers.poison_quarantined(alone, was_seen=False)
        assert [(task.id, task.losses) for task in poisoned] == ([(task_id, 5)] if expected_losses == 4 else [])


async def test_a_task_past_its_expiry_is_ended_by_the_start_and_by_a_repeat_told_again(ledger, database_url):
    worker = await new_worker(ledger)
    task_id = await accept(ledger, expires_at=from_now(3600), conversation="c")
    await sql(database_url, "UPDATE tasks SET expires_at = now() - interval '1 second'")
    wish = StartWish(task_id=task_id, worker_id=worker)
    for _ in range(2):
        (refused,) = await ledger.tasks.start([wish])
        assert (refused.reason, refused.conversation) == ("expired", ("acme", "c"))
    assert reason(await start(ledger, task_id, worker)) == "final"
    task = await ledger.tasks.get(task_id, None)
    assert (task.status, task.error.code, task.attempt) == (Status.FAILED, "expired", 0)
    assert (await sql(database_url, "SELECT unfinished FROM conversations"))[0]["unfinished"] == 0


async def test_a_cancelled_task_of_a_dead_worker_is_ended_by_the_next_start(ledger):
    dead, alive = await new_worker(ledger), await new_worker(ledger)
    lost = await running(ledger, dead, conversation="c")
    await ledger.tasks.cancel("acme", lost.id)
    await ledger.workers.release(dead, "died")
    wish = StartWish(task_id=lost.id, worker_id=alive)
    assert [(await ledger.tasks.start([wish]))[0].reason for _ in range(2)] == ["cancelled", "cancelled"]
    task = await ledger.tasks.get(lost.id, None)
    assert (task.status, task.losses, task.error.code) == (Status.CANCELLED, 1, "cancelled")


async def test_starts_and_finishes_in_opposite_orders_do_not_deadlock(ledger):
    workers = [await new_worker(ledger) for _ in range(4)]
    tasks = [await accept(ledger, conversation=f"c{n}") for n in range(40)]
    for _ in range(3):

        async def one(worker, order):
            answers = await ledger.tasks.start([StartWish(task_id=task, worker_id=worker) for task in order])
            mine = [answer for answer in answers if isinstance(answer, Started)]
            from ledger_builders import outcome_of

            return await ledger.tasks.finish([outcome_of(s, worker, Outcome.GIVEN_BACK) for s in reversed(mine)])

        done = await asyncio.gather(*[one(w, tasks if n % 2 else tasks[::-1]) for n, w in enumerate(workers)])
        assert all(finished.accepted for batch in done for finished in batch)


async def test_registering_again_keeps_a_release(ledger):
    row = worker_row()
    assert await ledger.workers.register(row)
    assert await ledger.workers.register(row)
    await ledger.workers.release(row.id, "died")
    assert not await ledger.workers.register(row)
