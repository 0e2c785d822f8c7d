import asyncio

from dayshift.domain import clock
from dayshift.worker.attempt import Attempt
from dayshift.worker.lease import VALID_SECONDS, Lease
from dayshift.worker.slots import Slots


def test_a_lease_is_valid_while_a_beat_was_sent_lately(monkeypatch):
    now = clock.boottime_seconds()
    monkeypatch.setattr(clock, "boottime_seconds", lambda: now)
    lease = Lease("worker_1")
    now += VALID_SECONDS - 0.1
    assert lease.is_valid()
    lease.confirm(now - 5)
    now += 2.9
    assert lease.is_valid()
    now += 0.2
    assert not lease.is_valid()
    lease.confirm(now)
    assert not lease.is_valid()
    assert lease.lost_because == "confirmed by neither plane for 8 s"


def test_a_process_that_was_held_up_is_told_from_an_outage(monkeypatch):
    now = clock.boottime_seconds()
    monkeypatch.setattr(clock, "boottime_seconds", lambda: now)
    lease = Lease("worker_1")
    assert not lease.was_held_up
    now += 5
    lease.note_held_up()
    assert lease.was_held_up
    now += 1
    lease.confirm(now)
    now += VALID_SECONDS
    assert not lease.is_valid()
    assert not lease.was_held_up


def test_a_lost_lease_stays_lost():
    lease = Lease("worker_1")
    lease.lose("first")
    lease.lose("second")
    lease.confirm(clock.boottime_seconds())
    assert not lease.is_valid()
    assert lease.lost_because == "first"


async def test_slots_are_taken_once_a_task_and_lease():
    slots = Slots(3)
    old, new = Lease("worker_1"), Lease("worker_2")
    first, again, other = Attempt("task_1", old), Attempt("task_1", old), Attempt("task_1", new)
    assert slots.take(first)
    assert not slots.take(again)
    assert slots.take(other)
    assert slots.free == 1
    assert slots.held_by(new) == [other]
    assert slots.find(old, "task_1") is first


async def test_stuck_code_keeps_its_slot_but_is_held_no_more():
    slots = Slots(1)
    attempt = Attempt("task_1", Lease("worker_1"))
    slots.take(attempt)
    waiting = asyncio.create_task(slots.wait_until_none_held())
    await asyncio.sleep(0)
    slots.mark_stuck(attempt)
    await asyncio.wait_for(waiting, 5)
    assert (slots.free, slots.busy) == (0, 1)
    slots.leave(attempt)
    assert slots.free == 1


async def test_what_code_left_behind_gives_up_is_never_its_successors():
    """The task is tried again here while the code of its first attempt still runs."""
    slots, lease = Slots(3), Lease("worker_1")
    first, second = Attempt("task_1", lease), Attempt("task_1", lease)
    slots.take(first)
    slots.mark_stuck(first)
    assert slots.take(second)
    slots.leave(first)
    assert slots.find(lease, "task_1") is second
    assert (slots.free, slots.busy) == (2, 1)
    slots.mark_stuck(first)  # late, and about nothing any more
    assert slots.find(lease, "task_1") is second
