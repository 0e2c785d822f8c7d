"""The journal's rows: who may write them, what a repeat does, and when they go."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest
from ledger_builders import accept, finish, new_worker, running, sql, start, while_changed_by_another

from dayshift.domain import ids
from dayshift.domain.effect import CallUsage, Difference, Effect, EffectKind, EffectStatus
from dayshift.domain.task import Started
from dayshift.ledger import EffectWrite, Outcome
from dayshift.ledger import effects as effects_module

KEY = b"k" * 16


def effect_of(started: Started, *, key: bytes = KEY, occurrence: int = 0, **fields) -> Effect:
    return Effect(
        **{
            "id": ids.new(ids.EFFECT),
            "task_id": started.id,
            "key": key,
            "occurrence": occurrence,
            "attempt": started.attempt,
            "kind": EffectKind.LLM,
            "name": "chat",
            "status": EffectStatus.DONE,
            "started_at": datetime.now(UTC),
            "finished_at": datetime.now(UTC),
            "result": b"an answer",
            **fields,
        }
    )


def began(started: Started) -> Effect:
    return effect_of(started, status=EffectStatus.STARTED, finished_at=None, result=None)


async def ruling(ledger, effect: Effect, worker: str) -> str:
    (answer,) = await ledger.effects.record([EffectWrite(effect, worker)])
    return answer.ruling


async def test_what_was_recorded_is_read_as_it_was(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    usage = CallUsage(llm_calls=1, cost_usd=0.25, model="m", others={"web_searches": 1})
    effects = [effect_of(started, occurrence=n, usage=usage, digests=b"d" * 8, emits=b"e" * 8) for n in range(3)]
    effects.append(
        effect_of(started, occurrence=3, scope="/branch 1", differs=Difference(effects[0].id, "messages[0]"))
    )
    answers = await ledger.effects.record([EffectWrite(effect, worker) for effect in effects])
    assert [(answer.ruling, answer.is_cancelled) for answer in answers] == [("recorded", False)] * 4
    assert await ledger.effects.of_task(started.id) == effects


async def test_a_repeat_is_recorded_once(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    effect = effect_of(started)
    assert [await ruling(ledger, effect, worker) for _ in range(2)] == ["recorded", "recorded"]
    assert await ledger.effects.of_task(started.id) == [effect]


async def test_an_outcome_takes_the_place_of_its_beginning_and_not_the_other_way_round(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    beginning = began(started)
    end = effect_of(started, id=beginning.id, started_at=beginning.started_at)
    assert await ruling(ledger, beginning, worker) == "recorded"
    assert await ruling(ledger, end, worker) == "recorded"
    assert await ruling(ledger, beginning, worker) == "stored"  # late, and without effect
    assert await ledger.effects.of_task(started.id) == [end]


async def test_a_place_belongs_to_whoever_was_first(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    first, second = effect_of(started), effect_of(started, result=b"another answer")
    assert await ruling(ledger, first, worker) == "recorded"
    assert await ruling(ledger, second, worker) == "stored"
    assert await ledger.effects.of_task(started.id) == [first]
    assert await ledger.effects.replace(EffectWrite(second, worker))
    assert await ledger.effects.of_task(started.id) == [second]


async def test_one_place_wanted_twice_in_a_batch_is_given_once(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    first, second = effect_of(started), effect_of(started)
    answers = await ledger.effects.record([EffectWrite(first, worker), EffectWrite(second, worker)])
    assert [answer.ruling for answer in answers] == ["recorded", "stored"]


async def test_a_superseded_attempt_writes_nothing(ledger):
    dead, alive = await new_worker(ledger), await new_worker(ledger)
    lost = await running(ledger, dead)
    await ledger.workers.release(dead, "silent")
    assert await ruling(ledger, effect_of(lost), dead) == "recorded"  # nobody has taken over yet
    taken = await start(ledger, lost.id, alive)
    late = effect_of(lost, occurrence=1)
    assert await ruling(ledger, late, dead) == "superseded"
    assert not await ledger.effects.replace(EffectWrite(effect_of(lost), dead))
    assert [effect.attempt for effect in await ledger.effects.of_task(lost.id)] == [1]
    assert await ruling(ledger, effect_of(taken, occurrence=1), alive) == "recorded"


async def test_after_the_end_nothing_is_written(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await finish(ledger, started, worker)
    assert await ruling(ledger, effect_of(started), worker) == "superseded"


async def test_an_effect_that_meets_a_start_waits_for_it_and_is_refused(ledger, database_url):
    dead, alive = await new_worker(ledger), await new_worker(ledger)
    lost = await running(ledger, dead)
    await ledger.workers.release(dead, "silent")
    answer = await while_changed_by_another(
        database_url,
        lost.id,
        ledger.effects.record([EffectWrite(effect_of(lost), dead)]),
        change=f"attempt = 2, worker_id = '{alive.removeprefix(ids.WORKER)}', losses = 1",
    )
    assert [one.ruling for one in answer] == ["superseded"]
    assert await ledger.effects.of_task(lost.id) == []


async def test_effects_of_one_task_do_not_wait_for_each_other(ledger, database_url):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    bare_id = started.id.removeprefix(ids.TASK)
    other = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await other.execute(f"SELECT FROM tasks WHERE id = '{bare_id}' FOR SHARE")
            async with asyncio.timeout(5):
                assert await ruling(ledger, effect_of(started), worker) == "recorded"
    finally:
        await other.close()


async def test_whoever_records_hears_of_a_cancel(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await ledger.tasks.cancel("acme", started.id)
    (answer,) = await ledger.effects.record([EffectWrite(effect_of(started), worker)])
    assert (answer.ruling, answer.is_cancelled) == ("recorded", True)


async def test_a_long_journal_is_read_in_pages(ledger, monkeypatch):
    monkeypatch.setattr(effects_module, "PAGE", 7)
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    effects = [effect_of(started, key=bytes([n % 3]) * 16, occurrence=n // 3) for n in range(21)]
    await ledger.effects.record([EffectWrite(effect, worker) for effect in effects])
    assert await ledger.effects.of_task(started.id) == effects


async def test_what_was_replayed_names_the_latest_attempt_that_it_was_given_to(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    first, second = effect_of(started), effect_of(started, occurrence=1)
    await ledger.effects.record([EffectWrite(first, worker), EffectWrite(second, worker)])
    await ledger.effects.mark_replayed([first], 3)
    await ledger.effects.mark_replayed([first], 2)
    assert [effect.replayed_by for effect in await ledger.effects.of_task(started.id)] == [3, None]


@pytest.mark.parametrize("way", ["erase", "retention"])
async def test_effects_go_with_their_task(ledger, database_url, way):
    worker = await new_worker(ledger)
    started, other = await running(ledger, worker), await running(ledger, worker)
    await ledger.effects.record([EffectWrite(effect_of(one), worker) for one in (started, other)])
    await finish(ledger, started, worker)
    if way == "erase":
        await ledger.tasks.erase("acme", started.id)
    else:
        assert await ledger.tasks.drop_expired(0.0) == 1
    assert await ledger.effects.of_task(started.id) == []
    assert len(await ledger.effects.of_task(other.id)) == 1


async def test_a_task_that_comes_further_each_time_is_not_suspected(ledger):
    task_id = await accept(ledger)
    for number in range(4):
        worker = await new_worker(ledger)
        started = await start(ledger, task_id, worker)
        assert isinstance(started, Started), started
        assert await ruling(ledger, effect_of(started, occurrence=number), worker) == "recorded"
        await ledger.workers.release(worker, "its process died")
    for _ in range(2):
        worker = await new_worker(ledger)
        assert isinstance(await start(ledger, task_id, worker), Started)
        await ledger.workers.release(worker, "its process died")
    worker = await new_worker(ledger)
    assert (await start(ledger, task_id, worker)).reason == "quarantine"


async def test_a_retry_by_a_person_keeps_the_journal(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    effect = effect_of(started)
    await ledger.effects.record([EffectWrite(effect, worker)])
    await finish(ledger, started, worker, Outcome.FAILED)
    await ledger.tasks.retry("acme", started.id)
    assert await ledger.effects.of_task(started.id) == [effect]


async def test_weeks_whose_tasks_are_gone_are_dropped_with_their_effects(ledger, database_url):
    await sql(database_url, "SELECT make_week_partitions('effects', 4)")
    names = {
        row[0] for row in await sql(database_url, "SELECT relname FROM pg_class WHERE relname ~ '^effects_[0-9]+$'")
    }
    weeks = {row[0] for row in await sql(database_url, "SELECT relname FROM pg_class WHERE relname ~ '^tasks_[0-9]+$'")}
    assert {name.removeprefix("effects") for name in names} == {name.removeprefix("tasks") for name in weeks}


async def test_a_preview_is_shown_in_the_list_and_left_out_of_the_journal(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    tool = began(started)
    effects = [msgspec.structs.replace(tool, preview="what was asked"), effect_of(started, occurrence=1)]
    await ledger.effects.record([EffectWrite(effect, worker) for effect in effects])
    ended = msgspec.structs.replace(
        effects[0], status=EffectStatus.DONE, finished_at=datetime.now(UTC), result=b"r", preview=None
    )
    assert await ruling(ledger, ended, worker) == "recorded"
    assert [one.preview for one in await ledger.effects.list(started.id, limit=9)] == ["what was asked", None]
    assert [one.preview for one in await ledger.effects.of_task(started.id)] == [None, None]
    another = effect_of(started, preview="what another asked")
    assert await ledger.effects.replace(EffectWrite(another, worker))
    assert {one.preview for one in await ledger.effects.list(started.id, limit=9)} == {"what another asked", None}
