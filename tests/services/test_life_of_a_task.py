"""Submit, claim, start, finish: through both planes, without a worker process."""

import asyncio

import msgspec
import pytest

from dayshift.domain.errors import Conflict, InvalidInput, NotFound
from dayshift.domain.task import Started, Status, TaskError
from dayshift.ledger import StartRefusal
from dayshift.tasks import Outcome, TaskRequest

from .conftest import AGENT, TENANT, Hands, House


async def test_a_task_goes_from_submit_to_its_result(house: House, hands: Hands) -> None:
    receipt = await house.submit("hi", metadata=msgspec.Raw(b'{"n":1}'))
    assert receipt.task.status is Status.QUEUED
    assert receipt.task.trace_id is not None
    await house.told()
    (task_id,) = await hands.claim(5)
    assert task_id == receipt.task.id
    started = await hands.run(task_id)
    assert msgspec.json.decode(started.input) == {"text": "hi"}
    await house.told()
    task = await house.ledger.tasks.get(task_id, TENANT)
    assert task is not None
    assert (task.status, bytes(task.output), task.attempt) == (Status.SUCCEEDED, b'"done"', 1)
    page = await house.plane.read(task_id)
    assert [event.type for event in page.events] == ["task.queued", "task.started", "task.succeeded"]
    final = msgspec.json.decode(page.events[-1].data)
    assert final["task"] == msgspec.json.decode(msgspec.json.encode(task))
    assert await hands.beat([]) == "same"


async def test_the_final_event_says_what_the_row_says_for_every_end(house: House, hands: Hands) -> None:
    ends = {
        "failed": Outcome(kind="failed", error=TaskError("fatal", "no", retryable=False)),
        "cancelled": Outcome(kind="cancelled", error=TaskError("cancelled", "asked to")),
    }
    for kind, outcome in ends.items():
        receipt = await house.submit(kind)
        await house.told()
        await hands.claim()
        started = await hands.start(receipt.task.id)
        assert isinstance(started, Started)
        await house.services.finishing.finish(started, hands.id, outcome)
        await house.told()
        task = await house.ledger.tasks.get(receipt.task.id, TENANT)
        last = (await house.plane.read(receipt.task.id)).events[-1]
        assert last.type == f"task.{kind}"
        assert msgspec.json.decode(last.data)["task"] == msgspec.json.decode(msgspec.json.encode(task))


