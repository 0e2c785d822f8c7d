"""One process of the house in a test: both planes, the services, and a worker's moves made by hand."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from dayshift.domain import ids
from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.settings import Settings
from dayshift.domain.task import Started
from dayshift.hotplane import Plane, digest
from dayshift.ledger import AgentRow, Ledger, StartRefusal, WorkerRow
from dayshift.tasks import Outcome, Receipt, Services, TaskRequest
from tests.databases import a_database, administer, named

AGENT = "echo"
TENANT = "acme"
SCHEMA = msgspec.json.encode(
    {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 10_000}},
        "required": ["text"],
        "additionalProperties": False,
    }
)


class House:
    """The services of one process, with the settings in hand."""

    def __init__(self, database_url: str, valkey_url: str) -> None:
        self.ledger = Ledger(database_url)
        self.plane = Plane(valkey_url)
        self.settings = Settings()
        self.services = Services(self.ledger, self.plane, lambda: self.settings, version="v1")

    async def open(self) -> None:
        await self.ledger.open()
        await self.plane.open()
        await self.services.open()

    async def close(self) -> None:
        await self.services.close(grace_seconds=2.0)
        await self.plane.close()
        await self.ledger.close()

    async def submit(self, text: str = "hello", tenant: str = TENANT, **said: object) -> Receipt:
        request = TaskRequest(agent=AGENT, input=msgspec.Raw(msgspec.json.encode({"text": text})), **said)
        return await self.services.intake.submit(request, tenant=tenant)

    async def told(self) -> None:
        """Wait until the plane has been told everything."""
        async with asyncio.timeout(10):
            await self.services.next_in_line.called()
            await self.services.outbox.delivered()


class Hands:
    """A worker without an executor: it claims, starts and finishes when the test says so."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.id = ids.new(ids.WORKER)

    async def register(self) -> "Hands":
        row = WorkerRow(id=self.id, pid=1, host="here", version="v1", agents=[AGENT], slots=100)
        await self.house.ledger.workers.register(row)
        return self

    async def claim(self, count: int = 1) -> list[str]:
        claim = await self.house.plane.claim(self.id, ids.new("claim_"), [(AGENT, -1)], count)
        for lane in claim.refill:
            await self.house.services.refill.refill(lane)
        return claim.task_ids

    async def claim_within(self, seconds: float, count: int = 1) -> list[str]:
        """Claim until there is something."""
        found: list[str] = []

        async def has_some() -> bool:
            found.extend(await self.claim(count))
            return bool(found)

        await eventually(has_some, seconds)
        return found

    async def start(self, task_id: str) -> Started | StartRefusal:
        return await self.house.services.starting.start(task_id, self.id)

    async def run(self, task_id: str, output: bytes = b'"done"') -> Started:
        started = await self.start(task_id)
        assert isinstance(started, Started), started
        await self.house.services.finishing.finish(started, self.id, Outcome(kind="succeeded", output=output))
        return started

    async def beat(self, held: list[str]) -> str:
        return await self.house.plane.beat(self.id, len(held), digest(held))


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Look until it is so; fail when the time is up."""
    deadline = monotonic_seconds() + seconds
    while not await condition():
        assert monotonic_seconds() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def template_database(engine_urls: tuple[str, str]) -> Iterator[str]:
    """A database with the schema and one agent, to be copied: migrating one for each test takes ten times as long."""
    name = f"template_{uuid.uuid4().hex}"
    asyncio.run(administer(engine_urls[0], f"CREATE DATABASE {name}"))
    asyncio.run(_prepare(named(engine_urls[0], name)))
    yield name
    asyncio.run(administer(engine_urls[0], f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def ready_database_url(engine_urls: tuple[str, str], template_database: str) -> AsyncIterator[str]:
    """A database of the test's own with the schema and one agent."""
    async with a_database(engine_urls[0], template=template_database) as url:
        yield url


async def _prepare(url: str) -> None:
    async with Ledger(url, pool_size=2) as ledger:
        await ledger.migrate()
        row = AgentRow(name=AGENT, version="v1", queue="default", input_schema=SCHEMA, output_schema=b"{}")
        await ledger.registry.register([row])


@asynccontextmanager
async def opened(house: House) -> AsyncIterator[House]:
    await house.open()
    try:
        yield house
    finally:
        await house.close()


@pytest.fixture
async def house(ready_database_url: str, valkey_url: str) -> AsyncIterator[House]:
    """One process, with a plane that has been built."""
    async with opened(House(ready_database_url, valkey_url)) as house:
        assert await house.services.rebuild.rebuild_if_lost()
        yield house


@pytest.fixture
async def hands(house: House) -> Hands:
    return await Hands(house).register()
