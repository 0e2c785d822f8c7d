"""A gateway and a worker in one process, over real engines, with the agents of the how-to and of agents.py."""

import asyncio
import re
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest
import pytest_asyncio

from dayshift.agents import load
from dayshift.domain import api_keys
from dayshift.domain.settings import Settings
from dayshift.gateway import GatewayServices, build_app, serve
from dayshift.ledger import NewKey
from dayshift.settings import SettingsStore
from tests.databases import a_database
from tests.gateway.conftest import _an_empty_plane
from tests.worker.house import House, opened, working
from tests.worker.receiver import Receiver, receiving

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "a2a.md").read_text()
AGENT, CLIENT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
A2A = {"a2a-version": "1.0"}


class Open:
    """An open gateway. Each test is a tenant of its own."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ledger = house.ledger
        self.app = build_app(
            GatewayServices(
                tasks=house.services, settings=lambda: house.settings, settings_store=SettingsStore(house.ledger)
            )
        )
        self.url = ""

    async def key(self, tenant: str | None = None, *scopes: str) -> str:
        made = api_keys.make_key()
        tenant = tenant or f"tenant-{uuid.uuid4().hex[:8]}"
        scopes = scopes or api_keys.DEFAULT_SCOPES
        await self.ledger.keys.create(
            NewKey(id=made.id, hash=made.hash, prefix=made.prefix, tenant=tenant, scopes=list(scopes))
        )
        await self.app.keys.refresh()
        return made.secret

    @asynccontextmanager
    async def client(self, key: str) -> AsyncIterator[httpx2.AsyncClient]:
        headers = {"authorization": f"Bearer {key}", **A2A}
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30) as client:
            yield client

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Open"]:
        await self.app.open()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        draining = asyncio.Event()
        stopping = asyncio.Event()
        serving = asyncio.create_task(
            serve(self.app, listener, self.app.drain, draining=draining, stopping_hard=stopping, grace_seconds=3)
        )
        try:
            yield self
        finally:
            draining.set()
            stopping.set()
            await serving
            await self.app.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(engine_urls, schema_template, tmp_path_factory) -> AsyncIterator[Open]:
    file = tmp_path_factory.mktemp("a2a") / "agents_of_a2a.py"
    file.write_text(f"{Path(__file__).with_name('agents.py').read_text()}\n{AGENT}")
    async with a_database(engine_urls[0], template=schema_template) as database_url:
        house = House(database_url, await _an_empty_plane(engine_urls[1]))
        house.settings = msgspec.convert({"webhooks": {"allow_private": True}}, Settings)
        async with opened(house), working(house, load(str(file))), Open(house).serving() as gateway:
            yield gateway
        await _an_empty_plane(engine_urls[1])


@pytest_asyncio.fixture(loop_scope="module")
async def http(gateway: Open) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a tenant that is this test's own."""
    async with gateway.client(await gateway.key()) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture(params=["JSONRPC", "HTTP+JSON"])
def binding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
