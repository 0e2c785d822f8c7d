"""Waits: what comes is seen or wakes, whatever the order; signals answer once; children are made with their effects."""

import asyncio
from datetime import UTC, datetime

import pytest
from ledger_builders import accept, finish, from_now, new_worker, outcome_of, reason, running, start
from test_ledger_effects import KEY, began, effect_of

from dayshift.domain import ids
from dayshift.domain.child import ChildEnd
from dayshift.domain.effect import EffectKind, EffectStatus
from dayshift.domain.errors import Conflict, NotFound
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Started, Status, WaitingFor
from dayshift.ledger import EffectWrite, Look, Outcome, Spawn
from dayshift.ledger.rows import bare

TIMED_OUT = b"\x00timed out"


async def waiting_for_signal(ledger, started, worker, *, name="approval", occurrence=0, seconds=None):
    wait = effect_of(
        started, occurrence=occurrence, status=EffectStatus.STARTED, finished_at=None, result=None,
        kind=EffectKind.SIGNAL, name=name,
    )  # fmt: skip
    (answer,) = await ledger.effects.record([EffectWrite(wait, worker, seconds)])
    assert answer.ruling == "recorded"
    assert (answer.due_at is None) == (seconds is None)
    return wait


async def look(ledger, started, worker):
    (seen,) = await ledger.waits.look([Look(started.id, started.attempt, worker)], TIMED_OUT)
    return seen


async def park(ledger, started, worker, wait, *, wakes=0, wake_at=None):
    waiting_for = WaitingFor("signal", wait.name, wait.id)
    return await finish(ledger, started, worker, Outcome.PARKED, waiting_for=waiting_for, wake_at=wake_at, wakes=wakes)


