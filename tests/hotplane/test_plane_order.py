"""Priorities, age, first come first served, and who may have what."""

from collections import Counter

import crowd
import msgspec
import pytest

from dayshift.domain.clock import now
from dayshift.hotplane import Ack


async def test_first_come_first_served_within_tenant_and_priority(plane):
    queued = crowd.places(50)
    await plane.enqueue(queued[25:])
    await plane.enqueue(queued[:25])  # a late announcement keeps its turn
    assert await crowd.claim(plane, crowd.worker(), 50) == [place.id for place in queued]


@pytest.mark.by_url
async def test_priority_nine_overtakes_and_priority_zero_still_moves(plane):
    await plane.enqueue(low := crowd.places(200, priority=0))
    worker_id = crowd.worker()
    low_ids = {place.id for place in low}
    claimed: Counter[str] = Counter()
    for _ in range(40):
        await plane.enqueue(crowd.places(20, priority=9, tenant="flood"))
        got = await crowd.claim(plane, worker_id, 20)
        claimed.update("low" if task_id in low_ids else "high" for task_id in got)
        await plane.ack(worker_id, [Ack(task_id, 0.01) for task_id in got])
    assert claimed["low"] == pytest.approx(claimed.total() / 8, abs=1)


async def test_no_priority_in_between_is_starved(plane):
    for priority in range(10):
        await plane.enqueue(crowd.places(400, priority=priority, tenant=f"p{priority}"))
    place_of = {}
    worker_id = crowd.worker()
    for priority in range(10):
        for place in crowd.places(1, priority=priority, tenant=f"late{priority}"):
            place_of[place.id] = priority
            await plane.enqueue([place])
    seen = set()
    for _ in range(100):
        got = await crowd.claim(plane, worker_id, 8)
        seen |= place_of.keys() & set(got)
        await plane.ack(worker_id, [Ack(task_id, 0.01) for task_id in got])
    assert len(seen) == 10


async def test_agents_of_equal_priority_take_turns(plane):
    for agent in ("x", "y", "z"):
        await plane.enqueue(crowd.places(100, agent=agent))
    agents = ["x", "y", "z"]
    claim = await crowd.claim(plane, crowd.worker(), 30, agents)
    assert len(claim) == 30
    left = [await crowd.claim(plane, crowd.worker(), 200, [agent]) for agent in agents]
    assert [len(ids) for ids in left] == [90, 90, 90]


async def test_a_worker_gets_only_agents_that_it_names(plane):
    await plane.enqueue(mine := crowd.places(3, agent="mine:v1"))
    await plane.enqueue(crowd.places(3, agent="mine"))
    await plane.enqueue(crowd.places(3, agent="theirs%3A"))
    assert await crowd.claim(plane, crowd.worker(), 10, ["mine:v1"]) == [place.id for place in mine]


async def test_a_retried_task_is_at_the_head_of_its_line_when_due(plane):
    queued = crowd.places(5)
    await plane.enqueue(queued)
    worker_id = crowd.worker()
    [first] = await crowd.claim(plane, worker_id, 1)
    due_ms = int(now().timestamp() * 1000) + 60
    again = crowd.Place(first, "agent", 5, "a", queued[0].seq, due_ms)
    await plane.ack(worker_id, [Ack(first, 0.01, again)])
    claim = await plane.claim(worker_id, "r", [("agent", -1)], 1)
    assert claim.task_ids == [queued[1].id]
    assert claim.next_due_ms == due_ms
    while first not in (got := await crowd.claim(plane, worker_id, 1)):
        await plane.release(worker_id, got)
    assert got == [first]


async def test_the_latest_word_about_a_task_holds(plane):
    [place] = crowd.places(1)
    assert await plane.enqueue([place]) == ["ready"]
    later = crowd.Place(place.id, "agent", 5, "a", place.seq, 1 << 45)
    assert await plane.enqueue([later]) == ["delayed"]
    assert await crowd.claim(plane, crowd.worker(), 1) == []
    assert await plane.enqueue([place, later, place]) == ["ready", "delayed", "ready"]
    assert await crowd.claim(plane, crowd.worker(), 2) == [place.id]
    assert await plane.enqueue([place, later]) == ["held", "held"]


