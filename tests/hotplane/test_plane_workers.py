"""Leases, comparisons of what is held, and being woken."""

import asyncio

import crowd
import msgspec
import pytest

from dayshift.domain.clock import now
from dayshift.domain.errors import PlaneNotReady
from dayshift.hotplane import Ack, Plane, digest


async def next_message(sub):
    async with asyncio.timeout(5):
        return await anext(aiter(sub))


@pytest.fixture
async def sub(plane):
    sub = plane.subscriber()
    yield sub
    await sub.close()


async def settled(plane: Plane, sub) -> list[tuple[str, bytes]]:
    """All that was pushed up to now, by a message that comes after it."""
    await sub.add("ds:test:end")
    await plane.publish("ds:test:end", "")
    messages = []
    while (message := await next_message(sub))[0] != "ds:test:end":
        messages.append(message)
    return messages


async def idle_worker(plane, sub, agents=("agent",)):
    worker_id = crowd.worker()
    await sub.add(crowd.channels.worker(worker_id))
    assert await crowd.claim(plane, worker_id, 1, agents) == []
    return crowd.channels.worker(worker_id)


@pytest.mark.by_url
async def test_work_wakes_one_idle_worker_and_a_claim_that_leaves_some_wakes_the_next(plane, sub):
    first, second = await idle_worker(plane, sub), await idle_worker(plane, sub)
    await idle_worker(plane, sub, ["other"])
    await plane.enqueue(crowd.places(5))
    assert await settled(plane, sub) == [(first, b"wake")]
    worker_id = first.rpartition(":")[2]
    assert len(await crowd.claim(plane, worker_id, 2)) == 2
    assert await settled(plane, sub) == [(second, b"wake")]
    assert len(await crowd.claim(plane, second.rpartition(":")[2], 10)) == 3
    assert await settled(plane, sub) == []


@pytest.mark.parametrize("wakes_in_ms", [0, 60_000])
async def test_what_came_for_a_parked_task_before_its_worker_had_said_so_is_not_lost(plane, wakes_in_ms):
    worker_id, (place,) = crowd.worker(), crowd.places(1)
    later_ms = int(now().timestamp() * 1000) + wakes_in_ms
    later = msgspec.structs.replace(place, run_at_ms=later_ms) if wakes_in_ms else None
    ack = Ack(place.id, 1.0, later, called=place)
    await plane.enqueue([place])
    assert await crowd.claim(plane, worker_id, 1) == [place.id]
    await plane.ack(worker_id, [ack])
    assert await crowd.claim(plane, worker_id, 1) == [], "nothing came for it"
    await plane.enqueue([place])
    assert await crowd.claim(plane, worker_id, 1) == [place.id]
    assert await plane.enqueue([place]) == ["held"]
    for _ in range(2):  # the answer to the first one was lost
        await plane.ack(worker_id, [ack])
    assert await crowd.claim(plane, worker_id, 1) == [place.id]


async def test_what_came_for_a_task_that_has_ended_is_of_no_use(plane):
    worker_id, (place,) = crowd.worker(), crowd.places(1)
    await plane.enqueue([place])
    assert await crowd.claim(plane, worker_id, 1) == [place.id]
    assert await plane.enqueue([place]) == ["held"]
    await plane.ack(worker_id, [Ack(place.id, 1.0)])
    assert await crowd.claim(plane, worker_id, 1) == []


async def test_a_wake_up_that_nobody_receives_goes_to_the_next(plane, sub):
    await crowd.claim(plane, crowd.worker(), 1)
    listening = await idle_worker(plane, sub)
    await plane.enqueue(crowd.places(1))
    assert await settled(plane, sub) == [(listening, b"wake")]


async def test_a_wake_up_passes_over_a_worker_that_was_not_heard_of_lately(plane, sub):
    """It may be frozen, or cut off: its socket takes the message all the same."""
    silent, heard = await idle_worker(plane, sub), await idle_worker(plane, sub)
    await plane.beat(silent.rpartition(":")[2], 0, 0, ttl_ms=5_500)  # as it stands 4.5 s after a beat
    await plane.beat(heard.rpartition(":")[2], 0, 0)
    await plane.enqueue(crowd.places(1))
    assert await settled(plane, sub) == [(heard, b"wake")]


async def test_an_earlier_due_time_wakes_somebody_to_set_its_alarm(plane, sub):
    idle = await idle_worker(plane, sub)
    soon = int(now().timestamp() * 1000) + 60_000
    await plane.enqueue(crowd.places(1, run_at_ms=soon + 9))
    assert await settled(plane, sub) == [(idle, b"wake")]
    claim = await plane.claim(idle.rpartition(":")[2], "r", [("agent", -1)], 1)
    assert claim.next_due_ms == soon + 9
    await plane.enqueue(crowd.places(1, run_at_ms=soon + 10))
    assert await settled(plane, sub) == []
    await plane.enqueue(crowd.places(1, run_at_ms=soon))
    assert await settled(plane, sub) == [(idle, b"wake")]


