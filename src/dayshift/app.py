"""The wiring: the only file that names concrete parts. One function a kind of process; `cli/` starts them.

run_gateway      the HTTP door, and maintenance with it in `dayshift run`
run_worker       claims and runs attempts
run_quarantined  one task alone, as the child of a worker
run_maintenance  the loops that repair and clean
run_machine      engines, local model, and the supervisor over all of the above
"""

import asyncio
import contextlib
import gc
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from dayshift import agents, telemetry
from dayshift.config import PLACEHOLDER_KEY, Config, inherited_environment, secret_named
from dayshift.domain.errors import PlaneAway, WrongUse
from dayshift.domain.events import Note
from dayshift.domain.patience import until_answered
from dayshift.embedded import Engines, LocalModel, running_engines, start_engines, start_local_model
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.llm.budgets import BudgetGate, Budgets
from dayshift.llm.capture import capturing
from dayshift.llm.layer import LlmLayer
from dayshift.llm.providers import KnownAddresses, first_providers
from dayshift.llm.routing import Provider
from dayshift.settings import LiveSettings, SettingsStore
from dayshift.supervisor import Child, Command, Lifecycle, Machine, Plan, adopt, listen
from dayshift.tasks.services import Services
from dayshift.telemetry import emit
from dayshift.worker import Lease, SpawnQuarantine, Worker

WORKER_POOL_SIZE = 6
GATEWAY_POOL_SIZE = 8
SMALL_POOL_SIZE = 3
MOST_OPEN_FILES = 65_536


class AgentsUnusable(WrongUse):
    """The file of agents cannot be used; the process that tried has told why."""

    def __init__(self) -> None:
        super().__init__("")


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop.

    Thousands of tasks a second make garbage that is freed by counting; the collector's default rhythm only looks for
    cycles among what lives on. A calmer one took a fifth off the CPU time of a task. It counts what was made and not freed, so
    these numbers bound what may be left lying: half a million objects, some 50 MB, in cycles that lived for a while
    before they were left, as those of an agent that awaits its calls.
    """
    gc.set_threshold(50_000, 5, 2)
    _allow_many_open_files()
    uvloop.run(main)


def _allow_many_open_files() -> None:
    """Every stream, waiting client and call to a provider is one: more than the usual allowance of 1,024."""
    allowed, at_most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if at_most == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, at_most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, at_most))


def set_aside_what_is_loaded() -> None:
    """What has been imported stays. Beside the SDKs the collector would take a tenth of a second, again and again, to find that out."""
    gc.collect()
    gc.freeze()


def located(config: Config) -> Config:
    """The configuration with both engines' URLs: those given, else those of the engines that run on the data folder."""
    if config.database_url and config.valkey_url:
        return config
    found = running_engines(config.data_dir)
    if found is None:
        raise WrongUse(
            "No engines: set DAYSHIFT_DATABASE_URL and DAYSHIFT_VALKEY_URL, or start `dayshift run FILE` "
            f"(nothing runs on {config.data_dir})."
        )
    return msgspec.structs.replace(
        config,
        database_url=config.database_url or found["database_url"],
        valkey_url=config.valkey_url or found["valkey_url"],
    )


_NO_PINS: Mapping[str, str] = {}


