"""Waiting without a worker: a task that only waits holds no slot, and goes on where it was when its answer comes."""

import asyncio
import contextlib
import time
from datetime import timedelta

import pytest

from dayshift.domain import clock
from dayshift.domain.errors import Conflict, LedgerAway
from dayshift.domain.task import Status
from dayshift.worker import parking
from tests.worker.house import TENANT, agents_under_test, until, working


async def parked(house, task_id, *, times=1):
    """The task once it is parked for that time."""
    async with asyncio.timeout(15), contextlib.aclosing(house.services.waiters.stream(task_id, TENANT)) as events:
        async for event in events:
            times -= event.type == "task.waiting"
            if not times:
                return await house.ledger.tasks.get(task_id, TENANT)
    raise AssertionError("it was not parked")


async def say(house, task_id, payload=b'"yes"', wait_id=None, name="approval"):
    return await house.services.waking.signal(TENANT, task_id, name, payload, wait_id)


def entries(task_id):
    return len(agents_under_test().SEEN.get(task_id, ()))


async def test_a_short_sleep_just_sleeps(house):
    async with working(house):
        task = await house.finished(await house.submit("sleeps", seconds=0.2))
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 1)
    assert await house.ledger.effects.of_task(task.id) == []


@pytest.mark.parametrize("agent", ["sleeps", "sleeps_in_a_thread"])
async def test_a_sleep_is_parked_and_wakes_by_itself(house, agent):
    async with working(house):
        began = time.monotonic()
        task_id = await house.submit(agent, seconds=1.5)
        waiting = await parked(house, task_id)
        assert waiting.status is Status.WAITING
        assert (waiting.waiting_for.type, waiting.waiting_for.name) == ("sleep", "1.5 s")
        task = await house.finished(task_id)
        assert 1.5 <= time.monotonic() - began < 3.5
    assert (task.status, task.attempt, task.failures, task.losses) == (Status.SUCCEEDED, 2, 0, 0)
    assert task.waiting_for is None


async def test_a_signal_wakes_a_parked_task(house):
    async with working(house):
        task_id = await house.submit("asks_leave")
        waiting = await parked(house, task_id)
        assert (waiting.waiting_for.type, waiting.waiting_for.name, waiting.waiting_for.until) == (
            "signal",
            "approval",
            None,
        )
        assert not (await say(house, task_id, b'{"by":"ada"}', waiting.waiting_for.id)).is_repeat
        task = await house.finished(task_id)
    assert bytes(task.output) == b'[{"by":"ada"}]'
    assert (task.attempt, entries(task_id)) == (2, 2)


async def test_a_signal_that_comes_before_its_wait_is_kept(house):
    async with working(house):
        task_id = await house.submit("asks_leave", options={"delay": 0.5})
        await say(house, task_id, b"1")
        task = await house.finished(task_id)
    assert (bytes(task.output), task.attempt) == (b"[1]", 1)


async def test_a_task_is_not_parked_before_somebody_looked_for_what_came_earlier(house, monkeypatch):
    """The count of wake-ups that an attempt is started with has the signal in it that woke it; only a look finds it."""
    may_look, look = asyncio.Event(), house.ledger.waits.look

    async def look_late(*arguments):
        await may_look.wait()
        return await look(*arguments)

    async with working(house):
        task_id = await house.submit("asks_leave")
        await parked(house, task_id)
        monkeypatch.setattr(house.ledger.waits, "look", look_late)
        await say(house, task_id, b"1")
        await until(lambda: entries(task_id) == 2)
        await asyncio.sleep(3 * parking.MOMENT_SECONDS)  # in which it would be parked, for good
        may_look.set()
        task = await house.finished(task_id)
    assert (bytes(task.output), task.attempt) == (b"[1]", 2)


async def test_what_is_said_while_the_parked_code_ends_is_heard(house):
    """A look finds it then, and nobody is told: so the park must not count it as seen."""
    async with working(house):
        task_id = await house.submit("leaves_slowly")
        await until(lambda: task_id in agents_under_test().SEEN)
        await say(house, task_id, b'"now"')
        task = await house.finished(task_id, 10.0)
    assert (bytes(task.output), task.attempt) == (b'"now"', 2)


async def test_a_ledger_that_is_away_when_a_replay_ends_is_no_failure_of_the_agent(house, monkeypatch):
    tries, mark = [], house.ledger.effects.mark_replayed

    async def away_at_first(*arguments):
        tries.append(arguments)
        if len(tries) == 1:
            raise LedgerAway("PostgreSQL does not answer")
        await mark(*arguments)

    async with working(house):
        task_id = await house.submit("asks_leave")
        await parked(house, task_id)
        monkeypatch.setattr(house.ledger.effects, "mark_replayed", away_at_first)
        await say(house, task_id)
        task = await house.finished(task_id)
    assert (task.status, task.attempt, task.failures, len(tries)) == (Status.SUCCEEDED, 2, 0, 2)


