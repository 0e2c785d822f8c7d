"""One migrated database serves all tests of this room, emptied before each: making one costs half a second.

A test that needs one without a schema takes `empty_database_url`.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from dayshift.ledger import Ledger

_EMPTY = """
DELETE FROM effects; DELETE FROM tasks; DELETE FROM conversation_messages; DELETE FROM conversations; DELETE FROM idempotency_keys; DELETE FROM workers; DELETE FROM agents;
DELETE FROM spending; DELETE FROM api_keys; DELETE FROM webhook_endpoints; TRUNCATE settings_versions; DELETE FROM depths; DELETE FROM depths_measured;
UPDATE versions SET settings = 0, keys = 0, registry = 0; UPDATE plane_state SET epoch = 0, run_id = NULL;
"""


async def _run(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


def _new_database(admin_url: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_run(admin_url, f"CREATE DATABASE {name}"))
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


def _drop_database(admin_url: str, url: str) -> None:
    asyncio.run(_run(admin_url, f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)"))


async def _migrate(url: str) -> None:
    async with Ledger(url) as ledger:
        await ledger.migrate()


@pytest.fixture(scope="session")
def migrated_url(engine_urls: tuple[str, str]) -> Iterator[str]:
    url = _new_database(engine_urls[0])
    asyncio.run(_migrate(url))
    yield url
    _drop_database(engine_urls[0], url)


@pytest.fixture(scope="module")
def module_database_url(engine_urls: tuple[str, str]) -> Iterator[str]:
    """A migrated database that a module fills once and keeps."""
    url = _new_database(engine_urls[0])
    asyncio.run(_migrate(url))
    yield url
    _drop_database(engine_urls[0], url)


@pytest.fixture
def empty_database_url(engine_urls: tuple[str, str]) -> Iterator[str]:
    url = _new_database(engine_urls[0])
    yield url
    _drop_database(engine_urls[0], url)


@pytest.fixture
async def database_url(migrated_url: str) -> str:
    """The room's database, schema current and empty."""
    await _run(migrated_url, _EMPTY)
    return migrated_url


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    """A ledger on the room's database."""
    async with Ledger(database_url) as opened:
        yield opened