class House:
    """What every process has: both planes, live settings, and the services over them."""

    def __init__(
        self,
        config: Config,
        *,
        pool_size: int,
        worker_id: Callable[[], str | None] = lambda: None,
        pins: Mapping[str, str] = _NO_PINS,
    ) -> None:
        assert config.database_url is not None
        assert config.valkey_url is not None
        self.config = config
        self.ledger = Ledger(config.database_url, pool_size=pool_size)
        self.plane = Plane(config.valkey_url, emit=emit)
        self.settings = LiveSettings(self.ledger)
        self.budgets = Budgets(self.plane, self.ledger, lambda: self.settings.current)
        self.services = Services(
            self.ledger,
            self.plane,
            lambda: self.settings.current,
            may_spend=BudgetGate(self.budgets).check,
            version=config.version,
            pins=pins,
            worker_id=worker_id,
        )

    def planes(self) -> tuple[Ledger, Plane]:
        """A second, small pair, closed: for a thread with a loop of its own."""
        assert self.config.database_url is not None
        assert self.config.valkey_url is not None
        return Ledger(self.config.database_url, pool_size=1), Plane(self.config.valkey_url)

    async def open(self) -> None:
        """Connect. Without the ledger nothing can begin; without the hot plane everything begins, and waits for it."""
        await self.ledger.open()
        state = await self.ledger.schema_state()
        if state == "behind":
            raise WrongUse("The database's schema is older than this code: run `dayshift migrate` first.")
        if state == "too_new":
            raise WrongUse("The database's schema is newer than this code can work with: start a newer dayshift.")
        try:
            await self.plane.open()
        except PlaneAway as away:
            emit(Note(message=f"Valkey does not answer yet, work waits for it: {away}"))
            self.services.background.spawn(self.plane.open_whenever(), where="hotplane")
        await self.settings.load()
        self.services.pulse.on_settings(self.settings.refresh_if)

    async def close(self) -> None:
        await self.services.close()
        await self.budgets.close()
        await self.plane.close()
        await self.ledger.close()


@contextlib.asynccontextmanager
async def opened(house: House) -> AsyncIterator[House]:
    """The house with its services open; closed in the right order, whatever happens."""
    try:
        await house.open()
        await house.services.open()
        yield house
    finally:
        await house.close()


async def run_gateway(
    config: Config,
    lifecycle: Lifecycle,
    *,
    listen_fd: int | None,
    open_loopback: bool,
    with_maintenance: bool,
    grace_seconds: float,
) -> None:
    """Serve HTTP until told to stop."""
    from dayshift import gateway  # here, as the other kinds of process need no web server

    lifecycle.watch()
    house = House(located(config), pool_size=GATEWAY_POOL_SIZE)
    app = gateway.build_app(
        gateway.GatewayServices(
            tasks=house.services,
            settings=lambda: house.settings.current,
            settings_store=SettingsStore(house.ledger),
            open_loopback=open_loopback,
        )
    )
    async with opened(house):
        tls = None
        if config.tls_cert is not None and config.tls_key is not None:
            tls = gateway.server_context(config.tls_cert, config.tls_key)
        listener = adopt(listen_fd) if listen_fd is not None else listen(config.host, config.port)
        await app.open()
        lifecycle.say_ready()
        async with _maintained(house.services, wanted=with_maintenance):
            await gateway.serve(
                app,
                listener,
                app.drain,
                draining=lifecycle.draining,
                stopping_hard=lifecycle.stopping_hard,
                grace_seconds=grace_seconds,
                tls=tls,
                trusted_proxies=config.trusted_proxies,
            )
        await app.close()


@contextlib.asynccontextmanager
async def _maintained(services: Services, *, wanted: bool) -> AsyncIterator[None]:
    if not wanted:
        yield
        return
    from dayshift import maintenance

    stop = asyncio.Event()
    loops = asyncio.create_task(maintenance.run(services, stop), name="maintenance")
    try:
        yield
    finally:
        stop.set()
        await loops


async def run_maintenance(config: Config, lifecycle: Lifecycle) -> None:
    """Run the loops that repair and clean until told to stop."""
    from dayshift import maintenance

    lifecycle.watch()
    async with opened(House(located(config), pool_size=SMALL_POOL_SIZE)) as house:
        lifecycle.say_ready()
        await maintenance.run(house.services, lifecycle.draining)


async def run_worker(
    config: Config, lifecycle: Lifecycle, *, file: str, worker_id: str, slots: int, grace_seconds: float
) -> None:
    """Claim and run attempts until told to stop."""
    await _work(config, lifecycle, file, worker_id, slots=slots, grace_seconds=grace_seconds, alone_with=None)


