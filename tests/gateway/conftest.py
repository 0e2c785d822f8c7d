"""A whole gateway for a test: the real app on a real server, over real engines, with a hand that does a worker's work."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import msgspec
import pytest
import pytest_asyncio
import redis.asyncio
from tests.databases import a_database

from dayshift.domain import api_keys, ids
from dayshift.domain.task import Started
from dayshift.gateway import GatewayServices, build_app, serve
from dayshift.hotplane import Plane
from dayshift.ledger import AgentRow, Ledger, NewKey, WorkerRow
from dayshift.settings import LiveSettings, SettingsStore
from dayshift.tasks.finishing import Outcome
from dayshift.tasks.services import Services

VALKEY_DATABASES = 16

ECHO = AgentRow(
    name="echo",
    version="1",
    queue="default",
    input_schema=b'{"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}',
    output_schema=b"{}",
)


class House:
    """One gateway process: its parts, a client for it, and what a worker would do."""

    def __init__(self, database_url: str, valkey_url: str, *, open_loopback: bool) -> None:
        self.ledger = Ledger(database_url)
        self.plane = Plane(valkey_url)
        self.live_settings = LiveSettings(self.ledger)
        self.services = Services(self.ledger, self.plane, lambda: self.live_settings.current)
        self.services.pulse.on_settings(self._settings_changed)
        self.app = build_app(
            GatewayServices(
                tasks=self.services,
                settings=lambda: self.live_settings.current,
                settings_store=SettingsStore(self.ledger),
                open_loopback=open_loopback,
            )
        )
        self.worker_id = ids.new(ids.WORKER)
        self.draining = asyncio.Event()
        self.url = ""
        self._serving: asyncio.Task[None] | None = None
        self._clients: list[httpx2.AsyncClient] = []

    async def _settings_changed(self, version: int) -> None:
        await self.live_settings.refresh_if(version)

    async def open(self) -> None:
        await self.ledger.open()
        await self.ledger.migrate()
        await self.plane.open()
        await self.live_settings.load()
        await self.services.open()
        assert await self.services.rebuild.rebuild_if_lost()  # as maintenance does on an empty plane
        await self.app.open()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._serving = asyncio.create_task(
            serve(
                self.app,
                listener,
                self.app.drain,
                draining=self.draining,
                stopping_hard=asyncio.Event(),
                grace_seconds=5,
            )
        )
        await self.client().get("/livez")

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
        self.draining.set()
        if self._serving is not None:
            await self._serving
        await self.app.close()
        await self.services.close(1)
        await self.plane.close()
        await self.ledger.close()

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """A client of this gateway, closed with it."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        client = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(client)
        return client

    async def make_key(self, tenant: str, *scopes: str) -> str:
        """Make a key as the command line does, and let this gateway look at once."""
        made = await self.make_key_silently(tenant, *scopes)
        await self.app.keys.refresh()
        return made.secret

    async def make_key_silently(self, tenant: str, *scopes: str) -> api_keys.MadeKey:
        """Make a key that this gateway has to find by itself."""
        made = api_keys.make_key()
        await self.ledger.keys.create(
            NewKey(id=made.id, hash=made.hash, prefix=made.prefix, tenant=tenant, scopes=list(scopes))
        )
        return made

    async def register(self, *agents: AgentRow) -> None:
        """What a worker says when it comes."""
        await self.ledger.registry.register(list(agents))
        await self.ledger.workers.register(
            WorkerRow(
                id=self.worker_id,
                pid=1,
                host="here",
                version="1",
                agents=[agent.name for agent in agents],
                slots=10,
            )
        )

    async def start(self, task_id: str) -> Started:
        started = await self.services.starting.start(task_id, self.worker_id)
        assert isinstance(started, Started), started
        return started

    async def finish(self, task_id: str, output: object = "done", kind: str = "succeeded", **more: object) -> None:
        """Run a task as a worker would, to its end."""
        started = await self.start(task_id)
        raw = msgspec.json.encode(output) if kind == "succeeded" else None
        finished = await self.services.finishing.finish(started, self.worker_id, Outcome(kind=kind, output=raw, **more))
        assert finished.accepted


@asynccontextmanager
async def a_house(database_url: str, valkey_url: str, *, open_loopback: bool) -> AsyncIterator[House]:
    house = House(database_url, valkey_url, open_loopback=open_loopback)
    try:
        await house.open()
        await house.register(ECHO)
        yield house
    finally:
        await house.close()


@pytest.fixture
async def own_house(migrated_database_url: str, valkey_url: str) -> AsyncIterator[House]:
    """A gateway for one test, with nobody's keys, so that its loopback is open."""
    async with a_house(migrated_database_url, valkey_url, open_loopback=True) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(engine_urls: tuple[str, str], schema_template: str) -> AsyncIterator[House]:
    """A gateway for all tests of a module: each is a tenant of its own there, which is wall enough."""
    async with a_database(engine_urls[0], template=schema_template) as database_url:
        valkey_url = await _an_empty_plane(engine_urls[1])
        async with a_house(database_url, valkey_url, open_loopback=False) as house:
            yield house
        await _an_empty_plane(engine_urls[1])


async def _an_empty_plane(base: str) -> str:
    """The last of the Valkey databases: no test that takes the next one runs between the tests of a module."""
    number = VALKEY_DATABASES - 1
    url = (
        f"{base}{'&' if '?' in base else '?'}db={number}" if base.startswith("unix") else f"{base.rstrip('/')}/{number}"
    )
    client = redis.asyncio.from_url(url)
    await client.flushdb()
    await client.aclose()
    return url


@pytest_asyncio.fixture(loop_scope="module")
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with an administrator's key, of a tenant that is this test's own."""
    client = house.client(await house.make_key(f"tenant-{uuid.uuid4().hex[:8]}", "admin"))
    yield client
    await client.aclose()


@pytest.fixture
def echo() -> dict[str, object]:
    """The body of a good request."""
    return {"agent": "echo", "input": {"text": "hello"}}
