"""Losing the plane, and building it again under a new epoch."""

import crowd
import pytest
from audit import audit

from dayshift.domain.errors import PlaneAway, PlaneNotReady
from dayshift.hotplane import Ack, Lane, Plane, digest
from dayshift.hotplane.scripts import SCRIPTS


@pytest.mark.by_url
async def test_a_rebuild_is_seen_when_it_is_complete(plane, valkey_url):
    await plane.enqueue(crowd.places(3))
    builder = Plane(valkey_url)
    await builder.open()
    builder.epoch = 2
    worker_id = crowd.worker()
    running, queued = crowd.places(2), crowd.places(3)
    await builder.apply_policy(4, {"a": 2}, {"a": 4}, rebuilding=True)
    await builder.restore_running([(worker_id, place) for place in running])
    await builder.restore_running([(worker_id, place) for place in running])
    assert await builder.enqueue([*queued, *running], rebuilding=True) == ["ready"] * 3 + ["held"] * 2
    await builder.mark_cold([Lane("agent", 5, "a", 10**9)], rebuilding=True)
    with pytest.raises(PlaneNotReady):
        await crowd.claim(builder, worker_id, 1)
    assert len(await crowd.claim(plane, worker_id, 9)) == 3
    sub = plane.subscriber()
    await sub.add(crowd.channels.ALL)
    await builder.write_marker()
    assert await anext(aiter(sub)) == (crowd.channels.ALL, b"epoch 2")
    await sub.close()
    asked = []
    plane.on_not_ready = lambda: asked.append(1)
    with pytest.raises(PlaneNotReady):
        await crowd.claim(plane, worker_id, 1)
    assert asked == [1]
    with pytest.raises(PlaneNotReady):
        await plane.write_marker()
    assert await builder.drop_old_epochs() > 0
    assert await builder.drop_old_epochs() == 0
    assert await builder.beat(worker_id, 2, digest(place.id for place in running)) == "same"
    await audit(builder)
    assert len(await crowd.claim(builder, worker_id, 9)) == 2
    await builder.ack(worker_id, [Ack(running[0].id, 1.0)])
    assert len(await crowd.claim(builder, worker_id, 9)) == 1
    await builder.close()


OF_NO_EPOCH = ("append", "write_marker", "breaker_", "budget_", "keep_answer", "limit_", "rate_", "retries")


async def test_every_script_over_state_asks_for_the_epoch(plane):
    """Those of what providers and tenants may use, and how providers are, do not: that outlives an epoch, as it is true outside of it."""
    await plane._wire.ask(b"DEL", "ds:{0}:epoch")
    for name in [name for name in SCRIPTS if not name.startswith(OF_NO_EPOCH)]:
        with pytest.raises(PlaneNotReady):
            await plane._state.run(name, "w", "l", 10_000, 0, 0)


async def test_the_state_names_server_and_epoch(plane):
    state = await plane.state()
    assert state.marker_epoch == 1
    assert len(state.run_id) == 40
    await plane._wire.ask(b"FLUSHDB")
    assert (await plane.state()).marker_epoch is None
    with pytest.raises(PlaneAway):
        await plane.enqueue(crowd.places(1))


async def test_a_server_that_forgot_the_scripts_is_sent_them_again(plane):
    await plane._wire.ask(b"SCRIPT", "FLUSH")
    assert await plane.enqueue(crowd.places(1)) == ["ready"]