async def run_quarantined(
    config: Config, lifecycle: Lifecycle, *, file: str, worker_id: str, task_id: str, grace_seconds: float
) -> None:
    """Run one task in this process, where it can take nobody with it."""
    await _work(config, lifecycle, file, worker_id, slots=1, grace_seconds=grace_seconds, alone_with=task_id)


async def _work(
    config: Config,
    lifecycle: Lifecycle,
    file: str,
    worker_id: str,
    *,
    slots: int,
    grace_seconds: float,
    alone_with: str | None,
) -> None:
    lifecycle.watch()
    providers = first_providers(openai_base_url=config.openai_base_url, anthropic_base_url=config.anthropic_base_url)
    addresses = KnownAddresses(providers)
    with capturing(addresses):  # before the author's code is imported, and whatever it holds on to
        await _run_worker(
            config,
            lifecycle,
            file,
            worker_id,
            providers=providers,
            addresses=addresses,
            slots=slots,
            grace_seconds=grace_seconds,
            alone_with=alone_with,
        )


async def _run_worker(
    config: Config,
    lifecycle: Lifecycle,
    file: str,
    worker_id: str,
    *,
    providers: Sequence[Provider],
    addresses: KnownAddresses,
    slots: int,
    grace_seconds: float,
    alone_with: str | None,
) -> None:
    loaded = agents.load(file, version=config.version)
    set_aside_what_is_loaded()
    config = msgspec.structs.replace(located(config), version=loaded.version)
    worker: Worker | None = None
    house = House(
        config,
        pool_size=WORKER_POOL_SIZE,
        worker_id=lambda: worker.worker_id if worker else None,
        pins=loaded.pins,
    )
    house.settings.on_change(addresses.learn)
    async with opened(house), _llm_layer(house, providers) as llm:
        worker = Worker(
            house.services,
            loaded,
            lines=llm.line,
            budgets=house.budgets,
            heartbeat_planes=house.planes,
            spawn_quarantine=_quarantine_spawner(file, grace_seconds),
            slots=slots,
            lease=Lease(worker_id),
            grace_seconds=grace_seconds,
            is_quarantine=alone_with is not None,
            on_new_id=lifecycle.say_worker_id,
        )
        house.settings.on_change(lambda _settings: worker.look_again())
        obeying = asyncio.create_task(_obey(lifecycle, worker), name="lifecycle")
        if alone_with is None:
            await worker.run(on_ready=lifecycle.say_ready)
        else:
            await worker.run_alone(alone_with)
        obeying.cancel()
    if worker.has_stuck_code:
        telemetry.shut_down()
        os._exit(0)  # closing the loop would wait for code that ignores its cancellation


@contextlib.asynccontextmanager
async def _llm_layer(house: House, providers: Sequence[Provider]) -> AsyncIterator[LlmLayer]:
    layer = LlmLayer(
        house.plane,
        house.services.pushes,
        lambda: house.settings.current,
        budgets=house.budgets,
        providers=providers,
        secret_named=secret_named,
        on_back=house.services.provider_waits.is_back,
    )
    await layer.open()
    try:
        yield layer
    finally:
        await layer.close()


async def _obey(lifecycle: Lifecycle, worker: Worker) -> None:
    await lifecycle.draining.wait()
    worker.drain()
    await lifecycle.stopping_hard.wait()
    worker.stop_hard()


def _quarantine_spawner(file: str, grace_seconds: float) -> SpawnQuarantine:
    """Starts children that drain when this worker dies, as they hang on its lifeline."""

    async def spawn(task_id: str, worker_id: str) -> Child:
        options = ("--worker-id", worker_id, "--quarantine", task_id, "--grace", str(grace_seconds))
        command = Command(arguments=("worker", file, *options), environment=inherited_environment())
        return await Child.spawn("quarantine", command, worker_id=worker_id)

    return spawn


