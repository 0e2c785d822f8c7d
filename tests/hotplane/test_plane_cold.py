"""Long backlogs: what is kept hot, what comes with a refill, and that nothing is stranded in between."""

import asyncio

import crowd
import pytest

from dayshift.hotplane import Ack, HotBound, Lane, dispatch, keys

BOUND = HotBound(agent_ready=20, lane_floor=8, low_water=10, page=10)


@pytest.fixture
def plane(plane):
    plane._state.bound = BOUND
    return plane


async def ask_for_refill(plane, worker_id, number):
    return await plane.claim(worker_id, crowd.ids.new("request_"), [("agent", -1)], number)


async def test_a_lane_goes_cold_when_too_much_is_ready_but_keeps_its_floor(plane):
    first = crowd.places(25, tenant="a")
    assert await plane.enqueue(first) == ["ready"] * 20 + ["cold"] * 5
    assert await plane.enqueue(crowd.places(10, tenant="b")) == ["ready"] * 8 + ["cold"] * 2
    assert await plane.enqueue(first[:1]) == ["ready"]
    assert await plane.enqueue(first[-1:]) == ["cold"]


async def test_a_lane_that_runs_low_is_refilled_by_one_worker_at_a_time(plane):
    queued = crowd.places(40)
    await plane.enqueue(queued)
    one, other = crowd.worker(), crowd.worker()
    assert (await ask_for_refill(plane, one, 5)).refill == []
    [lane] = (await ask_for_refill(plane, one, 10)).refill
    assert (lane.agent, lane.priority, lane.tenant, lane.from_seq) == ("agent", 5, "a", queued[20].seq)
    assert (await ask_for_refill(plane, other, 1)).refill == []
    assert await plane.refill(lane, queued[20:30], queued[30].seq)
    assert not await plane.refill(lane, queued[20:30], queued[30].seq)
    got = (await ask_for_refill(plane, other, 40)).task_ids
    assert got == [place.id for place in queued[16:30]]


async def test_what_is_refused_during_a_refill_is_not_stranded(plane):
    queued = crowd.places(25)
    await plane.enqueue(queued)
    worker_id = crowd.worker()
    [lane] = (await ask_for_refill(plane, worker_id, 20)).refill
    late = crowd.places(1)
    assert await plane.enqueue(late) == ["cold"]
    assert await plane.refill(lane, queued[20:], None)
    claim = await ask_for_refill(plane, worker_id, 10)
    assert claim.task_ids == [place.id for place in queued[20:]]
    assert [again.from_seq for again in claim.refill] == [late[0].seq]
    assert await plane.refill(claim.refill[0], late, None)
    assert await crowd.claim(plane, worker_id, 2) == [late[0].id]
    assert await plane.enqueue(more := crowd.places(1)) == ["ready"]
    assert await crowd.claim(plane, worker_id, 2) == [more[0].id]


async def test_a_refill_that_died_with_its_worker_is_given_out_again(plane):
    queued = crowd.places(25)
    await plane.enqueue(queued)
    [lost] = (await ask_for_refill(plane, crowd.worker(), 20)).refill
    worker_id = crowd.worker()
    waiting = await ask_for_refill(plane, worker_id, 1)
    assert waiting.refill == []
    assert waiting.next_due_ms is not None
    while await plane.now_us() < waiting.next_due_ms * 1_000:
        await asyncio.sleep(0.01)
    [again] = (await ask_for_refill(plane, worker_id, 1)).refill
    assert not await plane.refill(lost, queued[20:], None)
    assert await plane.refill(again, queued[20:], None)


async def test_a_lane_marked_cold_asks_for_its_tail_and_wakes_somebody(plane):
    sub = plane.subscriber()
    worker_id = crowd.worker()
    await sub.add(crowd.channels.worker(worker_id))
    assert (await ask_for_refill(plane, worker_id, 1)).refill == []
    await plane.mark_cold([Lane("agent", 5, "a", 7)])
    assert await anext(aiter(sub)) == (crowd.channels.worker(worker_id), b"wake")
    [lane] = (await ask_for_refill(plane, worker_id, 1)).refill
    assert lane.from_seq == 7
    await sub.close()


async def test_a_retried_task_of_a_cold_lane_goes_to_its_head(plane):
    queued = crowd.places(25)
    await plane.enqueue(queued)
    worker_id = crowd.worker()
    [first] = await crowd.claim(plane, worker_id, 1)
    await plane.ack(worker_id, [Ack(first, 0.1, queued[0])])
    assert await crowd.claim(plane, worker_id, 1) == [first]


async def test_ten_thousand_lanes_are_marked_cold_in_one_call_and_counted_back(plane):
    """One script call may change more numbers than one command takes."""
    lanes = 10_000
    flat = [item for number in range(lanes) for item in ("agent", 5, f"t{number}", 7)]
    await plane._state.run("mark_cold", *flat)
    root = keys.state_root(plane.epoch)
    assert await plane._wire.ask(b"HLEN", root + "cold") == lanes
    await plane.enqueue([place for number in range(lanes) for place in crowd.places(1, tenant=f"t{number}")])
    assert await plane._wire.ask(b"HLEN", root + "refused") == lanes


async def test_a_rebuild_marks_many_lanes_in_bounded_calls(plane, monkeypatch):
    monkeypatch.setattr(dispatch, "MAX_LANES_A_CALL", 3)
    await plane.mark_cold([Lane("agent", 5, f"t{number}", 7) for number in range(8)])
    assert await plane._wire.ask(b"HLEN", keys.state_root(plane.epoch) + "cold") == 8


async def test_refills_of_higher_priorities_are_given_out_first(plane):
    for priority in range(10):
        await plane.mark_cold([Lane("agent", priority, "a", 7)])
    worker_id = crowd.worker()
    given = [lane.priority for _ in range(3) for lane in (await ask_for_refill(plane, worker_id, 1)).refill]
    assert given == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_a_claim_says_that_more_refills_wait(plane):
    """Lanes may turn out to be empty: then no refill wakes anybody for those that were not given out."""
    await plane.mark_cold([Lane("agent", 5, f"t{number}", 7) for number in range(5)])
    claim = await ask_for_refill(plane, crowd.worker(), 1)
    assert len(claim.refill) == 4
    assert claim.next_due_ms is not None
    assert claim.next_due_ms * 1_000 < await plane.now_us()


async def test_a_retried_task_keeps_its_place_in_a_lane_that_is_whole(plane):
    queued = crowd.places(20)
    await plane.enqueue(queued)
    worker_id = crowd.worker()
    assert await crowd.claim(plane, worker_id, 1) == [queued[0].id]
    assert await plane.enqueue(crowd.places(3, tenant="b")) == ["ready"] * 3  # as much is ready again
    await plane.ack(worker_id, [Ack(queued[0].id, slot_seconds=0.0, again=queued[0])])
    claimed = await crowd.claim(plane, worker_id, 30)
    assert [task_id for task_id in claimed if task_id in {place.id for place in queued}] == [
        place.id for place in queued
    ]
