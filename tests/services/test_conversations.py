"""Tasks of a conversation run one at a time, in the order of their acceptance."""

import asyncio

import pytest

from dayshift.domain.errors import Conflict, LedgerAway
from dayshift.domain.task import Started, Status, TaskError
from dayshift.ledger import StartRefusal
from dayshift.tasks import Outcome

from .conftest import TENANT, Hands, House


async def test_only_the_head_is_claimable_and_each_finish_brings_the_next(house: House, hands: Hands) -> None:
    sent = [(await house.submit(str(number), conversation="c")).task.id for number in range(5)]
    order = []
    for _ in sent:
        await house.told()
        claimed = await hands.claim(10)
        assert len(claimed) == 1
        order += claimed
        await hands.run(claimed[0])
    assert order == sent


async def test_many_conversations_at_once_keep_each_order(house: House, hands: Hands) -> None:
    conversations = [f"c{number}" for number in range(8)]
    sent = {name: [(await house.submit(str(n), conversation=name)).task.id for n in range(6)] for name in conversations}
    ran: list[str] = []

    async def work() -> None:
        other = await Hands(house).register()
        while len(ran) < 48:
            for task_id in await other.claim(3):
                if isinstance(started := await other.start(task_id), Started):
                    ran.append(task_id)
                    outcome = Outcome(kind="succeeded", output=b"1")
                    await house.services.finishing.finish(started, other.id, outcome)
            await asyncio.sleep(0.005)

    async with asyncio.timeout(60):
        await asyncio.gather(work(), work(), work())
    for name in conversations:
        assert [task_id for task_id in ran if task_id in sent[name]] == sent[name]


async def test_a_retry_keeps_its_turn_and_a_dead_letter_lets_the_next_go(house: House, hands: Hands) -> None:
    first = (await house.submit("1", conversation="c")).task.id
    second = (await house.submit("2", conversation="c")).task.id
    await house.told()
    (claimed,) = await hands.claim(5)
    started = await hands.start(claimed)
    assert isinstance(started, Started)
    retry = Outcome(kind="retry", error=TaskError("agent_error", "x", retryable=True), retry_delay_seconds=0.2)
    await house.services.finishing.finish(started, hands.id, retry)
    await house.told()
    assert await hands.claim_within(5, 5) == [first]
    started = await hands.start(first)
    assert isinstance(started, Started)
    await house.services.finishing.finish(started, hands.id, Outcome(kind="failed", error=TaskError("fatal", "x")))
    assert await hands.claim_within(5, 5) == [second]


async def test_one_that_is_proposed_out_of_turn_is_refused_and_comes_later(house: House, hands: Hands) -> None:
    await house.submit("1", conversation="c")
    second = (await house.submit("2", conversation="c")).task.id
    await house.told()
    refusal = await hands.start(second)
    assert isinstance(refusal, StartRefusal)
    assert refusal.reason == "conversation_busy"
    first = (await hands.claim_within(5))[0]
    await hands.run(first)
    assert await hands.claim_within(5) == [second]


async def test_cancelling_the_head_lets_the_next_go(house: House, hands: Hands) -> None:
    first = (await house.submit("1", conversation="c")).task.id
    second = (await house.submit("2", conversation="c")).task.id
    await house.services.control.cancel(first, TENANT)
    await house.told()
    ready = await hands.claim_within(5, 5)
    while second not in ready:
        assert isinstance(await hands.start(ready[0]), StartRefusal)
        ready = await hands.claim_within(5, 5)
    assert isinstance(await hands.start(second), Started)


