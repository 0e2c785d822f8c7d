from collections.abc import AsyncIterator

import pytest

from tests.worker.house import House, opened


@pytest.fixture
def database_url(migrated_database_url: str) -> str:
    """With the schema, as every test here wants it."""
    return migrated_database_url


@pytest.fixture
async def house(database_url: str, valkey_url: str) -> AsyncIterator[House]:
    async with opened(House(database_url, valkey_url)) as house:
        yield house