async def test_a_double_click_never_approves_the_next_thing(house):
    async with working(house):
        task_id = await house.submit("asks_leave", times=2)
        first = (await parked(house, task_id)).waiting_for
        await say(house, task_id, b"1", first.id)
        assert (await say(house, task_id, b"2", first.id)).is_repeat
        second = (await parked(house, task_id, times=2)).waiting_for
        assert second.id != first.id
        assert (await say(house, task_id, b"3", first.id)).is_repeat
        await say(house, task_id, b"4")
        task = await house.finished(task_id)
        with pytest.raises(Conflict):
            await say(house, task_id, b"5")
        assert (await say(house, task_id, b"6", first.id)).is_repeat, "also once the task has ended"
    assert bytes(task.output) == b"[1,4]"


async def test_a_wait_times_out_and_that_is_recorded(house):
    async with working(house):
        task_id = await house.submit("asks_leave", timeout=1.2, times=2)
        task = await house.finished(task_id)
    assert bytes(task.output) == b'["nobody came","nobody came"]'
    effects = await house.ledger.effects.of_task(task_id)
    assert [(effect.kind, effect.status) for effect in effects] == [("signal", "failed")] * 2


async def test_a_wait_that_timed_out_says_the_same_in_every_attempt(house):
    async with working(house):
        task = await house.finished(await house.submit("tells_that_nobody_came"))
    assert (task.status, task.attempt) == (Status.SUCCEEDED, 3), task.error
    effects = await house.ledger.effects.of_task(task.id)
    assert [(effect.kind, effect.replayed_by, effect.differs) for effect in effects] == [
        ("signal", 3, None),
        ("step", 3, None),
    ]


async def test_children_run_as_tasks_of_their_own(house):
    async with working(house):
        task_id = await house.submit("calls_others", texts=["a", "b", "c"])
        task = await house.finished(task_id)
        children = [one for one in await house.ledger.tasks.list(TENANT, limit=10) if one.parent == task_id]
    assert bytes(task.output) == b'["A","B","C"]'
    assert sorted(bytes(child.output) for child in children) == [b'"A"', b'"B"', b'"C"']
    assert {child.tenant for child in children} == {TENANT}
    effects = await house.ledger.effects.of_task(task_id)
    assert {effect.id.replace("effect_", "task_") for effect in effects} == {child.id for child in children}


async def test_a_child_s_failure_is_an_error_in_its_parent(house):
    async with working(house):
        task = await house.finished(await house.submit("survives_a_child"))
        other = await house.finished(await house.submit("calls_others", texts=["fail"]))
    assert bytes(task.output).startswith(b'"fatal: agent slow_echo (task_')
    assert (other.status, other.error.code) == (Status.FAILED, "child_failed")


async def test_cancel_goes_down_the_tree(house):
    async with working(house):
        task_id = await house.submit("calls_others", texts=["wait", "wait"])
        await parked_on_children(house, task_id)
        await house.services.control.cancel(task_id, TENANT)
        task = await house.finished(task_id)
        assert task.status is Status.CANCELLED
        for child in await house.ledger.tasks.list(TENANT, limit=10):
            assert (await house.finished(child.id)).status is Status.CANCELLED


async def test_a_child_that_is_given_up_while_it_is_made_is_queued_all_the_same(house, monkeypatch):
    spawn = house.ledger.waits.spawn

    async def spawn_slowly(spawns):
        spawned = await spawn(spawns)
        await asyncio.sleep(0.8)
        return spawned

    monkeypatch.setattr(house.ledger.waits, "spawn", spawn_slowly)
    async with working(house):
        task_id = await house.submit("gives_up_on_a_child")
        await parked(house, task_id)
        (child,) = [one for one in await house.ledger.tasks.list(TENANT, limit=10) if one.parent == task_id]
        assert (await house.finished(child.id, 10.0)).status is Status.SUCCEEDED


async def test_a_parent_hears_of_a_child_that_was_cancelled_and_erased_at_once(house):
    async with working(house):
        task_id = await house.submit("calls_others", texts=["wait"])
        await parked_on_children(house, task_id)
        (child,) = [one for one in await house.ledger.tasks.list(TENANT, limit=10) if one.parent == task_id]
        await house.services.control.cancel(child.id, TENANT)
        await house.finished(child.id)
        await house.ledger.waits.note_told([child.id])  # as if nobody had come to tell the parent
        await house.services.control.erase(child.id, TENANT)
        task = await house.finished(task_id, 10.0)
    assert (task.status, task.error.code) == (Status.FAILED, "child_failed")


async def test_what_works_for_nobody_any_more_is_cancelled_at_once(house):
    async with working(house):
        task_id = await house.submit("leaves_a_child")
        await parked(house, task_id)
        await say(house, task_id)
        assert (await house.finished(task_id)).status is Status.SUCCEEDED
        (child,) = [one for one in await house.ledger.tasks.list(TENANT, limit=10) if one.parent == task_id]
        assert (await house.finished(child.id, 5.0)).status is Status.CANCELLED


