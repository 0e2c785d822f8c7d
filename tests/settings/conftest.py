from collections.abc import AsyncIterator

import pytest

from dayshift.ledger import Ledger


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    async with Ledger(database_url) as ledger:
        await ledger.migrate()
        yield ledger
