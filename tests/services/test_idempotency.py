"""One key, one task: whatever is repeated, and whoever is first."""

import asyncio
from datetime import timedelta

import pytest

from dayshift.domain.clock import now
from dayshift.domain.errors import Conflict, InvalidInput
from dayshift.domain.task import Status
from dayshift.tasks import inputs

from .conftest import TENANT, Hands, House


async def test_a_repeat_finds_the_task_as_it_is_now(house: House, hands: Hands) -> None:
    first = await house.submit("a", idempotency_key="k1")
    await house.told()
    await hands.claim()
    await hands.run(first.task.id)
    again = await house.submit("a", idempotency_key="k1")
    assert again.replayed
    assert again.task.id == first.task.id
    assert again.task.status is Status.SUCCEEDED


async def test_another_body_under_the_same_key_is_refused(house: House) -> None:
    await house.submit("a", idempotency_key="k1")
    with pytest.raises(InvalidInput) as caught:
        await house.submit("b", idempotency_key="k1")
    assert caught.value.code == "idempotency_key_reused"
    await house.submit("b", idempotency_key="k1", tenant="another")


async def test_many_at_once_make_one_task(house: House) -> None:
    receipts = await asyncio.gather(*(house.submit("a", idempotency_key="k1") for _ in range(20)))
    assert len({receipt.task.id for receipt in receipts}) == 1
    assert [receipt.replayed for receipt in receipts].count(False) == 1


async def test_a_refused_request_keeps_no_key(house: House) -> None:
    with pytest.raises(InvalidInput):
        await house.submit("x" * 20_000, idempotency_key="k1")
    assert not (await house.submit("a", idempotency_key="k1")).replayed


async def test_a_rejected_request_leaves_nothing_behind(house: House) -> None:
    await house.submit("first", conversation="c")
    with pytest.raises(Conflict) as caught:
        await house.submit("second", conversation="c", on_busy="reject", idempotency_key="k1")
    assert caught.value.code == "conversation_busy"
    assert len(await house.ledger.tasks.list(TENANT)) == 1
    assert not (await house.submit("third", conversation="d", on_busy="reject", idempotency_key="k1")).replayed


async def test_a_repeat_is_answered_although_the_request_would_not_be_valid_any_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = now() + timedelta(seconds=60)
    first = await house.submit("a", idempotency_key="k1", expires_at=expires_at)
    monkeypatch.setattr(inputs, "now", lambda: expires_at + timedelta(seconds=1))
    again = await house.submit("a", idempotency_key="k1", expires_at=expires_at)
    assert (again.task.id, again.replayed) == (first.task.id, True)
    for changed in ({"idempotency_key": "k2"}, {"idempotency_key": "k1", "priority": 7}, {"idempotency_key": "k\0"}):
        with pytest.raises(InvalidInput) as caught:
            await house.submit("a", expires_at=expires_at, **changed)
        assert caught.value.code == "invalid_input"
