"""Real engines for every test: servers given by URL (DAYSHIFT_TEST_DATABASE_URL, DAYSHIFT_TEST_VALKEY_URL), else the
embedded ones, started once a session. Each test gets a database and a Valkey database of its own.
"""

import asyncio
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio

from tests.databases import a_database, administer, migrate, named

VALKEY_DATABASES = 16
LONG_ROOMS = ("verifier", "frameworks", "system", "supervisor", "worker", "faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take long go first, so that no core waits at the end for one that came last."""
    rank = {room: number for number, room in enumerate(LONG_ROOMS)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))


@pytest.fixture(scope="session")
def engine_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URLs of a PostgreSQL and of a Valkey that tests may fill with databases of their own."""
    database_url = os.environ.get("DAYSHIFT_TEST_DATABASE_URL")
    valkey_url = os.environ.get("DAYSHIFT_TEST_VALKEY_URL")
    if database_url and valkey_url:
        yield database_url, valkey_url
        return
    from dayshift.embedded import start_engines

    engines = start_engines(Path(tmp_path_factory.mktemp("engines")))
    yield engines.database_url, engines.valkey_url
    engines.stop()


@pytest.fixture
async def database_url(engine_urls: tuple[str, str]) -> AsyncIterator[str]:
    """The URL of an empty database that is dropped after the test."""
    async with a_database(engine_urls[0]) as url:
        yield url


@pytest.fixture(scope="session")
def schema_template(engine_urls: tuple[str, str]) -> Iterator[str]:
    """The name of a database with the schema, to be copied: to migrate one for each test takes several times as long."""
    name = f"template_{uuid.uuid4().hex}"
    asyncio.run(administer(engine_urls[0], f"CREATE DATABASE {name}"))
    asyncio.run(migrate(named(engine_urls[0], name)))
    yield name
    asyncio.run(administer(engine_urls[0], f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def migrated_database_url(engine_urls: tuple[str, str], schema_template: str) -> AsyncIterator[str]:
    """The URL of a database with the schema and nothing in it. A room whose tests all want it overrides `database_url`."""
    async with a_database(engine_urls[0], template=schema_template) as url:
        yield url


_valkey_databases = itertools.cycle(range(VALKEY_DATABASES))


@pytest.fixture
async def valkey_url(engine_urls: tuple[str, str]) -> AsyncIterator[str]:
    """The URL of an empty Valkey database (by number), emptied again after the test."""
    url = f"{engine_urls[1].rstrip('/')}/{next(_valkey_databases)}"
    client = redis.asyncio.from_url(url)
    await client.flushdb()
    yield url
    await client.flushdb()
    await client.aclose()
