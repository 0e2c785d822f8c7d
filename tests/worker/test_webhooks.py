"""Deliveries, from a task's end to a receiver: a real worker, real engines, a real server at the other end."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from dayshift.domain import ids, webhooks
from dayshift.domain.events import WebhookDelivery
from dayshift.domain.settings import Settings
from dayshift.domain.task import Status, Task
from dayshift.domain.webhooks import EVENT_TYPES, Endpoint
from dayshift.tasks.inputs import WebhookRequest
from dayshift.telemetry import subscribe
from dayshift.worker.webhooks import gates
from dayshift.worker.webhooks.delivering import WAITS_SECONDS
from tests.worker.house import TENANT, House, working
from tests.worker.receiver import OK, Receiver, receiving, status


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def open_house(house: House) -> House:
    house.settings = msgspec.convert({"webhooks": {"allow_private": True}}, Settings)
    return house


async def listen(house: House, url: str, *types: str, tenant: str = TENANT) -> Endpoint:
    endpoint = await house.ledger.webhooks.create(
        ids.new(ids.WEBHOOK),
        tenant,
        name="mine",
        url=url,
        event_types=types or EVENT_TYPES,
        secret=webhooks.make_secret(),
        most=10,
    )
    assert endpoint is not None
    return endpoint


async def deliveries(house: House, *statuses: str) -> list:
    tasks = await house.ledger.tasks.list(TENANT, agent=webhooks.AGENT, limit=100)
    return [task for task in tasks if not statuses or task.status in statuses]


async def eventually(house: House, number: int, *statuses: str) -> list:
    async with asyncio.timeout(15):
        while len(found := await deliveries(house, *statuses)) < number:
            await asyncio.sleep(0.05)
    return found


async def sooner(house: House, *, seconds: float = 0.0) -> None:
    """Let the time pass that failed deliveries wait."""
    async with house.ledger._db.connection() as connection:
        rows = await connection.fetch(
            "UPDATE tasks SET run_at = date_trunc('milliseconds', now()) + $1 * interval '1 second'"
            " WHERE about IS NOT NULL AND status = 'queued' RETURNING id",
            seconds,
        )
    assert rows
    await house.services.announce.heads()


def hook(url: str) -> dict:
    return {"webhook": WebhookRequest(url=url)}


def as_shown(task: Task | None) -> dict:
    return msgspec.json.decode(msgspec.json.encode(task))


async def test_the_end_of_a_task_is_told_to_its_own_address(open_house, receiver):
    async with working(open_house):
        task_id = await open_house.submit("echo", text="hi", options=hook(receiver.url))
        (call,) = await receiver.called()
        told = call.verified((await open_house.ledger.webhooks.default(TENANT)).secret)
        await eventually(open_house, 1, Status.SUCCEEDED)
    shown = await open_house.ledger.tasks.get(task_id, TENANT)
    assert told == {"type": "task.succeeded", "timestamp": told["timestamp"], "data": as_shown(shown)}
    assert told["data"]["output"] == "acme:1:hi"
    assert call.path == "/hook"
    assert call.headers["content-type"] == "application/json"
    (delivery,) = await deliveries(open_house)
    assert msgspec.json.decode(delivery.output) == {
        "webhook_id": call.headers["webhook-id"],
        "outcome": "delivered",
        "status_code": 200,
    }
    assert len(receiver.calls) == 1
    assert await open_house.ledger.tasks.list(TENANT) == [shown], "a tenant's list shows its own tasks"


async def test_endpoints_hear_what_they_listen_to_and_nothing_of_another_tenant(open_house, receiver):
    ends = await listen(open_house, receiver.url, "task.failed", "task.cancelled")
    await listen(open_house, f"{receiver.url}/waits", "task.waiting")
    await listen(open_house, f"{receiver.url}/other", tenant="other")
    async with working(open_house):
        failed = await open_house.submit("gives_up")
        waiting = await open_house.submit("asks_leave")
        await open_house.submit("echo", text="not listened to")
        await receiver.called(2)
        await open_house.services.control.cancel(waiting, TENANT)
        calls = await receiver.called(3)
    told = {call.json["type"]: call for call in calls}
    assert told["task.failed"].verified(ends.secret)["data"]["id"] == failed
    assert told["task.failed"].json["data"]["error"]["code"] == "fatal"
    assert told["task.waiting"].path == "/hook/waits"
    assert told["task.waiting"].json["data"]["status"] == "waiting"
    assert told["task.waiting"].json["data"]["waiting_for"]["name"] == "approval"
    assert told["task.cancelled"].json["data"]["id"] == waiting
    sequences = [int(told[kind].headers["webhook-sequence"]) for kind in ("task.waiting", "task.cancelled")]
    assert sequences == sorted(sequences)
    assert len({call.headers["webhook-id"] for call in calls}) == 3


async def test_a_failed_delivery_comes_again_with_the_same_id_and_body(open_house, receiver):
    answers = iter([status(500), status(302, "location: http://127.0.0.1:1/"), None, status(204)])
    receiver.answer = lambda _call: next(answers)
    async with working(open_house):
        await open_house.submit("echo", text="again", options=hook(receiver.url))
        for times in (1, 2, 3):
            await receiver.called(times)
            await retried(open_house, times)
            await sooner(open_house)
        await receiver.called(4)
        (delivery,) = await eventually(open_house, 1, Status.SUCCEEDED)
    assert delivery.failures == 3
    assert len({(call.headers["webhook-id"], call.body) for call in receiver.calls}) == 1
    assert receiver.connections == 4, "a redirect was followed, or a connection kept"


async def retried(house: House, failures: int) -> list:
    async with asyncio.timeout(15):
        while not (found := [one for one in await deliveries(house, Status.QUEUED) if one.failures == failures]):
            await asyncio.sleep(0.02)
    return found


async def test_the_waits_are_those_that_are_documented_and_then_a_dead_letter_is_replayed(
    open_house, receiver, monkeypatch
):
    monkeypatch.setattr(gates, "FAILURES_TO_OPEN", 100)  # here ten tries fall into one second
    receiver.answer = lambda _call: status(503)
    waits = []
    async with working(open_house):
        task_id = await open_house.submit("echo", text="dead", options=hook(receiver.url))
        for times in range(1, 10):
            (task,) = await retried(open_house, times)
            waits.append((task.run_at - await open_house.ledger.now()).total_seconds())
            await sooner(open_house)
        (dead,) = await eventually(open_house, 1, Status.FAILED)
        assert [one.id for one in await open_house.ledger.tasks.dead(TENANT)] == [dead.id]
        receiver.answer = lambda _call: OK
        await open_house.services.control.retry(dead.id, TENANT)
        await eventually(open_house, 1, Status.SUCCEEDED)
    for waited, documented in zip(waits, WAITS_SECONDS, strict=True):
        assert documented - 5 <= waited <= documented * 1.1
    assert len(receiver.calls) == 11
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert {call.json["data"]["id"] for call in receiver.calls} == {task_id}
    assert dead.error.message == "the receiver was not told: it answered 503"


async def test_retry_after_is_honoured(open_house, receiver):
    receiver.answer = lambda _call: status(429, "retry-after: 4000")
    async with working(open_house):
        await open_house.submit("echo", text="later", options=hook(receiver.url))
        (task,) = await retried(open_house, 1)
    assert 3_990 < (task.run_at - await open_house.ledger.now()).total_seconds() < 4_410


async def test_an_endpoint_that_says_410_is_disabled_and_its_delivery_can_be_replayed(open_house, receiver):
    endpoint = await listen(open_house, receiver.url)
    receiver.answer = lambda _call: status(410)
    async with working(open_house):
        await open_house.submit("echo", text="gone")
        (dead,) = await eventually(open_house, 1, Status.FAILED)
        assert dead.error.code == "endpoint_gone"
        disabled = await open_house.ledger.webhooks.get(TENANT, endpoint.id)
        assert (disabled.disabled_at is not None, disabled.disabled_why) == (True, "its receiver answered 410 Gone")
        await open_house.finished(await open_house.submit("echo", text="nobody is told"))
        receiver.answer = lambda _call: OK
        await open_house.ledger.webhooks.update(
            TENANT, endpoint.id, name=None, url=None, event_types=None, enabled=True
        )
        await open_house.services.control.retry(dead.id, TENANT)
        await eventually(open_house, 1, Status.SUCCEEDED)
    assert [call.json["data"]["output"] for call in receiver.calls] == ["acme:1:gone", "acme:1:gone"]


async def test_two_secrets_sign_while_one_replaces_the_other(open_house, receiver):
    old = await listen(open_house, receiver.url)
    new = await open_house.ledger.webhooks.rotate(old, webhooks.make_secret(), keep_old_seconds=60)
    async with working(open_house):
        await open_house.submit("echo", text="both")
        (first,) = await receiver.called()
        await open_house.ledger.webhooks.rotate(new, webhooks.make_secret(), keep_old_seconds=0)
        await open_house.submit("echo", text="one")
        _, second = await receiver.called(2)
    assert first.verified(old.secret) == first.verified(new.secret)
    assert len(first.headers["webhook-signature"].split(" ")) == 2
    with pytest.raises(WebhookVerificationError):
        second.verified(new.secret)


async def test_what_is_told_is_what_was_although_the_task_went_on(open_house, receiver):
    await listen(open_house, receiver.url, "task.failed")
    async with working(open_house):
        failed = await open_house.submit("gives_up")
        await open_house.finished(failed)
        (call,) = await receiver.called()
        was = as_shown(await open_house.ledger.tasks.get(failed, TENANT))
        receiver.answer = lambda _call: status(500)
        await open_house.services.control.retry(failed, TENANT)
        (delivery,) = await retried(open_house, 1)
        await open_house.ledger.tasks.retry(TENANT, failed)  # nobody is told where it stands: it stays queued
        receiver.answer = lambda _call: OK
        async with open_house.ledger._db.connection() as connection:
            await connection.execute("UPDATE tasks SET run_at = now() WHERE id = $1", delivery.id[5:])
        await open_house.services.announce.heads()
        await receiver.called(3)
    assert call.json["data"] == was
    assert receiver.calls[1].body == receiver.calls[2].body
    assert receiver.calls[2].json["data"]["status"] == "failed"


async def test_an_erased_task_is_told_to_nobody_and_a_deleted_endpoint_hears_nothing(open_house, receiver):
    endpoint = await listen(open_house, f"{receiver.url}/endpoint")
    told: list[str] = []
    end = subscribe(WebhookDelivery, lambda event: told.append(event.outcome))
    receiver.answer = lambda _call: status(500)
    async with working(open_house):
        erased = await open_house.submit("echo", text="secret", options=hook(receiver.url))
        await open_house.submit("echo", text="kept")
        await receiver.called(2)
        await open_house.finished(erased)
        async with asyncio.timeout(15):
            while len(failed := await deliveries(open_house, Status.QUEUED, Status.WAITING)) < 3 or not all(
                one.failures for one in failed
            ):
                await asyncio.sleep(0.02)
        await open_house.services.control.erase(erased, TENANT)
        await open_house.ledger.webhooks.delete(TENANT, endpoint.id)
        await sooner(open_house)
        done = await eventually(open_house, 3, Status.SUCCEEDED)
    end()
    outcomes = sorted(msgspec.json.decode(one.output)["outcome"] for one in done)
    assert outcomes == ["endpoint_deleted", "task_erased", "task_erased"]
    assert told == ["failed"] * 3 + ["dropped"] * 3
    assert b"secret" not in b"".join(bytes(one.input) for one in done), "a delivery holds no copy of what it tells"


async def test_without_leave_nothing_goes_to_a_private_address(house, receiver):
    async with working(house):
        await house.submit("echo", text="x", options=hook(receiver.url.replace("http:", "https:")))
        (task,) = await retried(house, 1)
    assert receiver.connections == 0
    assert "private address" in task.error.message
    assert "/hook" not in task.error.message


async def test_a_dead_receiver_holds_up_neither_tasks_nor_other_receivers(open_house, receiver):
    """One slot; and the dead one takes all the time that it is given, for sixty deliveries."""

    async def never(_call) -> None:
        await asyncio.sleep(60)

    async with receiving() as dead:
        dead.answer = never
        await listen(open_house, dead.url, "task.failed")
        await listen(open_house, receiver.url, "task.succeeded")
        async with working(open_house, slots=1):
            for _ in range(60):
                await open_house.submit("gives_up")
            await dead.called(2)
            begun = asyncio.get_running_loop().time()
            for number in range(10):
                task_id = await open_house.submit("echo", text=str(number))
                await open_house.finished(task_id, seconds=5)
            await receiver.called(10, seconds=5)
            assert asyncio.get_running_loop().time() - begun < 5
            held = await eventually(open_house, 58, Status.WAITING)
            assert dead.connections == 2, "it has shown nothing yet"
    assert {one.waiting_for.type for one in held} == {"provider"}
    assert len(await open_house.ledger.tasks.list(TENANT, agent=webhooks.AGENT, limit=100)) == 70, "none is lost"


async def test_children_and_deliveries_themselves_are_told_to_nobody(open_house, receiver):
    await listen(open_house, receiver.url)
    async with working(open_house):
        await open_house.submit("echo", text="once")
        await eventually(open_house, 1, Status.SUCCEEDED)
        await open_house.finished(await open_house.submit("echo", text="twice"))
        await eventually(open_house, 2, Status.SUCCEEDED)
    assert [call.json["data"]["output"] for call in receiver.calls] == ["acme:1:once", "acme:1:twice"]


async def made_long_ago(house: House, number: int) -> list[str]:
    """Dead letters of another week."""
    for n in range(number):
        await house.submit("gives_up", options={"user": str(n)})
    async with asyncio.timeout(15), house.ledger._db.connection() as connection:
        while len(made := await deliveries(house, Status.FAILED)) < number:
            await connection.execute(
                "UPDATE tasks SET status = 'failed', finished_at = now(), waiting_for = NULL, wake_at = NULL, notice = NULL,"
                " created_at = now() - interval '9 days', error_code = 'agent_error', error_message = 'x', error_retryable = true"
                " WHERE about IS NOT NULL AND status IN ('queued', 'waiting') AND attempt > 0"
            )
            await asyncio.sleep(0.02)
    return [one.id for one in made]


async def test_many_dead_letters_are_replayed_at_once_although_their_receiver_is_slow(open_house, receiver):
    await listen(open_house, receiver.url, "task.failed")
    receiver.answer = lambda _call: status(503)
    async with working(open_house):
        dead = await made_long_ago(open_house, 25)

    async def slowly(_call) -> bytes:
        await asyncio.sleep(0.05)
        return OK

    receiver.answer = slowly
    async with working(open_house):
        for one in dead:
            await open_house.services.control.retry(one, TENANT)
        done = await eventually(open_house, 25, Status.SUCCEEDED)
    assert sum(one.failures for one in done) == 0


async def test_who_is_an_hour_behind_counts_being_turned_away_as_a_try(open_house, receiver):
    await listen(open_house, receiver.url, "task.failed")
    receiver.answer = lambda _call: status(503)
    async with working(open_house):
        for _ in range(3):
            await open_house.submit("gives_up")
        await receiver.called(3)
        dead = await made_long_ago(open_house, 6)
        tried = len(receiver.calls)
        await open_house.services.control.retry(dead[0], TENANT)
        (late,) = await retried(open_house, 1)
    assert late.error.message == "the receiver was not told: it was not called, as it keeps failing"
    assert 4 < (late.run_at - await open_house.ledger.now()).total_seconds() < 6
    assert len(receiver.calls) == tried


async def test_those_who_wait_for_a_receiver_are_woken_when_it_is_back(open_house, receiver, monkeypatch):
    monkeypatch.setattr(gates, "OPEN_SECONDS", 1.0)
    later = gates._later

    def only_when_woken(seconds, *, is_broken):  # but all who are woken at once still queue for their turns
        return gates.NotNow(10_000.0, is_broken) if is_broken else later(seconds, is_broken=is_broken)

    monkeypatch.setattr(gates, "_later", only_when_woken)
    await listen(open_house, receiver.url, "task.failed")
    receiver.answer = lambda _call: status(503)
    async with working(open_house):
        for _ in range(3):
            await open_house.submit("gives_up")
        await receiver.called(3)
        for _ in range(10):
            await open_house.submit("gives_up")
        parked = await eventually(open_house, 10, Status.WAITING)
        receiver.answer = lambda _call: OK
        async with asyncio.timeout(15):
            while not await deliveries(open_house, Status.SUCCEEDED):
                await open_house.services.waking.wake([parked[0].id])
                await asyncio.sleep(0.2)
        async with asyncio.timeout(15):
            while not {task.id for task in parked} <= {
                task.id for task in await deliveries(open_house, Status.SUCCEEDED)
            }:
                await asyncio.sleep(0.05)
