"""The commands that become processes: one machine (`run`, `serve`), or one process of a kind for an orchestrator."""

import sys
from typing import Annotated

import msgspec
from cyclopts import App, Group, Parameter

from dayshift.config import Config, begin_again_with_fixed_hashes, set_placeholder_keys
from dayshift.domain import ids
from dayshift.domain.errors import WrongUse
from dayshift.supervisor import GRACE_SECONDS, Lifecycle, Plan

PROCESSES = Group("Processes", sort_key=1)
DEFAULT_SLOTS = 100
HIGHEST_PORT = 65_535

Internal = Parameter(show=False)
Slots = Annotated[int, Parameter(help="Attempts that a worker runs at once.")]
Grace = Annotated[float, Parameter(help="Seconds that a draining process may take to finish what it has.")]
Host = Annotated[str | None, Parameter(help="Where the gateway listens (DAYSHIFT_HOST, else 127.0.0.1).")]
Port = Annotated[int | None, Parameter(help="The gateway's port (DAYSHIFT_PORT, else 8700).")]


def register(root: App) -> None:
    """Put these commands under the root."""
    for command in (run, serve, gateway, worker, maintenance):
        root.command(command, group=PROCESSES)
    root.command(fakellm, group=PROCESSES, help_flags=(), version_flags=())


def run(
    file: str,
    /,
    *,
    host: Host = None,
    port: Port = None,
    slots: Slots = DEFAULT_SLOTS,
    grace: Grace = GRACE_SECONDS,
    reload: Annotated[bool, Parameter(help="Restart the worker when a Python file beside FILE changes.")] = False,
) -> None:
    """Run FILE[:NAME] on this machine: engines, gateway and a worker, supervised."""
    config = _config(host, port)
    options = ("--with-maintenance",)
    _run_machine(config, file, slots=slots, grace=grace, gateway_options=options, reload=reload, open_loopback=True)


def serve(
    file: str,
    /,
    *,
    gateways: Annotated[int, Parameter(help="Gateway processes on one listening socket.")] = 1,
    workers: Annotated[int, Parameter(help="Worker processes.")] = 2,
    host: Host = None,
    port: Port = None,
    slots: Slots = DEFAULT_SLOTS,
    grace: Grace = GRACE_SECONDS,
) -> None:
    """Supervise the processes of a fleet on this machine. SIGHUP: rolling restart; SIGTERM: drain, then stop."""
    for name, count in (("--gateways", gateways), ("--workers", workers)):
        if count < 0:
            raise WrongUse(f"{name} is {count}; give 0 or more.")
    config = _config(host, port)
    _run_machine(config, file, slots=slots, grace=grace, gateways=gateways, workers=workers, maintenance=1)


def gateway(
    *,
    host: Host = None,
    port: Port = None,
    grace: Grace = GRACE_SECONDS,
    open_loopback: Annotated[bool, Internal] = False,
    with_maintenance: Annotated[bool, Internal] = False,
    listen_fd: Annotated[int | None, Internal] = None,
    ready_fd: Annotated[int | None, Internal] = None,
    lifeline_fd: Annotated[int | None, Internal] = None,
) -> None:
    """Run one gateway: the HTTP door. Needs no agent code."""
    from dayshift import app, telemetry

    config = _config(host, port)
    telemetry.setup(config, "gateway")

    async def main() -> None:
        await app.run_gateway(
            config,
            Lifecycle(ready_fd=ready_fd, lifeline_fd=lifeline_fd),
            listen_fd=listen_fd,
            open_loopback=open_loopback,
            with_maintenance=with_maintenance,
            grace_seconds=grace,
        )

    app.run_loop(main())


def worker(
    file: str,
    /,
    *,
    slots: Slots = DEFAULT_SLOTS,
    grace: Grace = GRACE_SECONDS,
    worker_id: Annotated[str | None, Internal] = None,
    quarantine: Annotated[str | None, Internal] = None,
    check: Annotated[bool, Internal] = False,
    no_orphan: Annotated[bool, Internal] = False,
    ready_fd: Annotated[int | None, Internal] = None,
    lifeline_fd: Annotated[int | None, Internal] = None,
) -> None:
    """Run one worker with the agents of FILE[:NAME]."""
    set_placeholder_keys()
    if check:
        from dayshift import agents

        agents.load(file)
        return
    _check_numbers(slots, grace)
    begin_again_with_fixed_hashes()
    from dayshift import app, telemetry  # only now: what was imported before would be imported twice

    config = _config()
    telemetry.setup(config, "worker")

    async def main() -> None:
        lifecycle = Lifecycle(ready_fd=ready_fd, lifeline_fd=lifeline_fd, no_orphan=no_orphan)
        own_id = worker_id or ids.new(ids.WORKER)
        if quarantine is None:
            await app.run_worker(config, lifecycle, file=file, worker_id=own_id, slots=slots, grace_seconds=grace)
        else:
            await app.run_quarantined(
                config, lifecycle, file=file, worker_id=own_id, task_id=quarantine, grace_seconds=grace
            )

    app.run_loop(main())


def maintenance(
    *,
    ready_fd: Annotated[int | None, Internal] = None,
    lifeline_fd: Annotated[int | None, Internal] = None,
) -> None:
    """Run the loops that repair and clean. One process is enough; several take turns."""
    from dayshift import app, telemetry

    config = _config()
    telemetry.setup(config, "maintenance")

    async def main() -> None:
        await app.run_maintenance(config, Lifecycle(ready_fd=ready_fd, lifeline_fd=lifeline_fd))

    app.run_loop(main())


def fakellm(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run the provider that can be commanded (`dayshift fakellm --help`)."""
    from dayshift.fakellm import main

    return main(list(arguments))


def _run_machine(
    config: Config,
    file: str,
    *,
    slots: int,
    grace: float,
    gateways: int = 1,
    workers: int = 1,
    maintenance: int = 0,
    gateway_options: tuple[str, ...] = (),
    reload: bool = False,
    open_loopback: bool = False,
) -> None:
    from dayshift import app, telemetry

    _check_numbers(slots, grace)
    telemetry.setup(config, "supervisor")
    plan = Plan(
        file=file,
        host=config.host,
        port=config.port,
        scheme=config.scheme,
        gateways=gateways,
        workers=workers,
        maintenance=maintenance,
        gateway_options=(*gateway_options, "--grace", str(grace)),
        worker_options=("--slots", str(slots), "--grace", str(grace)),
        reload=reload,
        grace_seconds=grace,
    )

    async def main() -> None:
        await app.run_machine(config, plan, open_loopback=open_loopback, announce=_announce)

    app.run_loop(main())


def _announce(address: str, keyless: bool) -> None:
    print(f"dayshift is ready on {address}", flush=True)
    if keyless:
        print(
            "  Requests from this machine need no key, as tenant `default`, until the first key is made.",
            file=sys.stderr,
            flush=True,
        )
    print(f"  try: curl -s {address}/v1/agents", file=sys.stderr, flush=True)


def _check_numbers(slots: int, grace: float) -> None:
    if slots < 1:
        raise WrongUse(f"--slots is {slots}; a worker needs at least 1.")
    if grace < 0:
        raise WrongUse(f"--grace is {grace:g}; give 0 or more seconds.")


def _config(host: str | None = None, port: int | None = None) -> Config:
    if port is not None and not 0 <= port <= HIGHEST_PORT:
        raise WrongUse(f"--port is {port}; give a port between 0 and {HIGHEST_PORT}.")
    config = Config.from_env()
    return msgspec.structs.replace(config, host=host or config.host, port=config.port if port is None else port)
