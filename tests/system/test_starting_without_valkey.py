"""Everything begins without the hot plane, waits for it, and works once it is there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.valkey import Valkey
from tests.system.house import House

pytestmark = pytest.mark.system


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    valkey = Valkey(tmp_path / "valkey")
    yield valkey
    await valkey.close()


async def test_a_fleet_that_starts_while_valkey_is_away_works_when_it_comes(house: House, valkey: Valkey) -> None:
    await valkey.start()
    house.environment["DAYSHIFT_VALKEY_URL"] = valkey.url
    await valkey.kill()
    await house.serve(gateways=1, workers=1)
    tasks = [await house.submit("echo", f"{number}") for number in range(10)]
    await valkey.start()
    ended = await house.all_ended([task["id"] for task in tasks])
    assert [task["output"] for task in ended] == [f"{number}" for number in range(10)]