async def test_a_parked_task_shows_what_it_waits_for_and_is_started_by_nobody(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    wait = await waiting_for_signal(ledger, started, worker)
    assert (await park(ledger, started, worker, wait)).status is Status.WAITING
    task = await ledger.tasks.get(started.id, None)
    assert task.waiting_for == WaitingFor("signal", "approval", wait.id)
    assert reason(await start(ledger, started.id, worker)) == "waiting"


async def test_a_signal_wakes_what_is_parked(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    wait = await waiting_for_signal(ledger, started, worker)
    await park(ledger, started, worker, wait)
    sent = await ledger.waits.send("acme", started.id, "approval", b"1", None)
    (woken,) = sent.woken
    assert (woken.place.id, woken.worker_id) == (started.id, None)
    again = await start(ledger, started.id, worker)
    assert isinstance(again, Started)
    assert (again.attempt, again.failures, again.losses) == (2, 0, 0)
    assert (await look(ledger, again, worker)).answers == {wait.id: b"1"}


async def test_a_park_is_refused_when_something_came_since_the_look(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    wait = await waiting_for_signal(ledger, started, worker)
    seen = await look(ledger, started, worker)
    sent = await ledger.waits.send("acme", started.id, "approval", b"1", wait.id)
    assert [woken.worker_id for woken in sent.woken] == [worker]
    assert (await park(ledger, started, worker, wait, wakes=seen.wakes)).status is Status.QUEUED
    assert isinstance(await start(ledger, started.id, worker), Started)


async def test_looks_parks_and_signals_at_once_lose_nothing(ledger):
    worker = await new_worker(ledger)

    async def one() -> None:
        started = await running(ledger, worker)
        wait = await waiting_for_signal(ledger, started, worker)
        (
            seen,
            _,
        ) = await asyncio.gather(  # asked as callers ask: on a slow disk a row may be held for longer than its limit
            until_answered(lambda: look(ledger, started, worker)),
            until_answered(lambda: ledger.waits.send("acme", started.id, "approval", b"1", None)),
        )
        if not seen.answers:
            await park(ledger, started, worker, wait, wakes=seen.wakes)
            again = await start(ledger, started.id, worker)
            assert isinstance(again, Started), "parked over a signal that was there"
            seen = await look(ledger, again, worker)
        assert seen.answers == {wait.id: b"1"}

    await asyncio.gather(*(one() for _ in range(40)))


async def test_a_signal_and_a_park_at_once_lose_nothing(ledger):
    worker = await new_worker(ledger)

    async def one() -> None:
        started = await running(ledger, worker)
        wait = await waiting_for_signal(ledger, started, worker)
        seen = await look(ledger, started, worker)
        await asyncio.gather(
            until_answered(lambda: park(ledger, started, worker, wait, wakes=seen.wakes)),
            until_answered(lambda: ledger.waits.send("acme", started.id, "approval", b"1", wait.id)),
        )
        assert (await ledger.tasks.get(started.id, None)).status is Status.QUEUED

    await asyncio.gather(*(one() for _ in range(40)))


async def test_a_wait_times_out_unless_it_was_answered(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    late = await waiting_for_signal(ledger, started, worker, seconds=0.01)
    answered = await waiting_for_signal(ledger, started, worker, name="other", occurrence=1, seconds=0.01)
    await ledger.waits.send("acme", started.id, "other", b"2", None)
    await asyncio.sleep(0.05)
    assert (await look(ledger, started, worker)).answers == {late.id: None, answered.id: b"2"}
    assert (await look(ledger, started, worker)).answers == {late.id: None, answered.id: b"2"}, (
        "also if it is told again"
    )
    stored = {effect.id: effect for effect in await ledger.effects.of_task(started.id)}
    assert (stored[late.id].status, stored[late.id].result) == (EffectStatus.FAILED, TIMED_OUT)
    assert stored[answered.id].status is EffectStatus.STARTED
    with pytest.raises(Conflict):
        await ledger.waits.send("acme", started.id, "approval", b"3", late.id)


async def test_a_superseded_attempt_sees_nothing(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await finish(ledger, started, worker, Outcome.GIVEN_BACK)
    assert await look(ledger, started, worker) is None


async def test_signals_stay_within_their_tenant_and_their_task_s_life(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    for tenant, task in (("another", started.id), ("acme", ids.new(ids.TASK)), ("acme", "nonsense")):
        with pytest.raises(NotFound):
            await ledger.waits.send(tenant, task, "approval", b"1", None)
    await finish(ledger, started, worker)
    with pytest.raises(Conflict):
        await ledger.waits.send("acme", started.id, "approval", b"1", None)


async def test_a_task_that_wakes_by_itself_is_started_when_its_time_has_come(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    wait = began(started)
    await ledger.effects.record([EffectWrite(wait, worker, 0.3)])
    await park(ledger, started, worker, wait, wake_at=from_now(0.3))
    assert reason(await start(ledger, started.id, worker)) == "not_due"
    (place,) = await ledger.waits.waking_page(600, 10)
    assert place.id == started.id
    assert await ledger.waits.waking_page(600, 10, place) == []
    assert await ledger.waits.wake_overdue(0.0, 10) == []
    await asyncio.sleep(0.35)
    again = await start(ledger, started.id, worker)
    assert isinstance(again, Started)
    assert again.attempt == 2


async def test_a_parked_task_has_a_place_if_it_wakes_by_itself(ledger):
    """A worker that asked too early, by a clock that is ahead, gives it that place again."""
    worker = await new_worker(ledger)
    for wake_at in (from_now(60), None):
        started = await running(ledger, worker)
        wait = await waiting_for_signal(ledger, started, worker)
        parked = await park(ledger, started, worker, wait, wake_at=wake_at)
        assert reason(await start(ledger, started.id, worker)) == ("waiting" if wake_at is None else "not_due")
        place = await ledger.tasks.place_of(started.id)
        if wake_at is None:
            assert place is None
        else:
            assert (place.id, place.run_at_ms) == (started.id, int(parked.wake_at.timestamp() * 1000))


async def test_a_park_that_is_told_again_wakes_at_the_same_time(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    wait = await waiting_for_signal(ledger, started, worker)
    waiting_for, wake_at = WaitingFor("signal", wait.name, wait.id), from_now(60).replace(microsecond=0)
    parking = outcome_of(started, worker, Outcome.PARKED, waiting_for=waiting_for, wake_at=wake_at, wakes=0)
    for _ in range(2):  # the answer to the first one was lost
        (finished,) = await ledger.tasks.finish([parking])
        assert (finished.status, finished.wake_at) == (Status.WAITING, wake_at)


async def test_what_is_late_is_queued(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await park(ledger, started, worker, began(started), wake_at=from_now(-3))
    assert await ledger.waits.wake_overdue(5.0, 10) == []
    (place,) = await ledger.waits.wake_overdue(1.0, 10)
    assert (place.id, (await ledger.tasks.get(started.id, None)).status) == (started.id, Status.QUEUED)


async def test_a_wait_ends_with_its_task_s_time(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, expires_at=from_now(0.2))
    await park(ledger, started, worker, began(started))
    await asyncio.sleep(0.25)
    assert reason(await start(ledger, started.id, worker)) == "expired"


def child_of(started, worker, *, occurrence=0):
    effect = effect_of(
        started,
        occurrence=occurrence,
        status=EffectStatus.STARTED,
        finished_at=None,
        result=None,
        kind=EffectKind.CHILD,
    )
    return Spawn(effect, worker, "echo", "default", b'{"n":2}')


async def test_a_child_is_made_with_its_effect_once(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker, priority=7, user="u1")
    spawn = child_of(started, worker)
    (spawned,) = await ledger.waits.spawn([spawn])
    child_id = spawn.effect.id.replace("effect_", "task_")
    assert (spawned.answer.ruling, spawned.place.id) == ("recorded", child_id)
    assert await ledger.waits.spawn([spawn]) == [spawned], "told again, as nobody may have heard of it"
    child = await ledger.tasks.get(child_id, "acme")
    assert (child.parent, child.priority, child.user, child.conversation) == (started.id, 7, "u1", None)
    assert (child.trace_id, child.status) == (started.trace_id, Status.QUEUED)
    (effect,) = await ledger.effects.of_task(started.id)
    assert (effect.id, effect.key) == (spawn.effect.id, KEY)
    await start(ledger, child_id, worker)
    (repeated,) = await ledger.waits.spawn([spawn])
    assert (repeated.answer.ruling, repeated.place) == ("recorded", None)


async def test_a_superseded_attempt_makes_no_child(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    await finish(ledger, started, worker, Outcome.GIVEN_BACK)
    (spawned,) = await ledger.waits.spawn([child_of(started, worker)])
    assert (spawned.answer.ruling, spawned.place) == ("superseded", None)
    assert [task.id for task in await ledger.tasks.list("acme", limit=10)] == [started.id]


async def test_a_child_s_end_is_told_to_its_parent_and_seen(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    spawn = child_of(started, worker)
    (spawned,) = await ledger.waits.spawn([spawn])
    assert (await look(ledger, started, worker)).answers == {}
    await park(ledger, started, worker, spawn.effect)
    assert await ledger.waits.untold(10) == []
    child = await start(ledger, spawned.place.id, worker)
    assert (child.parent_id, child.depth) == (started.id, 1)
    await finish(ledger, child, worker, output=b'"done"')
    assert await ledger.waits.untold(10) == [(child.id, started.id)]
    (woken,) = await ledger.waits.wake([started.id])
    await ledger.waits.note_told([child.id])
    assert (woken.place.id, await ledger.waits.untold(10)) == (started.id, [])
    again = await start(ledger, started.id, worker)
    seen = await look(ledger, again, worker)
    assert seen.answers == {spawn.effect.id: ChildEnd(Status.SUCCEEDED, b'"done"', None, None)}


async def test_the_end_of_a_child_that_a_person_tried_again_is_told_as_well(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    (spawned,) = await ledger.waits.spawn([child_of(started, worker)])
    child = await start(ledger, spawned.place.id, worker)
    await finish(ledger, child, worker, Outcome.FAILED)
    await ledger.waits.note_told([child.id])
    await ledger.tasks.retry("acme", child.id)
    await ledger.waits.note_told([child.id])  # by somebody who is late
    assert await ledger.waits.untold(10) == []
    await finish(ledger, await start(ledger, child.id, worker), worker)
    assert await ledger.waits.untold(10) == [(child.id, started.id)]


async def test_an_erased_child_is_an_end_too(ledger):
    worker = await new_worker(ledger)
    started = await running(ledger, worker)
    spawn = child_of(started, worker)
    (spawned,) = await ledger.waits.spawn([spawn])
    await ledger.tasks.cancel("acme", spawned.place.id)
    await ledger.tasks.erase("acme", spawned.place.id)
    assert (await look(ledger, started, worker)).answers == {spawn.effect.id: ChildEnd(None, None, None, None)}


async def test_orphans_are_those_whose_parents_wait_for_nobody(ledger):
    worker = await new_worker(ledger)
    parents = [await running(ledger, worker) for _ in range(2)]
    children = [(await ledger.waits.spawn([child_of(parent, worker)]))[0].place.id for parent in parents]
    assert await ledger.waits.unfinished_children(parents[0].id) == [(children[0], "acme")]
    await finish(ledger, parents[0], worker)
    await finish(ledger, parents[1], worker, Outcome.FAILED)
    assert await ledger.waits.orphans(10) == [(children[0], "acme")]


async def test_erasing_a_task_erases_what_was_said_to_it(ledger):
    worker = await new_worker(ledger)
    task_id = await accept(ledger)
    await ledger.waits.send("acme", task_id, "approval", b"1", None)
    assert (await ledger.waits.send("acme", task_id, "approval", b"2", None)).is_repeat
    started = await start(ledger, task_id, worker)
    assert datetime.now(UTC) > started.created_at
    await finish(ledger, started, worker)
    await ledger.tasks.erase("acme", task_id)
    async with ledger._db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM signals WHERE task_id = $1", bare(task_id)) == 0
