"""What a supervisor gives to the processes that it starts."""

import psutil
import pytest

from tests.system.house import House

pytestmark = pytest.mark.system


async def test_workers_alone_have_fixed_hashes(house: House) -> None:
    house.environment.pop("PYTHONHASHSEED", None)
    await house.serve(workers=1)
    [worker] = await house.workers()
    assert psutil.Process(worker["pid"]).environ()["PYTHONHASHSEED"] == "0"
    assert house.process is not None
    for child in psutil.Process(house.process.pid).children():
        assert (child.pid == worker["pid"]) == ("PYTHONHASHSEED" in child.environ())
