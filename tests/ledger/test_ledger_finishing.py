import asyncio
from datetime import timedelta

import msgspec
import pytest
from ledger_builders import (
    accept,
    finish,
    from_now,
    new_worker,
    outcome_of,
    reason,
    running,
    sql,
    start,
    while_changed_by_another,
)

from dayshift.domain.task import Status, TaskError, Timing, Usage
from dayshift.ledger import Outcome

BROKEN = TaskError("agent_error", "ValueError: no", retryable=True)


async def test_a_success_is_stored_with_its_output_usage_and_timing(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    usage, timing = Usage(input_tokens=5, cost_usd=0.25), Timing(llm=1.5)
    finished = await finish(ledger, started, worker, output=b'{"a":[1]}', usage=usage, timing=timing)
    assert (finished.accepted, finished.status) == (True, Status.SUCCEEDED)
    task = await ledger.tasks.get(started.id, None)
    assert (bytes(task.output), task.error, task.usage) == (b'{"a":[1]}', None, usage)
    assert task.timing.llm == 1.5
    assert task.timing.total == pytest.approx((task.finished_at - task.created_at).total_seconds(), abs=1e-5)
    assert task.finished_at == finished.finished_at
    assert msgspec.json.decode(msgspec.json.encode(task))["output"] == {"a": [1]}


async def test_a_row_that_changed_while_its_lock_was_waited_for_is_finished_all_the_same(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    finished = await while_changed_by_another(database_url, started.id, finish(ledger, started, worker, output=b"1"))
    assert (finished.accepted, finished.status) == (True, Status.SUCCEEDED)
    task = await ledger.tasks.get(started.id, None)
    assert (task.status, bytes(task.output), task.trace_id) == (Status.SUCCEEDED, b"1", "changed")


@pytest.mark.by_url
async def test_finishing_twice_is_recorded_once_and_still_mine(ledger):
    worker = await new_worker(ledger)
    outcome = outcome_of(await running(ledger, worker), worker, output=b"1")
    first, again = await ledger.tasks.finish([outcome]), await ledger.tasks.finish([outcome])
    assert first == again
    assert first[0].accepted
    other = outcome_of(await running(ledger, worker), worker)
    answers = await asyncio.gather(*[ledger.tasks.finish([other]) for _ in range(8)])
    assert all(answer.accepted for (answer,) in answers)


async def test_another_outcome_of_the_same_attempt_is_refused(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await finish(ledger, started, worker, output=b"1")
    late = await finish(ledger, started, worker, Outcome.FAILED, error=BROKEN)
    assert (late.accepted, late.status) == (False, Status.SUCCEEDED)
    assert bytes((await ledger.tasks.get(started.id, None)).output) == b"1"


async def test_the_fence_wants_the_right_attempt_of_the_right_worker(ledger):
    worker, stranger = await new_worker(ledger), await new_worker(ledger)
    first = await running(ledger, worker)
    assert not (await finish(ledger, first, stranger)).accepted
    await finish(ledger, first, worker, Outcome.GIVEN_BACK)
    second = await start(ledger, first.id, worker)
    late = await finish(ledger, first, worker, output=b"1")
    assert (late.accepted, late.status) == (False, Status.RUNNING)
    assert (await finish(ledger, second, worker, output=b"2")).accepted
    assert bytes((await ledger.tasks.get(first.id, None)).output) == b"2"


async def test_a_retry_waits_keeps_its_seq_and_counts_a_failure(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    finished = await finish(ledger, started, worker, Outcome.RETRY, error=BROKEN, retry_delay_seconds=30)
    task = await ledger.tasks.get(started.id, None)
    assert (task.status, task.failures, task.attempt, task.error) == (Status.QUEUED, 1, 1, BROKEN)
    assert timedelta(seconds=25) < finished.run_at - task.started_at < timedelta(seconds=40)
    assert finished.finished_at is None
    (place,) = await ledger.tasks.delayed_page(60, 10)
    assert (place.id, place.seq) == (started.id, started.seq)
    assert place.run_at_ms == round(finished.run_at.timestamp() * 1000)


async def test_a_failure_is_a_dead_letter(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await finish(ledger, started, worker, Outcome.FAILED, error=BROKEN)
    (dead,) = await ledger.tasks.dead("acme")
    assert (dead.id, dead.failures, dead.error) == (started.id, 1, BROKEN)


async def test_giving_back_counts_nothing(ledger):
    worker, other = await new_worker(ledger), await new_worker(ledger)
    started = await running(ledger, worker)
    finished = await finish(ledger, started, worker, Outcome.GIVEN_BACK)
    assert finished.status == Status.QUEUED
    again = await start(ledger, started.id, other)
    assert (again.attempt, again.failures, again.losses) == (2, 0, 0)
    assert again.started_at == started.started_at


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.SUCCEEDED, Status.SUCCEEDED),
        (Outcome.FAILED, Status.FAILED),
        (Outcome.CANCELLED, Status.CANCELLED),
        (Outcome.RETRY, Status.CANCELLED),
        (Outcome.GIVEN_BACK, Status.CANCELLED),
    ],
)
async def test_what_a_requested_cancel_does_to_each_outcome(ledger, outcome, status):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await ledger.tasks.cancel("acme", started.id)
    finished = await finish(ledger, started, worker, outcome)
    assert (finished.accepted, finished.status) == (True, status)
    assert (await ledger.tasks.get(started.id, None)).status == status


async def test_a_retry_beyond_the_expiry_fails_as_expired(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, expires_at=from_now(20))
    soon = await finish(ledger, started, worker, Outcome.RETRY, error=BROKEN, retry_delay_seconds=0)
    assert soon.status == Status.QUEUED
    again = await start(ledger, started.id, worker)
    late = await finish(ledger, again, worker, Outcome.RETRY, error=BROKEN, retry_delay_seconds=60)
    assert (late.status, late.error.code) == (Status.FAILED, "expired")
    assert "ValueError: no" in late.error.message


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), -5.0])
async def test_a_delay_that_is_no_number_is_none(ledger, delay):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    assert (await finish(ledger, started, worker, Outcome.RETRY, retry_delay_seconds=delay)).status == Status.QUEUED
    assert reason(await start(ledger, started.id, worker)) == "started"


async def test_an_erased_task_is_superseded(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await sql(database_url, "DELETE FROM tasks")
    assert not (await finish(ledger, started, worker)).accepted


async def test_a_repeat_that_arrives_after_the_next_start_is_still_mine(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    outcome = outcome_of(started, worker, Outcome.RETRY, error=BROKEN)
    await ledger.tasks.finish([outcome])
    await start(ledger, started.id, worker)
    (repeat,) = await ledger.tasks.finish([outcome])
    assert repeat.accepted
    assert (await ledger.tasks.get(started.id, None)).failures == 1


async def test_a_batch_answers_in_order_and_its_parts_do_not_mix(ledger):
    worker = await new_worker(ledger)
    tasks = [await running(ledger, worker) for _ in range(10)]
    gone = await accept(ledger)
    outcomes = [
        outcome_of(started, worker, Outcome.SUCCEEDED if n % 2 else Outcome.RETRY, output=b"1", error=BROKEN)
        for n, started in enumerate(tasks)
    ]
    answers = await ledger.tasks.finish([*outcomes, msgspec.structs.replace(outcomes[0], task_id=gone)])
    assert [answer.task_id for answer in answers] == [*[started.id for started in tasks], gone]
    assert [answer.accepted for answer in answers] == [True] * 10 + [False]
    assert [answer.status for answer in answers[:4]] == [Status.QUEUED, Status.SUCCEEDED] * 2
