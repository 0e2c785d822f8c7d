from collections.abc import AsyncIterator

import pytest

from dayshift.ledger import Ledger


@pytest.fixture
async def ledger(migrated_database_url: str) -> AsyncIterator[Ledger]:
    async with Ledger(migrated_database_url) as ledger:
        yield ledger
