import asyncio
import random

import pytest
from ledger_builders import accept, finish, new_task, new_worker, reason, running, sql, start

from dayshift.domain.task import Started, Status
from dayshift.ledger import Outcome, StartWish


@pytest.mark.by_url
async def test_one_runs_at_a_time_in_the_order_of_acceptance(ledger):
    worker = await new_worker(ledger)
    first, second, third = [await accept(ledger, conversation="c") for _ in range(3)]
    assert reason(await start(ledger, second, worker)) == "conversation_busy"
    answers = await ledger.tasks.start([StartWish(task_id=one, worker_id=worker) for one in (third, second, first)])
    assert [reason(answer) for answer in answers] == ["conversation_busy", "conversation_busy", "started"]
    finished = await finish(ledger, answers[2], worker)
    assert finished.conversation_has_next
    (head,) = await ledger.tasks.conversation_heads([("acme", "c")])
    assert head.id == second
    assert reason(await start(ledger, third, worker)) == "conversation_busy"


async def test_the_last_one_reports_no_next(ledger):
    worker = await new_worker(ledger)
    only = await running(ledger, worker, conversation="c")
    assert not (await finish(ledger, only, worker)).conversation_has_next
    assert await ledger.tasks.conversation_heads([("acme", "c"), ("acme", "unknown")]) == []


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.GIVEN_BACK])
async def test_a_task_keeps_its_conversation_while_it_waits_for_another_attempt(ledger, outcome):
    worker = await new_worker(ledger)
    first, second = [await accept(ledger, conversation="c") for _ in range(2)]
    started = await start(ledger, first, worker)
    assert not (await finish(ledger, started, worker, outcome, retry_delay_seconds=60)).conversation_has_next
    assert reason(await start(ledger, second, worker)) == "conversation_busy"
    (head,) = await ledger.tasks.conversation_heads([("acme", "c")])
    assert head.id == first
    assert (head.run_at_ms > 0) == (outcome == Outcome.RETRY)


async def test_a_dead_letter_lets_the_next_go_and_its_retry_goes_last(ledger):
    worker = await new_worker(ledger)
    first, second, third = [await accept(ledger, conversation="c") for _ in range(3)]
    await finish(ledger, await start(ledger, first, worker), worker, Outcome.FAILED)
    await ledger.tasks.retry("acme", first)
    assert reason(await start(ledger, first, worker)) == "conversation_busy"
    for task_id in (second, third, first):
        (head,) = await ledger.tasks.conversation_heads([("acme", "c")])
        assert head.id == task_id
        await finish(ledger, await start(ledger, task_id, worker), worker)


async def test_a_lower_seq_that_commits_late_waits_for_the_holder(ledger, database_url):
    worker = await new_worker(ledger)
    late, early = new_task(conversation="c"), new_task(conversation="c")
    await ledger.tasks.accept([early])
    holder = await start(ledger, early.id, worker)
    await ledger.tasks.accept([late])
    await sql(database_url, "UPDATE tasks SET seq = -1 WHERE id = $1", late.id.removeprefix("task_"))
    assert reason(await start(ledger, late.id, worker)) == "conversation_busy"
    assert (await finish(ledger, holder, worker, Outcome.GIVEN_BACK)).status == Status.QUEUED
    assert (await ledger.tasks.conversation_heads([("acme", "c")]))[0].id == early.id
    assert isinstance(await start(ledger, early.id, worker), Started)


async def test_cancelling_what_waits_frees_its_place(ledger, database_url):
    worker = await new_worker(ledger)
    first, second, third = [await accept(ledger, conversation="c") for _ in range(3)]
    await ledger.tasks.cancel("acme", second)
    result = await ledger.tasks.cancel("acme", first)
    assert result.conversation_has_next
    assert reason(await start(ledger, third, worker)) == "started"
    assert (await sql(database_url, "SELECT unfinished FROM conversations"))[0]["unfinished"] == 1


async def test_a_cancelled_holder_that_waits_for_a_retry_frees_the_conversation(ledger, database_url):
    worker = await new_worker(ledger)
    first, second = [await accept(ledger, conversation="c") for _ in range(2)]
    await finish(ledger, await start(ledger, first, worker), worker, Outcome.RETRY, retry_delay_seconds=60)
    assert (await ledger.tasks.cancel("acme", first)).task.status == Status.CANCELLED
    assert (await sql(database_url, "SELECT holder FROM conversations"))[0]["holder"] is None
    assert reason(await start(ledger, second, worker)) == "started"


async def test_conversations_of_two_tenants_do_not_meet(ledger):
    worker = await new_worker(ledger)
    a, b = await accept(ledger, conversation="c"), await accept(ledger, conversation="c", tenant="globex")
    assert [reason(await start(ledger, one, worker)) for one in (a, b)] == ["started", "started"]


async def test_under_concurrent_workers_and_senders_order_holds_and_nothing_is_left(ledger, database_url):
    """Senders wait for each answer before the next, workers race for whatever is head: each conversation stays in order."""
    talks, messages = 4, 8
    sent: dict[str, list[str]] = {f"c{n}": [] for n in range(talks)}
    ran: dict[str, list[str]] = {f"c{n}": [] for n in range(talks)}
    now_running: set[str] = set()
    names = [("acme", name) for name in sent]

    async def sender(name: str) -> None:
        for _ in range(messages):
            sent[name].append(await accept(ledger, conversation=name))

    async def worker_loop() -> None:
        worker = await new_worker(ledger)
        while sum(map(len, ran.values())) < talks * messages:
            places = [place for place in await ledger.tasks.conversation_heads(names) if not place.run_at_ms]
            random.shuffle(places)
            for answer in await ledger.tasks.start([StartWish(task_id=p.id, worker_id=worker) for p in places]):
                if not isinstance(answer, Started):
                    assert answer.reason in {"running", "conversation_busy", "final"}
                    continue
                assert answer.conversation not in now_running
                now_running.add(answer.conversation)
                await asyncio.sleep(0)
                again = answer.attempt == 1 and random.random() < 0.3
                now_running.discard(answer.conversation)
                if not again:
                    ran[answer.conversation].append(answer.id)
                outcome = Outcome.GIVEN_BACK if again else Outcome.SUCCEEDED
                assert (await finish(ledger, answer, worker, outcome)).accepted

    async with asyncio.timeout(60):
        await asyncio.gather(*[sender(name) for name in sent], *[worker_loop() for _ in range(3)])
    assert ran == sent
    rows = await sql(database_url, "SELECT sum(unfinished) AS n, count(holder) AS held FROM conversations")
    assert (rows[0]["n"], rows[0]["held"]) == (0, 0)
