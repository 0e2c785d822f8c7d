"""Within a priority tenants share by weight, whatever their backlogs."""

import asyncio
import random

import crowd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dayshift.hotplane import Ack, HotBound, Plane, keys


@pytest.mark.by_url
async def test_ten_of_one_tenant_wait_not_behind_ten_thousand_of_another(plane):
    await plane.enqueue(crowd.places(10_000, tenant="flood"))
    worker_id = crowd.worker()
    running = await crowd.claim(plane, worker_id, 50)
    ten = crowd.places(10, tenant="few")
    few = {place.id for place in ten}
    assert set(await plane.enqueue(ten)) == {"ready"}
    await plane.ack(worker_id, [Ack(task_id, 0.01) for task_id in running])
    assert few <= set(await crowd.claim(plane, worker_id, 60))


@pytest.mark.parametrize(("slots", "slot_seconds"), [(1, 0.0003), (10, 0.0003), (10, 5.0), (500, 0.02), (500, 30.0)])
async def test_weights_of_one_to_three_give_shares_of_one_to_three(plane, slots, slot_seconds):
    await plane.apply_policy(1, {"one": 1, "three": 3}, {})
    queued = [*crowd.places(2_000, tenant="one"), *crowd.places(4_000, tenant="three")]
    await plane.enqueue(queued)
    shares = await crowd.run_through(
        plane,
        {place.id: place.tenant for place in queued},
        slots=slots,
        tasks=4_000 if slots > 1 else 1_000,
        slot_seconds=slot_seconds,
        batch=min(slots, 20),
    )
    assert shares["three"] / shares.total() == pytest.approx(0.75, rel=0.05)
    assert shares["one"] / shares.total() == pytest.approx(0.25, rel=0.05)


async def test_a_heavy_tenant_does_not_lose_an_eighth_to_a_light_one(plane):
    await plane.apply_policy(1, {"light": 1, "heavy": 100}, {})
    queued = [*crowd.places(500, tenant="light"), *crowd.places(2_100, tenant="heavy")]
    await plane.enqueue(queued)
    shares = await crowd.run_through(plane, {p.id: p.tenant for p in queued}, slots=10, tasks=2_000)
    assert shares["light"] <= 30


async def test_slot_seconds_are_shared_and_not_tasks(plane):
    queued = [*crowd.places(1_000, tenant="quick"), *crowd.places(200, tenant="slow")]
    await plane.enqueue(queued)
    tenant_of = {place.id: place.tenant for place in queued}
    seconds = {"quick": 0.1, "slow": 1.0}
    used = {"quick": 0.0, "slow": 0.0}
    worker_id = crowd.worker()
    for _ in range(1_000):
        for task_id in await crowd.claim(plane, worker_id, 1):
            tenant = tenant_of[task_id]
            used[tenant] += seconds[tenant]
            await plane.ack(worker_id, [Ack(task_id, seconds[tenant])])
    assert used["quick"] / used["slow"] == pytest.approx(1, rel=0.05)


async def test_what_was_charged_too_much_does_not_keep_a_newcomer_waiting(plane):
    await plane.enqueue(crowd.places(3_000, tenant="old"))
    worker_id = crowd.worker()
    long_ones = await crowd.claim(plane, worker_id, 10)
    await plane.ack(worker_id, [Ack(task_id, 100.0) for task_id in long_ones])  # the mean is now far too high
    running = await crowd.claim(plane, worker_id, 500)
    newcomers = crowd.places(10, tenant="new")
    await plane.enqueue(newcomers)
    await plane.ack(worker_id, [Ack(task_id, 0.01) for task_id in running])
    within = await crowd.claim(plane, worker_id, 100)
    assert {place.id for place in newcomers} <= set(within)


async def test_a_changed_weight_holds_from_the_next_claim(plane):
    queued = [*crowd.places(2_000, tenant="a"), *crowd.places(2_000, tenant="b")]
    await plane.enqueue(queued)
    tenant_of = {place.id: place.tenant for place in queued}
    even = await crowd.run_through(plane, tenant_of, slots=20, tasks=800)
    assert even["a"] / even.total() == pytest.approx(0.5, rel=0.05)
    await plane.apply_policy(2, {"*": 1, "b": 4}, {})
    tilted = await crowd.run_through(plane, tenant_of, slots=20, tasks=1_000)
    assert tilted["b"] / tilted.total() == pytest.approx(0.8, rel=0.05)


async def test_an_older_policy_does_not_replace_a_newer_one(plane):
    assert await plane.apply_policy(7, {"b": 3}, {})
    assert not await plane.apply_policy(6, {"b": 9}, {})
    assert await plane.apply_policy(7, {"b": 3}, {})