async def run_machine(
    config: Config, plan: Plan, *, open_loopback: bool, announce: Callable[[str, bool], None]
) -> None:
    """Engines, schema, local model, and the supervised processes, until a signal says stop.

    `announce` is told the address, and whether requests of this machine are let in without a key.
    """
    await _check_agents(plan.file)
    engines = await _engines(config)
    model: LocalModel | None = None
    try:
        config = located(config)
        model = await _local_model(config, plan.file)
        house = House(config, pool_size=SMALL_POOL_SIZE)
        async with house.ledger:
            await house.ledger.migrate()
        async with opened(house):
            rescue = house.services.rescue

            async def bury(worker_id: str, reason: str, was_killed: bool) -> None:
                await until_answered(lambda: rescue.rescue_worker(worker_id, reason, process_lives=was_killed))

            keyless = open_loopback and not await house.ledger.keys.list(limit=1)
            plan = _plan_of(plan, open_loopback=open_loopback, engines_end_with_us=engines is not None)
            environment = _environment(config, model)
            await Machine(plan, environment, bury=bury, announce=lambda address: announce(address, keyless)).run()
    finally:
        if model is not None:
            await asyncio.to_thread(model.stop)
        if engines is not None:
            await asyncio.to_thread(engines.stop)


def _plan_of(plan: Plan, *, open_loopback: bool, engines_end_with_us: bool) -> Plan:
    gateway_options = (*plan.gateway_options, "--open-loopback") if open_loopback else plan.gateway_options
    # An orphan whose engines are gone, too, can hand nothing back: its code should not run on.
    worker_options = (*plan.worker_options, "--no-orphan") if engines_end_with_us else plan.worker_options
    return msgspec.structs.replace(plan, gateway_options=gateway_options, worker_options=worker_options)


async def _check_agents(file: str) -> None:
    """Import the agents once, in a process of their own, before anything else is started. It says itself what is wrong."""
    checking = await asyncio.create_subprocess_exec(sys.executable, "-m", "dayshift", "worker", file, "--check")
    if await checking.wait() != 0:
        raise AgentsUnusable


async def _engines(config: Config) -> Engines | None:
    """The embedded engines, unless both URLs are given."""
    if config.database_url and config.valkey_url:
        return None
    if config.database_url or config.valkey_url:
        raise WrongUse("Give both DAYSHIFT_DATABASE_URL and DAYSHIFT_VALKEY_URL, or neither for the embedded engines.")
    return await asyncio.to_thread(start_engines, config.data_dir)


async def _local_model(config: Config, file: str) -> LocalModel | None:
    """The small local model, when an agent asks for a model and no provider is named."""
    if config.has_a_provider or not agents.asks_for_model(file):
        return None
    try:
        model = await asyncio.to_thread(start_local_model, config.data_dir)
    except WrongUse as missing:
        emit(Note(message=f"The agents ask for a model, and there is none: {missing}"))
        return None
    emit(
        Note(
            message="No provider has a key: the small local model (SmolLM2, 135M parameters) answers all LLM calls. "
            "It is real but not clever; set OPENAI_API_KEY or ANTHROPIC_API_KEY for another."
        )
    )
    return model


def _environment(config: Config, model: LocalModel | None) -> dict[str, str]:
    """What every child inherits: where the engines are, and a provider for the official SDKs."""
    assert config.database_url is not None
    assert config.valkey_url is not None
    environment = inherited_environment() | {
        "DAYSHIFT_DATABASE_URL": config.database_url,
        "DAYSHIFT_VALKEY_URL": config.valkey_url,
        "DAYSHIFT_DATA": str(Path(config.data_dir).resolve()),
    }
    if model is not None:
        environment |= {
            "OPENAI_BASE_URL": model.base_url,
            "OPENAI_API_KEY": PLACEHOLDER_KEY,
            "ANTHROPIC_BASE_URL": model.base_url.removesuffix("/v1"),
            "ANTHROPIC_API_KEY": PLACEHOLDER_KEY,
        }
    return environment
