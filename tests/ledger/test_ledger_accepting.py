import asyncio
from datetime import timedelta

import pytest
from ledger_builders import accept, from_now, new_task, sql

from dayshift.domain import ids
from dayshift.domain.task import Status
from dayshift.ledger import BadRow, GroupCommit


@pytest.mark.by_url
async def test_an_accepted_task_reads_back_as_it_came(ledger):
    task = new_task(
        input=b'{"q": "caf\xc3\xa9 \\u0000"}',
        metadata=b'{"a":1}',
        priority=9,
        user="u1",
        conversation="c1",
        trace_id="f" * 32,
        queue="fast",
    )
    (accepted,) = await ledger.tasks.accept([task])
    assert accepted.task_id == task.id
    assert accepted.is_head
    read = await ledger.tasks.get(task.id, "acme")
    assert read is not None
    assert bytes(read.input) == task.input
    assert bytes(read.metadata) == task.metadata
    assert bytes(read.output) == b"null"
    assert (read.status, read.attempt, read.priority) == (Status.QUEUED, 0, 9)
    assert (read.user, read.conversation, read.queue, read.trace_id) == ("u1", "c1", "fast", "f" * 32)
    assert read.created_at == accepted.created_at
    assert read.run_at == accepted.run_at


async def test_answers_keep_the_order_of_the_batch_and_seq_grows(ledger):
    batch = [new_task() for _ in range(50)]
    answers = await ledger.tasks.accept(batch)
    assert [answer.task_id for answer in answers] == [task.id for task in batch]
    later = await ledger.tasks.accept([new_task()])
    assert later[0].seq > max(answer.seq for answer in answers)


async def test_an_empty_batch_is_answered_by_nothing(ledger):
    assert await ledger.tasks.accept([]) == []
    assert await ledger.tasks.start([]) == []
    assert await ledger.tasks.finish([]) == []


async def test_delay_and_run_at_come_from_the_ledgers_clock_and_never_lie_in_the_past(ledger):
    delayed, dated, past = new_task(delay_seconds=60), new_task(run_at=from_now(3600)), new_task(run_at=from_now(-3600))
    a, b, c = await ledger.tasks.accept([delayed, dated, past])
    assert timedelta(seconds=59) < a.run_at - a.created_at <= timedelta(seconds=60)
    assert b.run_at.replace(microsecond=0) == dated.run_at.replace(microsecond=0)
    assert abs(c.run_at - c.created_at) < timedelta(milliseconds=2)


async def test_a_repeated_batch_inserts_and_counts_nothing_twice(ledger, database_url):
    batch = [
        new_task(conversation="c"),
        new_task(conversation="c"),
        new_task(idempotency_key="k", idempotency_hash=b"h"),
    ]
    first = await ledger.tasks.accept(batch)
    assert await ledger.tasks.accept(batch) == first
    assert [row["unfinished"] for row in await sql(database_url, "SELECT unfinished FROM conversations")] == [2]
    assert len(await ledger.tasks.list("acme")) == 3


async def test_two_tries_of_one_batch_at_once_insert_it_once(ledger, database_url):
    batch = [new_task(conversation=f"c{n % 3}", idempotency_key=f"k{n}", idempotency_hash=b"h") for n in range(20)]
    answers = await asyncio.gather(*[ledger.tasks.accept(batch) for _ in range(6)])
    assert all([a.seq for a in answer] == [a.seq for a in answers[0]] for answer in answers)
    assert all(answer.replay_of is None for tried in answers for answer in tried)
    rows = await sql(database_url, "SELECT sum(unfinished) AS n FROM conversations")
    assert rows[0]["n"] == 20


async def test_a_key_answers_with_the_task_that_owns_it(ledger):
    owner = new_task(idempotency_key="k", idempotency_hash=b"body")
    await ledger.tasks.accept([owner])
    same, other = (new_task(idempotency_key="k", idempotency_hash=body) for body in (b"body", b"other"))
    (replayed,) = await ledger.tasks.accept([same])
    assert (replayed.replay_of, replayed.same_body) == (owner.id, True)
    (conflicting,) = await ledger.tasks.accept([other])
    assert (conflicting.replay_of, conflicting.same_body) == (owner.id, False)
    assert await ledger.tasks.get(same.id, None) is None