async def test_a_tenant_at_its_cap_costs_the_others_nothing(plane):
    await plane.apply_policy(1, {}, {"capped": 2, "*": None})
    await plane.enqueue(crowd.places(50, tenant="capped", priority=9))
    await plane.enqueue(crowd.places(50, tenant="free", priority=1))
    worker_id = crowd.worker()
    first = await crowd.claim(plane, worker_id, 12)
    assert len(first) == 12
    capped = first[:2]
    assert await crowd.claim(plane, worker_id, 100) != []
    assert await crowd.claim(plane, worker_id, 100) == []
    await plane.ack(worker_id, [Ack(capped[0], 0.01)])
    assert len(await crowd.claim(plane, worker_id, 100)) == 1
    await plane.apply_policy(2, {}, {"capped": 5})
    assert len(await crowd.claim(plane, worker_id, 100)) == 3
    await plane.apply_policy(3, {}, {"capped": 1})
    await plane.ack(worker_id, [Ack(capped[1], 0.01)])
    assert await crowd.claim(plane, worker_id, 100) == []
    await plane.apply_policy(4, {}, {})
    assert len(await crowd.claim(plane, worker_id, 100)) == 44


async def test_what_the_house_does_for_a_tenant_takes_none_of_its_cap_and_waits_for_none(plane):
    await plane.apply_policy(1, {}, {"capped": 1})
    house = [crowd.Place(place.id, "dayshift.webhook", 5, "capped", place.seq) for place in crowd.places(3)]
    await plane.enqueue([*crowd.places(3, tenant="capped"), *house])
    worker_id = crowd.worker()
    wishes = [("agent", -1), ("dayshift.webhook", -1)]
    claimed = (await plane.claim(worker_id, "first", wishes, 10)).task_ids
    assert set(claimed) > {place.id for place in house}
    assert len(claimed) == 4
    assert (await plane.claim(worker_id, "second", wishes, 10)).task_ids == []
    await plane.ack(worker_id, [Ack(house[0].id, 0.01)])
    assert (await plane.claim(worker_id, "third", wishes, 10)).task_ids == []
    own = next(one for one in claimed if one not in {place.id for place in house})
    await plane.ack(worker_id, [Ack(own, 0.01)])
    assert len((await plane.claim(worker_id, "fourth", wishes, 10)).task_ids) == 1


async def test_the_cap_of_all_others_and_the_exception_from_it(plane):
    await plane.apply_policy(1, {}, {"*": 1, "free": None})
    for tenant in ("a", "b", "free"):
        await plane.enqueue(crowd.places(5, tenant=tenant))
    assert len(await crowd.claim(plane, crowd.worker(), 20)) == 7


async def test_an_agent_at_its_cap_costs_the_others_nothing(plane):
    await plane.enqueue(crowd.places(20, agent="x", priority=9))
    await plane.enqueue(crowd.places(20, agent="y", priority=0))
    one, other = crowd.worker(), crowd.worker()
    held = await crowd.claim(plane, one, 10, [("x", 3), ("y", -1)])
    assert len(held) == 10
    assert len(await crowd.claim(plane, other, 100, [("x", 4)])) == 1
    assert await crowd.claim(plane, other, 100, [("x", 4)]) == []
    await plane.ack(one, [Ack(held[0], 0.1)])
    assert len(await crowd.claim(plane, other, 100, [("x", 4)])) == 1
    assert await crowd.claim(plane, other, 100, [("x", 0)]) == []


async def test_the_cap_of_an_agent_is_for_all_versions_that_its_tasks_are_claimed_by(plane):
    await plane.enqueue(
        [*crowd.places(10, agent="x"), *crowd.places(10, agent="x@v1"), *crowd.places(10, agent="x@v2")]
    )
    one, other = crowd.worker(), crowd.worker()
    held = await crowd.claim(plane, one, 3, [("x", 4), ("x@v1", 4)])
    assert len(held) == 3
    assert len(await crowd.claim(plane, other, 10, [("x", 4), ("x@v2", 4)])) == 1
    assert await crowd.claim(plane, other, 10, [("x", 4), ("x@v2", 4)]) == []
    await plane.ack(one, [Ack(task_id, 0.1) for task_id in held[:2]])
    assert len(await crowd.claim(plane, other, 10, [("x", 4), ("x@v2", 4)])) == 2