async def test_interrupt_cancels_what_was_before_and_then_runs(house: House, hands: Hands) -> None:
    running = (await house.submit("1", conversation="c")).task.id
    queued = (await house.submit("2", conversation="c")).task.id
    await house.told()
    await hands.claim()
    started = await hands.start(running)
    assert isinstance(started, Started)
    last = (await house.submit("3", conversation="c", on_busy="interrupt")).task.id
    after = (await house.submit("4", conversation="c")).task.id
    states = {task.id: task.status for task in await house.ledger.tasks.list(TENANT)}
    assert states == {
        running: Status.RUNNING,
        queued: Status.CANCELLED,
        last: Status.QUEUED,
        after: Status.QUEUED,
    }
    assert (await house.ledger.poll(hands.id)).cancels == [running]
    await house.services.finishing.finish(started, hands.id, Outcome(kind="cancelled"))
    assert await hands.claim_within(5, 5) == [last]


async def test_of_interrupts_in_one_commit_the_last_one_runs(house: House, hands: Hands) -> None:
    first = (await house.submit("1", conversation="c")).task.id
    receipts = await asyncio.gather(
        *(house.submit(str(number), conversation="c", on_busy="interrupt") for number in range(8))
    )
    assert len({receipt.task.created_at for receipt in receipts}) < len(receipts)  # some came in one commit
    states = {task.id: task.status for task in await house.ledger.tasks.list(TENANT)}
    assert states.pop(first) is Status.CANCELLED
    assert sorted(states.values()) == [Status.CANCELLED] * 7 + [Status.QUEUED]
    (left,) = [task_id for task_id, status in states.items() if status is Status.QUEUED]
    await house.told()
    assert left in await hands.claim_within(5, 10)


async def test_the_repeat_of_an_interrupt_interrupts_what_the_first_try_did_not_come_to(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_task_id: str) -> list[str]:
        raise LedgerAway("PostgreSQL does not answer")

    first = (await house.submit("1", conversation="c")).task.id
    with monkeypatch.context() as patch:
        patch.setattr(house.ledger.tasks, "unfinished_before", away)
        with pytest.raises(LedgerAway):
            await house.submit("2", conversation="c", on_busy="interrupt", idempotency_key="k")
    assert (await house.submit("2", conversation="c", on_busy="interrupt", idempotency_key="k")).replayed
    task = await house.ledger.tasks.get(first, TENANT)
    assert task is not None
    assert task.status is Status.CANCELLED


@pytest.mark.parametrize("starts_too", [False, True])
async def test_what_would_be_rejected_and_finds_its_turn_come_is_accepted(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch, starts_too: bool
) -> None:
    await house.submit("1", conversation="c")
    await house.told()
    withdraw = house.ledger.tasks.withdraw

    async def too_late(tenant: str, task_id: str) -> bool:
        await hands.run((await hands.claim_within(5))[0])
        if starts_too:
            assert isinstance(await hands.start(task_id), Started)
        return await withdraw(tenant, task_id)

    monkeypatch.setattr(house.ledger.tasks, "withdraw", too_late)
    second = (await house.submit("2", conversation="c", on_busy="reject", idempotency_key="k")).task.id
    monkeypatch.undo()
    assert (await house.submit("2", conversation="c", on_busy="reject", idempotency_key="k")).task.id == second
    if not starts_too:
        assert await hands.claim_within(5) == [second]


async def test_a_rejected_request_is_not_counted_and_its_repeat_is_rejected_too(
    house: House, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_tenant: str, _task_id: str) -> bool:
        raise LedgerAway("PostgreSQL does not answer")

    first = (await house.submit("1", conversation="c")).task.id
    with monkeypatch.context() as patch:
        patch.setattr(house.ledger.tasks, "withdraw", away)
        with pytest.raises(LedgerAway):
            await house.submit("2", conversation="c", on_busy="reject", idempotency_key="k")
    with pytest.raises(Conflict):
        await house.submit("2", conversation="c", on_busy="reject", idempotency_key="k")
    assert [task.id for task in await house.ledger.tasks.list(TENANT)] == [first]
    await house.told()
    await hands.run((await hands.claim_within(5))[0])
    assert not (await house.submit("2", conversation="c", on_busy="reject", idempotency_key="k")).replayed