def test_any_weights_hold_for_any_length_and_any_number_of_slots(valkey_url):
    @settings(max_examples=8, deadline=None)
    @given(
        weights=st.lists(st.integers(1, 9), min_size=2, max_size=4),
        slots=st.sampled_from([1, 7, 100]),
        slot_seconds=st.sampled_from([0.0005, 0.3, 60.0]),
    )
    def shares_follow_weights(weights, slots, slot_seconds):
        async def scenario():
            plane = Plane(valkey_url, hot_bound=HotBound(agent_ready=100_000))
            await plane.open()
            shares_follow_weights.epoch += 1
            plane.epoch = shares_follow_weights.epoch
            await plane.write_marker()
            named = {f"tenant-{number}": weight for number, weight in enumerate(weights)}
            await plane.apply_policy(1, named, {})
            total = sum(weights)
            claims = 40 * total
            queued = [p for name, w in named.items() for p in crowd.places(60 * w + slots, tenant=name)]
            await plane.enqueue(queued)
            shares = await crowd.run_through(
                plane,
                {p.id: p.tenant for p in queued},
                slots=slots,
                tasks=claims,
                slot_seconds=slot_seconds,
                batch=min(slots, 10),
            )
            await plane.close()
            for name, weight in named.items():
                assert shares[name] == pytest.approx(shares.total() * weight / total, rel=0.05, abs=4)

        asyncio.run(scenario())

    shares_follow_weights.epoch = 1_000
    shares_follow_weights()


async def test_tenants_that_never_come_back_leave_a_bounded_trace(plane):
    worker_id = crowd.worker()
    for round_number in range(5):
        tenants = [f"once{round_number}-{number}" for number in range(500)]
        await plane.enqueue([place for tenant in tenants for place in crowd.places(1, tenant=tenant)])
        claimed = await crowd.claim(plane, worker_id, 500)
        await plane.ack(worker_id, [Ack(task_id, 1.0) for task_id in claimed])
    left = int(await plane._wire.ask(b"HLEN", keys.state_root(plane.epoch) + keys.STATE_KEYS["credit"] + "agent:5"))
    assert left <= 1_100


async def test_what_a_long_running_task_costs_is_known_when_it_ends_however_many_came_meanwhile(plane):
    """Its tenant's credit lies below the ring's time all the while, and must not be forgotten."""
    slow, quick = crowd.worker(), crowd.worker()
    await plane.enqueue(crowd.places(1, tenant="slow"))
    [task_id] = await crowd.claim(plane, slow, 1)
    credit = keys.state_root(plane.epoch) + keys.STATE_KEYS["credit"] + "agent:5"
    for number in range(200):
        await plane.enqueue(crowd.places(2, tenant=f"t{number}"))
        await plane.ack(quick, [Ack(claimed, 1.0) for claimed in await crowd.claim(plane, quick, 2)])
    assert await plane._wire.ask(b"HEXISTS", credit, "slow")
    await plane.ack(slow, [Ack(task_id, 0.5)])
    assert not await plane._wire.ask(b"HEXISTS", credit, "slow"), "it owes nothing: the ring has gone on by more"


AGENTS = (("x", -1), ("y", 9))


async def _in_a_fresh_epoch(plane, backlog, weights, caps, batches):
    """What a worker is given by claims of these sizes; before, everybody has paid for something."""
    plane.epoch += 1
    await plane.write_marker()
    await plane.apply_policy(1, weights, caps)
    await plane.enqueue(backlog)
    worker_id = crowd.worker()
    given = await crowd.claim(plane, worker_id, 7, AGENTS)
    await plane.ack(worker_id, [crowd.Ack(task_id, 0.01 * n) for n, task_id in enumerate(given)])
    for batch in batches:
        given += await crowd.claim(plane, worker_id, batch, AGENTS)
    return given


@pytest.mark.parametrize("seed", range(25))
async def test_a_claim_of_many_gives_what_claims_of_one_give(plane, seed):
    draw = random.Random(seed)
    tenants = [f"t{n}" for n in range(draw.choice([1, 2, 30]))]
    weights = {tenant: draw.choice([0.5, 1, 3, 100]) for tenant in tenants}
    caps = {tenant: draw.choice([None, None, 0, 2, 5]) for tenant in tenants}
    backlog = [
        place
        for _ in range(draw.randrange(20, 60))
        for place in crowd.places(
            draw.choice([1, 1, 2, 9]),
            tenant=draw.choice(tenants),
            agent=draw.choice("xy"),
            priority=draw.choice([0, 5, 5, 9]),
        )
    ]
    many = await _in_a_fresh_epoch(plane, backlog, weights, caps, [draw.randrange(2, 60) for _ in range(4)])
    ones = await _in_a_fresh_epoch(plane, backlog, weights, caps, [1] * len(many))
    assert many == ones[: len(many)]
