"""Weights and caps of the settings are in force in the plane, also after it was rebuilt."""

from dayshift.domain.settings import RetentionSettings, Settings, TenantSettings

from .conftest import Hands, House


async def write(house: House, settings: Settings) -> None:
    """A new version, as the settings room would write and load it."""
    house.settings = settings
    await house.ledger.settings.write("tenants.capped", b'{"concurrent":1}', by="test")
    await house.services.pulse.beat()


async def test_a_cap_holds_within_a_beat_and_survives_a_rebuild(house: House, hands: Hands) -> None:
    await write(house, Settings(tenants={"capped": TenantSettings(concurrent=1)}))
    for number in range(4):
        await house.submit(str(number), tenant="capped")
    await house.told()
    (first,) = await hands.claim(4)
    assert await hands.claim(4) == []
    await hands.start(first)
    await house.plane._wire.ask(b"FLUSHDB")
    await house.services.rebuild.rebuild_if_lost()
    assert await hands.claim(4) == []
    await write(house, Settings())
    assert len(await hands.claim(4)) == 3


async def test_retention_of_events_is_the_streams_time_to_live(house: House, hands: Hands) -> None:
    await write(house, Settings(retention=RetentionSettings(events="5m")))
    receipt = await house.submit()
    await house.told()
    await hands.claim()
    await hands.run(receipt.task.id)
    await house.told()
    ttl = await house.plane._wire.ask(b"TTL", "ds:{0}:stream:" + receipt.task.id)
    assert 290 <= ttl <= 300