async def test_who_has_another_version_is_not_given_what_is_pinned(plane):
    fresh, pinned = crowd.places(2, agent="x"), crowd.places(2, agent="x@v%201")
    await plane.enqueue([*pinned, *fresh])
    assert await crowd.claim(plane, crowd.worker(), 9, ["x", "x@v2"]) == [place.id for place in fresh]
    assert await crowd.claim(plane, crowd.worker(), 9, ["x", "x@v%201"]) == [place.id for place in pinned]


async def test_a_task_that_was_given_back_and_pinned_meanwhile_changes_its_line(plane):
    [place] = crowd.places(1, agent="x")
    await plane.enqueue([place])
    worker_id = crowd.worker()
    assert await crowd.claim(plane, worker_id, 1, ["x"]) == [place.id]
    pinned = msgspec.structs.replace(place, agent="x@v1")
    await plane.ack(worker_id, [Ack(place.id, 0.1, again=pinned)])
    assert await crowd.claim(plane, worker_id, 1, ["x"]) == []
    assert await crowd.claim(plane, worker_id, 1, ["x@v1"]) == [place.id]


async def test_a_repeated_claim_answers_the_same_tasks_that_are_still_held(plane):
    await plane.enqueue(crowd.places(20))
    worker_id = crowd.worker()
    agents = [("agent", -1)]
    first = await plane.claim(worker_id, "one", agents, 5)
    assert (await plane.claim(worker_id, "one", agents, 5)).task_ids == first.task_ids
    await plane.ack(worker_id, [Ack(first.task_ids[0], 0.1)])
    assert (await plane.claim(worker_id, "one", agents, 5)).task_ids == first.task_ids[1:]
    assert not set((await plane.claim(worker_id, "two", agents, 5)).task_ids) & set(first.task_ids)


async def test_acks_and_releases_of_what_a_worker_does_not_hold_change_nothing(plane):
    [place] = crowd.places(1)
    await plane.enqueue([place])
    one, other = crowd.worker(), crowd.worker()
    await plane.ack(one, [Ack(place.id, 1.0)])
    assert await crowd.claim(plane, one, 1) == [place.id]
    await plane.ack(other, [Ack(place.id, 1.0)])
    await plane.release(other, [place.id])
    assert await crowd.claim(plane, other, 1) == []
    await plane.release(one, [place.id])
    await plane.release(one, [place.id])
    assert await crowd.claim(plane, other, 2) == [place.id]


async def test_a_claim_costs_the_same_behind_a_hundred_and_a_hundred_thousand(plane, valkey_url):
    async def calls_of_a_claim():
        await plane._wire.ask(b"CONFIG", "RESETSTAT")
        worker_id = crowd.worker()
        assert len(await crowd.claim(plane, worker_id, 50)) == 50
        stats = (await plane._wire.ask(b"INFO", "commandstats")).decode()
        await plane.release_worker(worker_id)
        counted = {}
        for line in stats.splitlines():
            if line.startswith("cmdstat_"):
                name, figures = line.removeprefix("cmdstat_").split(":", 1)
                counted[name] = int(figures.split(",")[0].removeprefix("calls="))
        return sum(number for name, number in counted.items() if name not in ("info", "config|resetstat", "ping"))

    plane._state.bound = type(plane._state.bound)(agent_ready=1_000_000)
    tenants = [f"t{number}" for number in range(20)]
    for tenant in tenants:
        await plane.enqueue(crowd.places(5, tenant=tenant))
    few = await calls_of_a_claim()
    for tenant in tenants:
        await plane.enqueue(crowd.places(2_500, tenant=tenant))
    many = await calls_of_a_claim()
    assert many <= few * 1.1


async def test_the_aged_slot_lies_below_what_can_be_served(plane):
    """The highest ring holds only a tenant at its cap, who steps aside when its turn comes: the next one is the highest."""
    worker_id = crowd.worker()
    await plane.enqueue(crowd.places(7, tenant="a"))
    assert len(await crowd.claim(plane, worker_id, 7)) == 7  # the next slot is the eighth
    await plane.enqueue(crowd.places(1, tenant="c", priority=9))
    middle, low = crowd.places(1, tenant="a", priority=5), crowd.places(1, tenant="a", priority=0)
    await plane.enqueue([*middle, *low])
    await plane.apply_policy(1, {}, {"c": 0})
    assert await crowd.claim(plane, worker_id, 1) == [low[0].id]
