from collections.abc import AsyncIterator

import pytest

from tests.worker.house import House, opened


@pytest.fixture
async def house(database_url: str, valkey_url: str) -> AsyncIterator[House]:
    async with opened(House(database_url, valkey_url)) as house:
        yield house