async def test_room_below_a_cap_wakes_somebody(plane, sub):
    await plane.apply_policy(1, {}, {"a": 1})
    await plane.enqueue(crowd.places(3))
    busy = crowd.worker()
    [held] = await crowd.claim(plane, busy, 1)
    idle = await idle_worker(plane, sub)
    assert await settled(plane, sub) == []
    await plane.ack(busy, [Ack(held, 0.1)])
    assert await settled(plane, sub) == [(idle, b"wake")]
    await crowd.claim(plane, idle.rpartition(":")[2], 2)
    await plane.apply_policy(2, {}, {"a": 5})
    assert await settled(plane, sub) == [(idle, b"wake")]


async def test_a_worker_that_stops_claiming_passes_its_wake_up_on(plane, sub):
    first, second = await idle_worker(plane, sub), await idle_worker(plane, sub)
    await plane.enqueue(crowd.places(1))
    assert await settled(plane, sub) == [(first, b"wake")]
    await plane.stop_claiming(first.rpartition(":")[2])
    assert await settled(plane, sub) == [(second, b"wake")]


async def test_a_dead_worker_leaves_nothing_and_its_wake_up_is_passed_on(plane, sub):
    first, second = await idle_worker(plane, sub), await idle_worker(plane, sub)
    worker_id = first.rpartition(":")[2]
    await plane.beat(worker_id, 0, 0)
    await plane.enqueue(queued := crowd.places(4))
    assert await settled(plane, sub) == [(first, b"wake")]
    assert len(await crowd.claim(plane, worker_id, 2)) == 2
    assert await settled(plane, sub) == [(second, b"wake")]
    assert not await plane.lease_is_gone(worker_id)
    assert set(await plane.release_worker(worker_id)) == {place.id for place in queued[:2]}
    assert await plane.release_worker(worker_id) == []
    assert await plane.lease_is_gone(worker_id)
    assert await crowd.claim(plane, crowd.worker(), 9) == [place.id for place in queued]


async def test_a_lease_runs_out(plane):
    worker_id = crowd.worker()
    await plane.beat(worker_id, 0, 0, ttl_ms=20)
    async with asyncio.timeout(5):
        while not await plane.lease_is_gone(worker_id):
            await asyncio.sleep(0.005)


async def test_a_beat_compares_what_is_held(plane):
    await plane.enqueue(crowd.places(10))
    worker_id = crowd.worker()
    held = await crowd.claim(plane, worker_id, 6)
    assert await plane.beat(worker_id, 6, digest(held)) == "same"
    assert await plane.beat(worker_id, 6, digest(reversed(held))) == "same"
    assert await plane.beat(worker_id, 6, digest([*held[:5], crowd.places(1)[0].id])) == "differs"
    assert await plane.beat(worker_id, 5, digest(held[:5])) == "differs"
    await plane.ack(worker_id, [Ack(held.pop(), 0.1)])
    await plane.release(worker_id, [held.pop()])
    assert await plane.beat(worker_id, 4, digest(held)) == "same"


async def test_a_difference_is_acted_on_when_two_comparisons_in_a_row_found_it(plane):
    await plane.enqueue(crowd.places(2))
    worker_id = crowd.worker()
    lost, kept = await crowd.claim(plane, worker_id, 2)
    [unknown] = crowd.places(1)
    mine = [kept, unknown.id]
    assert await plane.reconcile(worker_id, mine, [unknown]) == crowd.Reconciled([], [])
    await plane.beat(worker_id, 2, digest([lost, kept]))  # in between all was well: counting begins anew
    assert await plane.reconcile(worker_id, mine, [unknown]) == crowd.Reconciled([], [])
    assert await plane.reconcile(worker_id, mine, [unknown]) == crowd.Reconciled([lost], [unknown.id])
    assert await plane.beat(worker_id, 2, digest(mine)) == "same"
    assert await crowd.claim(plane, crowd.worker(), 3) == [lost]


async def test_what_a_worker_runs_is_taken_out_of_its_line(plane):
    [place] = crowd.places(1)
    await plane.enqueue([place])
    worker_id = crowd.worker()
    await plane.reconcile(worker_id, [place.id], [place])
    await plane.reconcile(worker_id, [place.id], [place])
    assert await crowd.claim(plane, crowd.worker(), 1) == []


async def test_a_beat_renews_the_lease_also_while_the_plane_is_not_ready(plane):
    worker_id = crowd.worker()
    plane.epoch = 2
    with pytest.raises(PlaneNotReady):
        await plane.beat(worker_id, 0, 0)
    with pytest.raises(PlaneNotReady):
        await plane.lease_is_gone(worker_id)
    await plane.write_marker()
    assert not await plane.lease_is_gone(worker_id)


async def test_a_full_claim_wakes_for_every_agent_whose_tasks_it_brought_in(plane, sub):
    due_ms = await plane.now_us() // 1_000 + 500
    for agent, number in (("a", 2), ("b", 1)):
        await plane.enqueue(crowd.places(number, agent=agent, run_at_ms=due_ms))
    waiting = {await idle_worker(plane, sub, [agent]) for agent in ("a", "b")}
    while await plane.now_us() // 1_000 < due_ms:
        await asyncio.sleep(0.01)
    assert len(await crowd.claim(plane, crowd.worker(), 1, ["a", "b"])) == 1
    assert {channel for channel, _ in await settled(plane, sub)} == waiting
