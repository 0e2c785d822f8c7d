from collections.abc import AsyncIterator

import pytest

from dayshift.ledger import Ledger


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    """A ledger on a database of its own, schema current."""
    async with Ledger(database_url) as opened:
        await opened.migrate()
        yield opened
