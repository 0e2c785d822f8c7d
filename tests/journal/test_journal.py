"""The journal's service on a real ledger: what an attempt writes, and what the next one finds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dayshift.domain import ids
from dayshift.domain.effect import EffectKind, EffectStatus
from dayshift.domain.errors import Superseded
from dayshift.domain.events import Diverged, EffectsEnded
from dayshift.domain.task import NewTask, Started, Usage
from dayshift.journal import call_of, unpack
from dayshift.journal.journal import Journal
from dayshift.ledger import Ledger, StartWish, WorkerRow
from dayshift.telemetry import subscribe

CALL = call_of(EffectKind.LLM, "chat m", b"hi", parts={"messages[0]": b"hi"})


@pytest.fixture
async def ledger(migrated_database_url: str) -> AsyncIterator[Ledger]:
    async with Ledger(migrated_database_url) as opened:
        yield opened


async def a_worker(ledger: Ledger) -> str:
    worker = WorkerRow(id=ids.new(ids.WORKER), pid=1, host="box", version="v1", agents=["echo"], slots=8)
    await ledger.workers.register(worker)
    return worker.id


async def start(ledger: Ledger, task_id: str, worker_id: str) -> Started:
    (started,) = await ledger.tasks.start([StartWish(task_id=task_id, worker_id=worker_id)])
    assert isinstance(started, Started)
    return started


async def a_task(ledger: Ledger) -> str:
    task = NewTask(id=ids.new(ids.TASK), tenant="acme", agent="echo", queue="default", input=b"{}")
    await ledger.tasks.accept([task])
    return task.id


async def opened(journal: Journal, started: Started, worker_id: str, cancels: list[str] | None = None):
    told = cancels if cancels is not None else []
    return await journal.open(started, worker_id, may_act=lambda: None, on_cancelled=lambda: told.append(started.id))


async def test_the_next_attempt_finds_what_this_one_did(ledger):
    journal, first, second = Journal(ledger, lambda _: None), await a_worker(ledger), await a_worker(ledger)
    task_id = await a_task(ledger)
    done = await opened(journal, await start(ledger, task_id, first), first)
    await done.record(done.begin(CALL), b"an answer" * 100, Usage(llm_calls=1, input_tokens=5))
    await ledger.workers.release(first, "died")
    ended: list[EffectsEnded] = []
    end = subscribe(EffectsEnded, ended.append)
    again = await opened(journal, await start(ledger, task_id, second), second)
    found = again.take(CALL)
    assert unpack(found.result) == b"an answer" * 100
    assert (again.usage.llm_calls, again.usage.input_tokens, again.usage.replayed_calls) == (1, 5, 1)
    await journal.close(again, None)
    end()
    assert [(event.kind, event.outcome, event.count) for event in ended] == [("llm", "replayed", 1)]
    assert [effect.replayed_by for effect in await ledger.effects.of_task(task_id)] == [2]


async def test_an_attempt_that_was_superseded_may_not_record(ledger):
    journal, first, second = Journal(ledger, lambda _: None), await a_worker(ledger), await a_worker(ledger)
    task_id = await a_task(ledger)
    old = await opened(journal, await start(ledger, task_id, first), first)
    draft = old.begin(CALL)
    await ledger.workers.release(first, "silent")
    await start(ledger, task_id, second)
    with pytest.raises(Superseded, match="a newer attempt has taken over"):
        await old.record(draft, b"late")
    assert await ledger.effects.of_task(task_id) == []


async def test_of_two_answers_for_one_place_the_recorded_one_stands_unless_the_agent_has_the_other(ledger):
    """No reasoning leads here: two journals of one attempt stand for whatever would."""
    journal, worker = Journal(ledger, lambda _: None), await a_worker(ledger)
    started = await start(ledger, await a_task(ledger), worker)
    one, other = await opened(journal, started, worker), await opened(journal, started, worker)
    await one.record(one.begin(CALL), b"recorded")
    stands = await other.record(other.begin(CALL), b"another")
    assert unpack(stands.result) == b"recorded"
    third = await opened(journal, started, worker)
    streamed = await third.record(third.begin(CALL), b"seen by the agent", handed_on=True)
    assert unpack(streamed.result) == b"seen by the agent"
    [left] = await ledger.effects.of_task(started.id)
    assert (left.id, unpack(left.result)) == (streamed.id, b"seen by the agent")


async def test_what_the_agent_has_and_cannot_be_recorded_stops_it(ledger):
    journal, first, second = Journal(ledger, lambda _: None), await a_worker(ledger), await a_worker(ledger)
    task_id = await a_task(ledger)
    old = await opened(journal, await start(ledger, task_id, first), first)
    draft = old.begin(CALL)
    await ledger.workers.release(first, "silent")
    newer = await opened(journal, await start(ledger, task_id, second), second)
    await newer.record(newer.begin(CALL), b"the newer one's")
    with pytest.raises(Superseded):
        await old.record(draft, b"seen by the agent", handed_on=True)
    [left] = await ledger.effects.of_task(task_id)
    assert unpack(left.result) == b"the newer one's"


async def test_whoever_records_hears_that_the_task_is_cancelled(ledger):
    journal, worker, told = Journal(ledger, lambda _: None), await a_worker(ledger), []
    started = await start(ledger, await a_task(ledger), worker)
    done = await opened(journal, started, worker, told)
    await ledger.tasks.cancel("acme", started.id)
    await done.record(done.begin(CALL), b"an answer")
    assert told == [started.id]


async def test_what_differed_is_told_when_the_attempt_is_over(ledger):
    journal, first, second = Journal(ledger, lambda _: None), await a_worker(ledger), await a_worker(ledger)
    task_id = await a_task(ledger)
    done = await opened(journal, await start(ledger, task_id, first), first)
    await done.record(done.begin(CALL), b"1")
    await ledger.workers.release(first, "died")
    again = await opened(journal, await start(ledger, task_id, second), second)
    other = call_of(EffectKind.LLM, "chat m", b"ho", parts={"messages[0]": b"ho"})
    assert again.take(other) is None
    await again.record(again.begin(other), b"2")
    told: list[Diverged] = []
    end = subscribe(Diverged, told.append)
    await journal.close(again, None)
    end()
    assert [(event.kind, event.name, event.part) for event in told] == [("llm", "chat m", "messages[0]")]


async def test_many_effects_of_many_tasks_share_commits(ledger):
    journal, worker = Journal(ledger, lambda _: None), await a_worker(ledger)
    tasks = [await start(ledger, await a_task(ledger), worker) for _ in range(20)]

    async def run(started: Started) -> None:
        done = await opened(journal, started, worker)
        for number in range(10):
            call = call_of(EffectKind.STEP, "step", str(number).encode())
            await done.record(done.begin(call), b"x")

    await asyncio.gather(*map(run, tasks))
    for started in tasks:
        effects = await ledger.effects.of_task(started.id)
        assert [effect.status for effect in effects] == [EffectStatus.DONE] * 10