async def parked_on_children(house, task_id):
    waiting = await house.event(task_id, "task.waiting")
    assert waiting["waiting_for"]["type"] == "child"


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_a_task_is_not_parked_while_a_branch_of_it_works(house, tmp_path, in_a_group):
    log = tmp_path / "log"
    async with working(house):
        task_id = await house.submit("waits_beside_work", log=str(log), in_a_group=in_a_group)
        await parked(house, task_id)
        assert log.read_text() == "worked\n"
        await say(house, task_id)
        task = await house.finished(task_id)
    assert (bytes(task.output), task.attempt) == (b'"yes"', 2)
    assert log.read_text() == "worked\n"


async def test_a_plain_task_is_not_parked_while_a_job_of_it_works(house, tmp_path):
    log = tmp_path / "log"
    async with working(house):
        task_id = await house.submit("waits_beside_a_job", log=str(log))
        await parked(house, task_id)
        assert log.exists(), "it was parked while it worked"
        await say(house, task_id)
        task = await house.finished(task_id)
    assert (bytes(task.output), task.attempt) == (b'"yes"', 2)
    assert log.read_text() == "worked\n"


async def test_a_parked_task_can_be_cancelled(house):
    async with working(house):
        task_id = await house.submit("asks_leave")
        await parked(house, task_id)
        task = await house.services.control.cancel(task_id, TENANT)
    assert task.status is Status.CANCELLED


@pytest.mark.parametrize("agent", ["sleeps", "sleeps_in_a_thread"])
async def test_a_drain_hands_back_what_waits(house, agent):
    async with working(house):
        task_id = await house.submit(agent, seconds=1.6)
        await until(lambda: task_id in agents_under_test().SEEN)
        await asyncio.sleep(0)
    async with working(house):
        task = await house.finished(task_id)
    assert (task.status, task.failures, task.losses) == (Status.SUCCEEDED, 0, 0)


async def test_a_worker_whose_clock_is_behind_does_not_park_what_was_just_woken(house, monkeypatch):
    behind = timedelta(seconds=30)
    async with working(house):
        task_id = await house.submit("sleeps", seconds=1.2)
        await parked(house, task_id)
        now = clock.now
        monkeypatch.setattr(parking.clock, "now", lambda: now() - behind)
        task = await house.finished(task_id)
    assert (bytes(task.output), task.attempt) == (b"2", 2)


@pytest.mark.parametrize("agent", ["acts_with_leave", "acts_with_leave_plainly", "acts_on_what_it_began_to_ask"])
async def test_a_tool_that_must_not_run_twice_is_not_parked_amid(house, agent):
    """Parked, the next attempt would find it begun, and nobody could say how it ended."""
    async with working(house):
        task_id = await house.submit(agent)
        await until(lambda: entries(task_id))
        await asyncio.sleep(5 * parking.MOMENT_SECONDS)  # in which it would be parked
        assert (await house.ledger.tasks.get(task_id, TENANT)).status is Status.RUNNING
        await say(house, task_id)
        task = await house.finished(task_id)
    assert (task.status, task.attempt, bytes(task.output)) == (Status.SUCCEEDED, 1, b'"yes"'), task.error


@pytest.mark.parametrize("how", ["around a wait", "around branches", "by wait_for", "moved", "of a tool"])
async def test_a_timeout_around_a_wait_is_kept(house, how):
    async with working(house):
        task = await house.finished(await house.submit("waits_under_a_timeout", how=how))
    assert (bytes(task.output), task.attempt) == (b'"nobody came"', 1)


@pytest.mark.parametrize("agent", ["waits_under_an_endless_timeout", "waits_after_timeouts"])
async def test_a_timeout_without_a_deadline_or_one_that_is_over_parks(house, agent):
    async with working(house):
        task_id = await house.submit(agent)
        await parked(house, task_id)
        await say(house, task_id)
        assert bytes((await house.finished(task_id)).output) == b'"yes"'


@pytest.mark.parametrize(
    ("how", "cure"),
    [
        ("a time in words", "seconds must be"),
        ("a name with a slash", "leave out /"),
        ("no function", "give the function"),
        ("a coroutine", "give the function"),
        ("numbers", "argument 2 is 2"),
        ("a delay in words", "give seconds"),
    ],
)
async def test_misuse_says_the_cure_and_costs_one_attempt(house, how, cure):
    async with working(house):
        task = await house.finished(await house.submit("misuses", how=how))
    assert (task.status, task.attempt, task.error.code) == (Status.FAILED, 1, "wrong_use"), task.error
    assert cure in task.error.message


async def test_errors_of_branches_are_results_where_that_is_asked_for(house):
    async with working(house):
        task = await house.finished(await house.submit("gathers_errors"))
    assert bytes(task.output) == b'["ValueError","int"]'
