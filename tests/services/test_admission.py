"""Depth bounds: what does not fit is refused with the time to try again, and old counts bind nobody."""

from contextlib import nullcontext

import pytest

from dayshift.domain.errors import LedgerAway, Refused
from dayshift.domain.settings import QueueSettings, Settings, TenantSettings
from dayshift.maintenance import MaintenanceConfig
from dayshift.maintenance.depth_gauge import DepthGauge

from .conftest import TENANT, Hands, House


async def measured(house: House) -> None:
    await house.ledger.tasks.measure_depths()
    await house.services.admission.refresh()


async def test_a_full_queue_refuses_and_has_room_again_when_it_drains(house: House, hands: Hands) -> None:
    house.settings = Settings(queues={"default": QueueSettings(max_depth=3)})
    await house.services.admission.queues()
    await measured(house)
    for number in range(3):
        await house.submit(str(number))
    with pytest.raises(Refused) as caught:
        await house.submit("one too many")
    assert caught.value.code == "queue_full"
    assert caught.value.retry_after_seconds
    await measured(house)
    with pytest.raises(Refused):
        await house.submit("still full")
    await house.told()
    for task_id in await hands.claim(2):
        await hands.run(task_id)
    await measured(house)
    await measured(house)
    await house.submit("fits")


async def test_one_tenant_is_bounded_and_another_is_not(house: House) -> None:
    house.settings = Settings(tenants={"small": TenantSettings(max_queued=1)})
    await house.services.admission.queues()
    await measured(house)
    await house.submit(tenant="small")
    with pytest.raises(Refused) as caught:
        await house.submit(tenant="small")
    assert caught.value.code == "tenant_full"
    await house.submit(tenant=TENANT)


async def aged(house: House, age_seconds: float, again_seconds: float) -> None:
    """As if the last count were so old, and had been written with that interval."""
    await measured(house)
    async with house.ledger._db.transaction() as connection:
        await connection.execute(
            "UPDATE depths_measured SET at = now() - $1::float8 * interval '1 second', again_seconds = $2",
            age_seconds,
            again_seconds,
        )
    await house.services.admission.refresh()


@pytest.mark.parametrize(
    ("age_seconds", "again_seconds", "binds"), [(8, 1, True), (11, 1, False), (55, 20, True), (61, 20, False)]
)
async def test_a_count_binds_until_its_successor_is_long_overdue(
    house: House, age_seconds: float, again_seconds: float, binds: bool
) -> None:
    house.settings = Settings(queues={"default": QueueSettings(max_depth=0)})
    await house.services.admission.queues()
    await aged(house, age_seconds, again_seconds)
    with pytest.raises(Refused) if binds else nullcontext():
        await house.submit()


async def test_processes_that_count_keep_to_one_interval(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, counted = DepthGauge(house.services, MaintenanceConfig()), []
    measure = house.ledger.tasks.measure_depths

    async def counting(*arguments: float) -> bool:
        counted.append(arguments)
        return await measure(*arguments)

    monkeypatch.setattr(house.ledger.tasks, "measure_depths", counting)
    await aged(house, 15, 20)
    counted.clear()
    await gauge.run_once()
    assert not counted
    await aged(house, 20, 20)
    counted.clear()
    await gauge.run_once()
    assert len(counted) == 1


async def test_a_count_that_is_cut_off_leaves_the_last_one_standing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_arguments: float) -> bool:
        raise LedgerAway("the statement took too long")

    house.settings = Settings(queues={"default": QueueSettings(max_depth=0)})
    await house.services.admission.queues()
    await aged(house, 100, 1)
    await house.submit()
    with monkeypatch.context() as patch:
        patch.setattr(house.ledger.tasks, "measure_depths", cut_off)
        with pytest.raises(LedgerAway):
            await DepthGauge(house.services, MaintenanceConfig()).run_once()
    await house.services.admission.refresh()
    with pytest.raises(Refused):
        await house.submit()


async def test_a_count_says_when_the_next_one_is_due(house: House) -> None:
    await house.ledger.tasks.measure_depths(0.5, 1.0)
    assert (await house.ledger.tasks.depths()).again_seconds == pytest.approx(0.5)
    await house.ledger.tasks.measure_depths(0.5, 1e-9)
    assert (await house.ledger.tasks.depths()).again_seconds > 1_000


async def test_queues_are_shown_by_name_and_by_tenant(house: House, hands: Hands) -> None:
    house.settings = Settings(queues={"idle": QueueSettings()})
    await house.services.admission.queues()
    await house.submit()
    await house.submit(delay=60)
    await house.submit(tenant="another")
    await house.told()
    await hands.run((await hands.claim(1))[0])
    await hands.start((await hands.claim(1))[0])
    await measured(house)
    by_name = {queue.name: queue for queue in await house.services.admission.queues()}
    assert set(by_name) == {"default", "idle"}
    assert (by_name["default"].ready, by_name["default"].delayed, by_name["default"].running) == (0, 1, 1)
    own = await house.services.admission.queues("nobody")
    assert all(queue.ready + queue.delayed + queue.running == 0 for queue in own)


async def test_nothing_is_accepted_for_whom_nothing_is_left_to_spend(house: House) -> None:
    first = await house.submit("paid for", idempotency_key="k")
    asked: list[tuple[str, str | None, str]] = []

    async def spent(*whose: str | None) -> None:
        asked.append(whose)
        raise Refused("nothing is left", code="budget_spent")

    house.services.intake._may_spend = spent
    with pytest.raises(Refused, match="nothing is left"):
        await house.submit("more", user="ann")
    assert asked == [(TENANT, "ann", "echo")]
    again = await house.submit("paid for", idempotency_key="k")
    assert (again.task.id, again.replayed) == (first.task.id, True)
