"""The real processes of a run: one supervised machine, and three processes on their own, as on other hosts.

    supervised   dayshift serve: 2 gateways, 2 workers, maintenance; straight on the engines
    lone         one gateway, one worker, one maintenance; each reaches each engine by a way of its own (a proxy)

Clients have two doors: the socket of the supervised gateways, and the lone gateway, by a way of its own as well.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx2

from dayshift.embedded.readiness import LOOPBACK
from tests.faults import dialects, processes
from tests.faults.ports import steady_port
from tests.faults.postgres import DiskCannotBeFilled, Postgres
from tests.faults.proxy import Proxy
from tests.faults.valkey import Valkey
from tests.verifier import diary, witness
from tests.verifier.errand import BOBS_CONCURRENCY, CAPPED_CONCURRENCY, TENANTS
from tests.verifier.keeper import Keeper

HERE = Path(__file__).parent
AGENTS = HERE / "agents.py"
ROOT = HERE.parents[1]
SLOTS = 24
GRACE_SECONDS = 3.0
READY_SECONDS = 90.0
STAND_UP_SECONDS = 180.0  # a process that starts while an engine is away ends, and is started again


class Fleet:
    """Started and stopped once. Everything that a fault can hit is an attribute."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres, self.can_fill_disk = _postgres(folder / "postgres")
        self.valkey = Valkey(folder / "valkey")
        self.keys: dict[str, str] = {}
        self.witness_port = 0
        self.provider_url = ""
        self._ports = [steady_port(), steady_port()]
        self.door = Proxy((LOOPBACK, self._ports[1]), dialects.Http)
        self.worker_ledger: Proxy
        self.gateway_ledger: Proxy
        self.maintenance_ledger: Proxy
        self.worker_plane: Proxy
        self.gateway_plane: Proxy
        self.maintenance_plane: Proxy
        self.supervised: Keeper
        self.lone_gateway: Keeper
        self.lone_worker: Keeper
        self.lone_maintenance: Keeper
        self._closing = AsyncExitStack()

    @property
    def doors(self) -> list[str]:
        return [f"http://{LOOPBACK}:{port}" for port in (self._ports[0], self.door.port)]

    async def start(self) -> None:
        """Engines, ways, schema, diary, keys; then every process, until both doors are ready; then the settings."""
        await self._start_engines()
        await self._start_world()
        await self._dayshift("migrate")
        connection = await asyncpg.connect(self.postgres.url)
        await diary.install(connection)
        await connection.close()
        for tenant in TENANTS:
            made = await self._dayshift("keys", "create", "--tenant", tenant, "--scope", "admin", "--json")
            self.keys[tenant] = json.loads(made)["key"]
        self._make_keepers()
        for keeper in (self.supervised, self.lone_gateway, self.lone_worker, self.lone_maintenance):
            self._closing.push_async_callback(keeper.stop)
            await keeper.start()
        await self.until_ready()
        await self._configure()

    async def until_ready(self) -> None:
        """Wait until both doors say so, and all three workers are known."""
        headers = {"Authorization": f"Bearer {self.keys[TENANTS[0]]}"}
        async with asyncio.timeout(READY_SECONDS), httpx2.AsyncClient(headers=headers) as http:
            for door in self.doors:
                while not await _is_ready(http, door):
                    await asyncio.sleep(0.1)

    async def until_gone(self, pids: list[int]) -> None:
        """Wait until those processes have ended: until then they may answer for their successors."""
        async with asyncio.timeout(STAND_UP_SECONDS):
            while any(processes.is_alive(pid) for pid in pids):
                await asyncio.sleep(0.1)

    async def until_replaced(self, keeper: Keeper, pid: int, door: int) -> None:
        """Wait until another process than that one serves the door, and all is well there."""
        async with asyncio.timeout(STAND_UP_SECONDS), httpx2.AsyncClient() as http:
            while keeper.pid in {0, pid} or not await _is_well(http, self.doors[door]):
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """End everything that was started, the last first; safe after any fault, and when the start broke off."""
        await self._closing.aclose()

    def _ways(self) -> list[Proxy]:
        ledgers = [self.worker_ledger, self.gateway_ledger, self.maintenance_ledger]
        return [*ledgers, self.worker_plane, self.gateway_plane, self.maintenance_plane, self.door]

    def _make_keepers(self) -> None:
        grace = ("--grace", str(GRACE_SECONDS))
        worker = (str(AGENTS), "--slots", str(SLOTS), *grace)
        serve = ("serve", *worker, "--gateways", "2", "--workers", "2", "--port", str(self._ports[0]))
        straight = self._environment(self.postgres.url, self.valkey.url)

        def lone(kind: str, ledger: Proxy, plane: Proxy, *arguments: str) -> Keeper:
            environment = self._environment(ledger.url(self.postgres.url), plane.url(self.valkey.url))
            return Keeper(f"lone-{kind}", (kind, *arguments), environment, self.folder)

        self.supervised = Keeper("supervised", serve, straight, self.folder)
        gateway = ("--port", str(self._ports[1]), *grace)
        self.lone_gateway = lone("gateway", self.gateway_ledger, self.gateway_plane, *gateway)
        self.lone_worker = lone("worker", self.worker_ledger, self.worker_plane, *worker)
        self.lone_maintenance = lone("maintenance", self.maintenance_ledger, self.maintenance_plane)

    def _environment(self, database_url: str, valkey_url: str) -> dict[str, str]:
        foreign = ("DAYSHIFT_", "OPENAI_", "ANTHROPIC_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return environment | {
            "DAYSHIFT_DATABASE_URL": database_url,
            "DAYSHIFT_VALKEY_URL": valkey_url,
            "DAYSHIFT_DATA": str(self.folder / "data"),
            "DAYSHIFT_HOST": LOOPBACK,
            "DAYSHIFT_LOG": "json",
            "OPENAI_API_KEY": "not-used",
            "OPENAI_BASE_URL": f"{self.provider_url}/v1",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",  # the tree that this file lies in
            witness.PORT_VARIABLE: str(self.witness_port),
        }

    async def _start_engines(self) -> None:
        """Ledger and plane, and the ways that the lone processes take to them."""
        self._closing.push_async_callback(self.postgres.close)
        await self.postgres.start()
        self._closing.push_async_callback(self.valkey.close)
        await self.valkey.start()
        ledgers = _ways_to(self.postgres.url, dialects.Postgres)
        planes = _ways_to(self.valkey.url, dialects.Valkey)
        self.worker_ledger, self.gateway_ledger, self.maintenance_ledger = ledgers
        self.worker_plane, self.gateway_plane, self.maintenance_plane = planes
        for way in self._ways():
            self._closing.push_async_callback(way.close)
            await way.start()
        connection = await asyncpg.connect(self.postgres.url)
        await connection.execute("ALTER SYSTEM SET max_wal_size = '128MB'")  # its disk may be small
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()

    async def _start_world(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.verifier.world", str(self.folder / "marks.jsonl"),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._closing.push_async_callback(process.wait)
        self._closing.callback(process.terminate)
        assert process.stdout is not None
        self.witness_port = int(await process.stdout.readline())
        self.provider_url = (await process.stdout.readline()).decode().strip()

    async def _dayshift(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dayshift", *arguments,
            env=self._environment(self.postgres.url, self.valkey.url), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"dayshift {arguments[0]} ended with {process.returncode}: {err.decode()}")
        return out.decode()

    async def _configure(self) -> None:
        """Caps that the programs run into, and one tenant that counts more than the others."""
        headers = {"Authorization": f"Bearer {self.keys[TENANTS[0]]}"}
        wanted = {
            "tenants.bob": {"concurrent": BOBS_CONCURRENCY},
            "tenants.cyd": {"weight": 4},
            "agents.capped": {"concurrency": CAPPED_CONCURRENCY},
        }
        async with httpx2.AsyncClient(headers=headers) as http:
            for path, value in wanted.items():
                answer = await http.put(f"{self.doors[0]}/v1/settings/{path}", json={"value": value})
                answer.raise_for_status()


async def _is_well(http: httpx2.AsyncClient, door: str) -> bool:
    try:
        return (await http.get(f"{door}/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


async def _is_ready(http: httpx2.AsyncClient, door: str) -> bool:
    try:
        if (await http.get(f"{door}/readyz")).status_code != 200:
            return False
        return len((await http.get(f"{door}/v1/workers")).json()["data"]) >= 3
    except httpx2.TransportError:
        return False


def _ways_to(url: str, dialect: dialects.MakeDialect) -> list[Proxy]:
    """Three ways to one engine: for the lone worker, the lone gateway, the lone maintenance."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return [Proxy((parts.hostname, parts.port), dialect) for _ in range(3)]


def _postgres(folder: Path) -> tuple[Postgres, bool]:
    """With a disk of its own, where this machine allows one."""
    try:
        return Postgres(folder, small_disk=True), True
    except DiskCannotBeFilled:
        return Postgres(folder), False
