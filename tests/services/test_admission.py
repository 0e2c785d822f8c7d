"""Depth bounds: what does not fit is refused with the time to try again, and old counts bind nobody."""

import pytest

from dayshift.domain.errors import Refused
from dayshift.domain.settings import QueueSettings, Settings, TenantSettings
from dayshift.tasks import depth

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


async def test_old_counts_refuse_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.settings = Settings(queues={"default": QueueSettings(max_depth=0)})
    await house.services.admission.queues()
    await measured(house)
    with pytest.raises(Refused):
        await house.submit()
    monkeypatch.setattr(depth, "STALE_SECONDS", -1.0)
    await house.submit()


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
