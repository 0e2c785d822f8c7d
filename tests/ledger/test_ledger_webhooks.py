"""Every way in which a task ends or parks makes its deliveries, in the same transaction and once."""

import asyncio

import msgspec
import pytest
from tests.ledger.ledger_builders import accept, finish, from_now, new_worker, outcome_of, running, sql, start

from dayshift.domain import ids, webhooks
from dayshift.domain.effect import Effect, EffectKind
from dayshift.domain.errors import NotFound
from dayshift.domain.task import Notice, Status, TaskError, Timing, Usage, WaitingFor
from dayshift.domain.webhooks import EVENT_TYPES, Delivery, Endpoint
from dayshift.ledger import Outcome, Spawn

URL = "https://receiver.example/hook"


class Input(msgspec.Struct):
    delivery: Delivery


async def listen(ledger, *types: str, tenant: str = "acme") -> Endpoint:
    made = await ledger.webhooks.create(
        ids.new(ids.WEBHOOK), tenant, name="n", url=URL, event_types=types or EVENT_TYPES, secret="whsec_eA==", most=9
    )
    assert made is not None
    return made


async def told(ledger, url: str) -> list[tuple[str, str]]:
    """What was made: of which task, and the type."""
    rows = await sql(url, "SELECT about, input FROM tasks WHERE about IS NOT NULL ORDER BY seq")
    return [(f"task_{row['about']}", msgspec.json.decode(row["input"], type=Input).delivery.type) for row in rows]


@pytest.mark.parametrize(
    ("outcome", "more", "kind"),
    [
        (Outcome.SUCCEEDED, {"output": b'"o"'}, "task.succeeded"),
        (Outcome.FAILED, {"error": TaskError("fatal", "no")}, "task.failed"),
        (Outcome.CANCELLED, {}, "task.cancelled"),
        (Outcome.PARKED, {"waiting_for": WaitingFor("signal", "approval", "x"), "wakes": 0}, "task.waiting"),
        (Outcome.RETRY, {"error": TaskError("agent_error", "no", True)}, None),
        (Outcome.GIVEN_BACK, {}, None),
    ],
)
async def test_an_outcome_that_is_told_of_makes_one_delivery_however_often_it_is_repeated(
    ledger, database_url, outcome, more, kind
):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, webhook_url=URL)
    wish = outcome_of(started, worker, outcome, **more)
    (first,) = await ledger.tasks.finish([wish])
    (again,) = await ledger.tasks.finish([wish])
    assert await told(ledger, database_url) == ([(started.id, kind)] if kind else [])
    assert [place.agent for place in first.deliveries] == ([webhooks.AGENT] if kind else [])
    assert again.deliveries == []


async def test_ends_without_an_outcome_are_told_too(ledger, database_url):
    await listen(ledger, "task.failed", "task.cancelled")
    worker = await new_worker(ledger)
    cancelled = await accept(ledger)
    (place,) = (await ledger.tasks.cancel("acme", cancelled)).deliveries
    assert (place.tenant, place.agent) == ("acme", webhooks.AGENT)
    assert (await ledger.tasks.cancel("acme", cancelled)).deliveries == []
    expired = await accept(ledger, expires_at=from_now(3600))
    found = await accept(ledger, expires_at=from_now(3600))
    await sql(database_url, "UPDATE tasks SET expires_at = now() - interval '1 second' WHERE status = 'queued'")
    await start(ledger, found, worker)
    await ledger.tasks.fail_expired()
    poisoned = (await running(ledger, worker)).id
    await sql(database_url, "UPDATE tasks SET quarantined = true WHERE status = 'running'")
    await ledger.workers.release(worker, "died")
    await ledger.workers.poison_quarantined(worker, was_seen=True)
    assert await told(ledger, database_url) == [
        (cancelled, "task.cancelled"),
        (found, "task.failed"),
        (expired, "task.failed"),
        (poisoned, "task.failed"),
    ]


async def test_who_listens_hears_what_it_asked_for_of_its_own_tenant(ledger, database_url):
    both = [await listen(ledger, "task.succeeded"), await listen(ledger)]
    await listen(ledger, "task.failed")
    await listen(ledger, tenant="other")
    disabled = await listen(ledger)
    await ledger.webhooks.disable(disabled, "gone")
    worker = await new_worker(ledger)
    started = await running(ledger, worker, webhook_url=URL)
    finished = await finish(ledger, started, worker, output=b"1")
    assert len(finished.deliveries) == 3
    rows = await sql(database_url, "SELECT input FROM tasks WHERE about IS NOT NULL")
    endpoints = {msgspec.json.decode(row["input"], type=Input).delivery.endpoint for row in rows}
    assert endpoints == {None, *(one.id.removeprefix(ids.WEBHOOK) for one in both)}