async def test_keys_are_a_tenants_own(ledger):
    a, b = (new_task(tenant=tenant, idempotency_key="k", idempotency_hash=b"h") for tenant in ("acme", "globex"))
    answers = await ledger.tasks.accept([a, b])
    assert [answer.replay_of for answer in answers] == [None, None]


async def test_two_equal_keys_in_one_batch_are_owner_and_replay(ledger):
    tasks = [new_task(idempotency_key="k", idempotency_hash=b"h", conversation="c") for _ in range(3)]
    mixed = [tasks[0], new_task(), tasks[1], new_task(), tasks[2]]
    answers = await ledger.tasks.accept(mixed)
    assert [answer.replay_of for answer in answers] == [None, None, tasks[0].id, None, tasks[0].id]
    assert len(await ledger.tasks.list("acme")) == 3


async def test_of_many_equal_requests_at_once_one_owns_the_key(ledger):
    tasks = [new_task(idempotency_key="k", idempotency_hash=b"h") for _ in range(12)]
    answers = await asyncio.gather(*[ledger.tasks.accept([task]) for task in tasks])
    owners = [answer.task_id for (answer,) in answers if answer.replay_of is None]
    assert len(owners) == 1
    assert {answer.replay_of for (answer,) in answers} == {None, owners[0]}
    assert len(await ledger.tasks.list("acme")) == 1


async def test_a_key_is_overtaken_after_a_day(ledger, database_url):
    await accept(ledger, idempotency_key="k", idempotency_hash=b"h")
    await sql(database_url, "UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 second'")
    second = new_task(idempotency_key="k", idempotency_hash=b"other")
    (answer,) = await ledger.tasks.accept([second])
    assert answer.replay_of is None
    (third,) = await ledger.tasks.accept([new_task(idempotency_key="k", idempotency_hash=b"other")])
    assert third.replay_of == second.id


async def test_only_the_first_of_a_conversation_is_its_head(ledger):
    answers = await ledger.tasks.accept([new_task(conversation="c") for _ in range(3)] + [new_task(conversation="d")])
    assert [answer.is_head for answer in answers] == [True, False, False, True]
    (late,) = await ledger.tasks.accept([new_task(conversation="c")])
    assert not late.is_head


async def test_concurrent_accepts_to_one_conversation_agree_on_one_head(ledger, database_url):
    answers = await asyncio.gather(*[ledger.tasks.accept([new_task(conversation="c")]) for _ in range(16)])
    assert sum(answer.is_head for (answer,) in answers) == 1
    assert (await sql(database_url, "SELECT unfinished FROM conversations"))[0]["unfinished"] == 16


@pytest.mark.parametrize(
    "bad",
    [
        {"tenant": "nul\0byte"},
        {"user": "lone \ud800 surrogate"},
        {"priority": 10},
        {"priority": 2**40},
        {"queue": 7},
        {"idempotency_key": "x" * 9000, "idempotency_hash": b"h"},
    ],
)
async def test_a_refused_value_fails_only_its_own_row(ledger, bad):
    if "x" * 9000 in bad.values():
        bad = {**bad, "idempotency_key": "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(9000))}
    group = GroupCommit("accept", ledger.tasks.accept)
    tasks = [new_task(), new_task(**bad), new_task()]
    answers = await asyncio.gather(*[group.submit(task, 100) for task in tasks], return_exceptions=True)
    assert isinstance(answers[1], BadRow)
    assert [answers[0].task_id, answers[2].task_id] == [tasks[0].id, tasks[2].id]
    await group.close()


async def test_a_task_with_an_id_far_from_now_falls_into_the_net(ledger):
    task = new_task(id="task_00000000-0000-7000-8000-000000000000")
    await ledger.tasks.accept([task])
    assert await ledger.tasks.get(task.id, None) is not None
    assert ids.is_valid(ids.TASK, task.id)
