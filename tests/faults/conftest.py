import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from tests.faults.fleet import Fleet
from tests.faults.valkey import Valkey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def planes(
    engine_urls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, str]]:
    """An empty database and an empty Valkey for all the tests of a file, which must leave no trouble behind."""
    admin = await asyncpg.connect(engine_urls[0])
    name = f"test_{uuid.uuid4().hex}"
    await admin.execute(f"CREATE DATABASE {name}")
    valkey = Valkey(tmp_path_factory.mktemp("plane"))
    await valkey.start()
    yield urlunsplit(urlsplit(engine_urls[0])._replace(path=f"/{name}")), valkey.url
    await valkey.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_fleet(planes: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Processes for all the tests of a file; `fleet` hands them out."""
    made = Fleet(Path(tmp_path_factory.mktemp("fleet")), *planes)
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module")
async def fleet(shared_fleet: Fleet) -> AsyncIterator[Fleet]:
    """The shared processes, with all ways open, and nothing witnessed yet."""
    shared_fleet.witness_path.unlink(missing_ok=True)
    for process in shared_fleet.processes.values():
        process.ledger.hits.clear()
        process.plane.hits.clear()
    yield shared_fleet
    shared_fleet.heal()