async def test_deliveries_and_children_are_told_to_nobody(ledger, database_url):
    await listen(ledger)
    worker = await new_worker(ledger)
    parent = await running(ledger, worker)
    effect = Effect(
        id=ids.new(ids.EFFECT), task_id=parent.id, key=b"k" * 16, occurrence=0, attempt=1, kind=EffectKind.CHILD,
        name="echo", status="started", started_at=from_now(0), digests=b"{}",
    )  # fmt: skip
    await ledger.waits.spawn([Spawn(effect, worker, "echo", "default", b"{}")])
    child = effect.id.replace(ids.EFFECT, ids.TASK)
    await finish(ledger, await start(ledger, child, worker), worker, output=b"1")
    assert await told(ledger, database_url) == []
    (delivery,) = (await finish(ledger, parent, worker, output=b"1")).deliveries
    ended = await finish(ledger, await start(ledger, delivery.id, worker), worker, output=b"1")
    assert ended.deliveries == []


async def test_a_delivery_keeps_what_may_change_and_nothing_else(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, webhook_url=URL, input=b'"a secret"')
    waiting = WaitingFor("provider", 'ü"\\', "x", from_now(5))
    await finish(
        ledger, started, worker, Outcome.PARKED, waiting_for=waiting, wakes=0, notice=Notice("late", "soon"),
        usage=Usage(llm_calls=2), timing=Timing(own=1.5),
    )  # fmt: skip
    (row,) = await sql(database_url, "SELECT id, input, trace_id FROM tasks WHERE about IS NOT NULL")
    became = msgspec.json.decode(row["input"], type=Input).delivery.became
    assert (became.status, became.attempt, became.waiting_for) == (Status.WAITING, 1, waiting)
    assert (became.usage, became.timing, became.notice) == (Usage(llm_calls=2), Timing(own=1.5), Notice("late", "soon"))
    assert b"secret" not in row["input"]
    assert b"receiver" not in row["input"]
    facts = await ledger.webhooks.facts(f"task_{row['id']}")
    assert (facts.failures, facts.url, facts.task.id) == (0, URL, started.id)


async def test_what_is_still_to_be_told_is_kept_and_what_was_told_is_erased_with_it(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, webhook_url=URL)
    (delivery,) = (await finish(ledger, started, worker, output=b"1")).deliveries
    await sql(database_url, "UPDATE tasks SET finished_at = now() - interval '2 days' WHERE finished_at IS NOT NULL")
    assert await ledger.tasks.drop_expired(86_400) == 0
    await finish(ledger, await start(ledger, delivery.id, worker), worker, output=b"1")
    await ledger.tasks.erase("acme", started.id)
    assert await sql(database_url, "SELECT FROM tasks") == []
    another = await running(ledger, worker, webhook_url=URL)
    (delivery,) = (await finish(ledger, another, worker, output=b"1")).deliveries
    await ledger.tasks.erase("acme", another.id)
    assert (await ledger.webhooks.facts(delivery.id)).task is None


async def test_a_secret_that_was_rotated_twice_at_once_leaves_one_old_one(ledger):
    endpoint = await listen(ledger)
    first = await ledger.webhooks.rotate(endpoint, "whsec_Yg==", keep_old_seconds=60)
    repeat = await ledger.webhooks.rotate(endpoint, "whsec_Yg==", keep_old_seconds=60)
    assert (repeat.secret, repeat.old_secret) == (first.secret, endpoint.secret)
    with pytest.raises(NotFound):
        await ledger.webhooks.delete("other", endpoint.id)
    await ledger.webhooks.delete("acme", endpoint.id)
    with pytest.raises(NotFound):
        await ledger.webhooks.rotate(endpoint, "whsec_Yw==", keep_old_seconds=0)


async def test_all_who_ask_first_for_the_default_secret_get_the_same(ledger):
    found = await asyncio.gather(*(ledger.webhooks.default("acme") for _ in range(8)))
    assert len({one.secret for one in found}) == 1
    assert (await ledger.webhooks.default("other")).secret != found[0].secret
