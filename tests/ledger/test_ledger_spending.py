"""What effects cost is summed up with them: once each, for everybody that it counts for, and by nobody else."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
from ledger_builders import accept, new_worker, running, sql, start
from test_ledger_effects import began, effect_of

from dayshift.domain.budget import Scope, Spent, end_of, start_of
from dayshift.domain.effect import CallUsage, Effect
from dayshift.ledger import EffectWrite

TENANT, AGENT, USER = Scope("tenant", "acme", ""), Scope("agent", "", "echo"), Scope("user", "acme", "ann")
PAID = CallUsage(llm_calls=1, input_tokens=10, output_tokens=5, cost_usd=0.25)
AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1)


def paid(effect: Effect, worker: str, *scopes: Scope) -> EffectWrite:
    return EffectWrite(effect, worker, scopes=scopes or (TENANT, AGENT))


async def sums(ledger, *scopes: Scope) -> list[Spent]:
    return await ledger.spending.since([(scope, AN_HOUR_AGO) for scope in scopes])


async def test_what_is_recorded_is_summed_up_for_everybody_that_it_counts_for(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    unpriced = CallUsage(llm_calls=1, output_tokens=1, unpriced_calls=1)
    await ledger.effects.record(
        [
            paid(effect_of(started, usage=PAID), worker, TENANT, AGENT, USER),
            paid(effect_of(started, occurrence=1, usage=PAID), worker),
            paid(effect_of(started, occurrence=2, usage=unpriced), worker, TENANT),
            paid(effect_of(started, occurrence=3), worker),
        ]
    )
    assert await sums(ledger, TENANT, AGENT, USER, Scope("tenant", "other", "")) == [
        Spent(500_000_000, 31, 3, 1),
        Spent(500_000_000, 30, 2, 0),
        Spent(250_000_000, 15, 1, 0),
        Spent(),
    ]


async def test_a_batch_that_is_written_again_is_paid_for_once(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    writes = [paid(effect_of(started, usage=PAID), worker)]
    for _ in range(3):
        await ledger.effects.record(writes)
    assert await sums(ledger, TENANT) == [Spent(250_000_000, 15, 1, 0)]


async def test_what_had_only_begun_is_paid_for_when_it_ends(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    begun = began(started)
    await ledger.effects.record([paid(begun, worker)])
    assert await sums(ledger, TENANT) == [Spent()]
    ended = msgspec.structs.replace(effect_of(started, usage=PAID), id=begun.id)
    for _ in range(2):
        await ledger.effects.record([paid(ended, worker)])
    assert await sums(ledger, TENANT) == [Spent(250_000_000, 15, 1, 0)]


async def test_what_takes_the_place_of_another_effect_was_paid_for_as_well(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    first, second = (effect_of(started, usage=usage) for usage in (PAID, msgspec.structs.replace(PAID, cost_usd=1.5)))
    await ledger.effects.record([paid(first, worker)])
    for _ in range(2):  # the answer to the first of them may have been lost
        assert await ledger.effects.replace(paid(second, worker, TENANT, AGENT, USER))
    assert await sums(ledger, TENANT, AGENT) == [Spent(1_750_000_000, 30, 2, 0)] * 2
    assert await sums(ledger, USER) == [Spent(1_500_000_000, 15, 1, 0)]
    [effect] = await ledger.effects.of_task(started.id)
    assert (effect.id, effect.usage.cost_usd) == (second.id, 1.5)


async def test_what_cannot_take_a_place_is_not_summed_up(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    assert not await ledger.effects.replace(paid(effect_of(started, usage=PAID), worker))  # nothing stands there
    await ledger.effects.record([paid(effect_of(started), worker)])
    older = msgspec.structs.replace(effect_of(started, usage=PAID), attempt=started.attempt - 1)
    assert not await ledger.effects.replace(paid(older, worker))
    assert await sums(ledger, TENANT) == [Spent()]


async def test_a_replacement_that_meets_its_own_repeat_is_paid_for_once(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await ledger.effects.record([paid(effect_of(started), worker)])
    second = paid(effect_of(started, usage=PAID), worker)
    assert all(await asyncio.gather(*(ledger.effects.replace(second) for _ in range(8))))
    assert await sums(ledger, TENANT) == [Spent(250_000_000, 15, 1, 0)]


async def test_what_a_superseded_attempt_did_is_not_summed_up(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    older = msgspec.structs.replace(effect_of(started, usage=PAID), attempt=started.attempt - 1)
    await ledger.effects.record([paid(older, worker)])
    assert await sums(ledger, TENANT) == [Spent()]


async def test_sessions_that_sum_up_for_the_same_ones_neither_lose_nor_lock_each_other_out(ledger):
    worker = await new_worker(ledger)
    started = [await running(ledger, worker) for _ in range(8)]
    scopes = [TENANT, AGENT, USER]

    async def write(n: int) -> None:
        order = scopes[n % 3 :] + scopes[: n % 3]
        await ledger.effects.record([paid(effect_of(started[n % 8], occurrence=n, usage=PAID), worker, *order)])

    await asyncio.gather(*(write(n) for n in range(120)))
    assert await sums(ledger, *scopes) == [Spent(120 * 250_000_000, 120 * 15, 120, 0)] * 3


async def test_the_tasks_above_a_task_are_known_with_their_agents(ledger, database_url):
    worker = await new_worker(ledger)
    root, child, grandchild = [await accept(ledger, agent=agent) for agent in ("top", "middle", "below")]
    for above, below in ((root, child), (child, grandchild)):
        await sql(database_url, f"UPDATE tasks SET parent_id = '{above[5:]}', depth = 1 WHERE id = '{below[5:]}'")
    assert await ledger.spending.ancestors(grandchild) == ((child, "middle"), (root, "top"))
    assert await ledger.spending.ancestors(root) == ()
    assert (await start(ledger, grandchild, worker)).parent_id == child


async def test_old_sums_go_but_those_of_what_is_still_there(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    task, gone = Scope("task", "", started.id[5:]), Scope("task", "", "00000000-0000-7000-8000-000000000000")
    await ledger.effects.record([paid(effect_of(started, usage=PAID), worker, TENANT, USER, task, gone)])
    assert await ledger.spending.drop_old(10) == 0
    await sql(database_url, "UPDATE spending SET hour = hour - interval '80 days'")
    assert await ledger.spending.drop_old(2) == 2
    assert await ledger.spending.drop_old(2) == 1
    long_ago = datetime.now(UTC) - timedelta(days=90)
    assert await ledger.spending.since([(task, long_ago), (gone, long_ago)]) == [Spent(250_000_000, 15, 1, 0), Spent()]


def test_periods_begin_and_end_by_utc():
    moment = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)
    assert start_of("hour", moment) == datetime(2028, 2, 29, 23, tzinfo=UTC)
    assert (
        end_of("hour", moment) == end_of("day", moment) == end_of("month", moment) == datetime(2028, 3, 1, tzinfo=UTC)
    )
    assert start_of("month", moment) == datetime(2028, 2, 1, tzinfo=UTC)
    assert end_of("month", datetime(2027, 12, 31, tzinfo=UTC)) == datetime(2028, 1, 1, tzinfo=UTC)
    assert (start_of("ever", moment).timestamp(), end_of("ever", moment)) == (0, None)


async def test_a_month_of_a_busy_tenant_is_one_sum(ledger, database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO spending SELECT 'tenant', 'acme', '', date_trunc('hour', now()) - h * interval '1 hour', s, 1, 1, 1, 0"
        " FROM generate_series(0, 719) h, generate_series(0, 15) s"
    )
    await connection.close()
    month_ago = datetime.now(UTC) - timedelta(days=31)
    assert await ledger.spending.since([(TENANT, month_ago)]) == [Spent(720 * 16, 720 * 16, 720 * 16, 0)]