async def test_a_retry_waits_for_its_time_and_comes_back(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    error = TaskError("agent_error", "boom", retryable=True)
    outcome = Outcome(kind="retry", error=error, retry_delay_seconds=0.3)
    finished = await house.services.finishing.finish(started, hands.id, outcome)
    assert finished.status is Status.QUEUED
    await house.told()
    assert await hands.claim() == []
    (task_id,) = await hands.claim_within(5)
    started = await hands.start(task_id)
    assert isinstance(started, Started)
    assert (started.attempt, started.failures) == (2, 1)
    types = [event.type for event in (await house.plane.read(task_id)).events]
    assert types[:3] == ["task.queued", "task.started", "task.retrying"]


async def test_given_back_costs_nothing_and_is_claimable_at_once(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    await house.services.finishing.give_back(started, hands.id)
    await house.told()
    assert await hands.claim() == [receipt.task.id]
    again = await hands.start(receipt.task.id)
    assert isinstance(again, Started)
    assert (again.attempt, again.failures, again.losses) == (2, 0, 0)


async def test_a_start_whose_caller_left_is_given_back(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    starting = asyncio.ensure_future(hands.start(receipt.task.id))
    await asyncio.sleep(0)  # the wish is on its way
    starting.cancel()
    assert await hands.claim_within(5) == [receipt.task.id]
    task = await house.ledger.tasks.get(receipt.task.id, TENANT)
    assert task is not None
    assert (task.status, task.failures, task.losses) == (Status.QUEUED, 0, 0)


async def test_a_refused_start_is_acked_away(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    await house.services.control.cancel(receipt.task.id, TENANT)
    refusal = await hands.start(receipt.task.id)
    assert isinstance(refusal, StartRefusal)
    assert refusal.reason == "final"
    await house.told()
    assert await hands.beat([]) == "same"
    assert await hands.claim() == []


async def test_a_start_before_its_time_gets_its_place_back(house: House, hands: Hands) -> None:
    receipt = await house.submit(delay=0.6)
    await house.told()
    place = await house.ledger.tasks.place_of(receipt.task.id)
    assert place is not None
    await house.plane.enqueue([msgspec.structs.replace(place, run_at_ms=0)])
    await hands.claim()
    refusal = await hands.start(receipt.task.id)
    assert isinstance(refusal, StartRefusal)
    assert refusal.reason == "not_due"
    assert await hands.claim_within(5) == [receipt.task.id]
    assert isinstance(await hands.start(receipt.task.id), Started)


async def test_expired_at_start_ends_the_task_and_says_so(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    await _expire(house, receipt.task.id)
    refusal = await hands.start(receipt.task.id)
    assert isinstance(refusal, StartRefusal)
    assert refusal.reason == "expired"
    ended = await house.services.waiters.wait(receipt.task.id, TENANT, 5)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "expired"


async def test_cancel_reaches_a_running_task_through_its_worker_channel(house: House, hands: Hands) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    from dayshift.hotplane import channels

    await house.services.pushes.listen(channels.worker(hands.id), heard.put_nowait)
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    task = await house.services.control.cancel(receipt.task.id, TENANT)
    assert task.status is Status.RUNNING
    async with asyncio.timeout(5):
        while (payload := await heard.get()) == b"wake":
            pass
    assert payload == f"cancel {receipt.task.id}".encode()
    assert (await house.ledger.poll(hands.id)).cancels == [receipt.task.id]


async def test_a_dead_letter_is_retried_from_the_end_of_its_line(house: House, hands: Hands) -> None:
    receipt = await house.submit("first")
    await house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    await house.services.finishing.finish(started, hands.id, Outcome(kind="failed", error=TaskError("fatal", "no")))
    with pytest.raises(Conflict):
        await house.services.control.retry((await house.submit("other")).task.id, TENANT)
    retried = await house.services.control.retry(receipt.task.id, TENANT)
    assert (retried.status, retried.failures) == (Status.QUEUED, 0)
    await house.told()
    assert (await hands.claim(5))[-1] == receipt.task.id
    events = [event async for event in _until(house, receipt.task.id, "task.queued", 2)]
    assert events[-1] == "task.queued"


async def test_erase_takes_finished_tasks_only_and_their_stream(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    with pytest.raises(Conflict):
        await house.services.control.erase(receipt.task.id, TENANT)
    await house.told()
    await hands.claim()
    await hands.run(receipt.task.id)
    await house.told()
    with pytest.raises(NotFound):
        await house.services.control.erase(receipt.task.id, "another")
    await house.services.control.erase(receipt.task.id, TENANT)
    assert await house.ledger.tasks.get(receipt.task.id, TENANT) is None
    with pytest.raises(NotFound):
        await house.services.waiters.wait(receipt.task.id, TENANT, 1)


async def test_one_bad_item_of_a_batch_fails_alone(house: House) -> None:
    def item(said: bytes) -> TaskRequest:
        return TaskRequest(agent=AGENT, input=msgspec.Raw(said))

    undecodable = InvalidInput("tasks[3]: not an object")
    items = [item(b'{"text":"a"}'), item(b'{"text":1}'), item(b'"bare"'), undecodable, item(b'{"text":"\\u0000"}')]
    results = await house.services.intake.submit_many(items, tenant=TENANT)
    assert [isinstance(result, InvalidInput) for result in results] == [False, True, False, True, True]
    assert results[3] is undecodable


async def _expire(house: House, task_id: str) -> None:
    """Let the time to start pass, by the ledger's clock."""
    async with house.ledger._db.transaction() as connection:
        await connection.execute(
            "UPDATE tasks SET expires_at = now() - interval '1 second' WHERE id = $1", task_id.removeprefix("task_")
        )


async def _until(house: House, task_id: str, event_type: str, times: int):
    """Event types of a stream, up to the n-th of one type: not stopped by a final event that is not the last."""
    seen = 0
    stream = house.services.waiters.stream(task_id, TENANT)
    async with asyncio.timeout(5):
        async for event in stream:
            yield event.type
            seen += event.type == event_type
            if seen == times:
                break
    await stream.aclose()


async def test_a_result_is_recorded_although_its_caller_was_cancelled(house: House, hands: Hands) -> None:
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    started = await hands.start(receipt.task.id)
    assert isinstance(started, Started)
    outcome = Outcome(kind="succeeded", output=b"1")
    finishing = asyncio.ensure_future(house.services.finishing.finish(started, hands.id, outcome))
    await asyncio.sleep(0)  # the outcome is handed in
    finishing.cancel()
    async with asyncio.timeout(5):
        await house.services.finishing.finished()
    task = await house.services.waiters.wait(receipt.task.id, TENANT, 5)
    assert task is not None
    assert task.status is Status.SUCCEEDED
