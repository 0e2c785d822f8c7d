"""A plane that is ready under epoch 1, on a Valkey database of its own."""

from collections.abc import AsyncIterator

import pytest

from dayshift.hotplane import Plane


@pytest.fixture
async def plane(valkey_url: str) -> AsyncIterator[Plane]:
    plane = Plane(valkey_url)
    await plane.open()
    plane.epoch = 1
    await plane.write_marker()
    yield plane
    await plane.close()
