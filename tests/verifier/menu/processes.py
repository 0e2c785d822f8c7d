"""Faults of processes. The lone ones stand for other hosts: nobody there sees them die, so it takes a lease to notice."""

import contextlib
import signal
from pathlib import Path

from tests.faults import processes
from tests.faults.clock import clock_off_by
from tests.verifier.fleet import Fleet
from tests.verifier.keeper import Keeper
from tests.verifier.menu.card import Made, chosen, fault
from tests.verifier.plan import Planned
from tests.verifier.record import Hit

PAST_THE_LEASE = (11.0, 16.0)
WITHIN_THE_LEASE = (0.5, 4.0)
SUPERVISED, LONE = 0, 1  # doors


@fault("worker.killed", "machine", weight=9, rest=4)
async def worker_killed(fleet: Fleet, planned: Planned) -> Made:
    yield _kill(chosen(fleet.supervised.children("worker"), planned))


@fault("worker.frozen", "machine", weight=2, lasts=PAST_THE_LEASE, rest=5, slow=True)
async def worker_frozen(fleet: Fleet, planned: Planned) -> Made:
    """Its tasks are taken over meanwhile, and it must not go on with them when it thaws."""
    pid = chosen(fleet.supervised.children("worker"), planned)
    yield _freeze(pid)
    _thaw(pid)


@fault("worker.paused", "machine", weight=3, lasts=WITHIN_THE_LEASE)
async def worker_paused(fleet: Fleet, planned: Planned) -> Made:
    pid = chosen(fleet.supervised.children("worker"), planned)
    yield _freeze(pid)
    _thaw(pid)


@fault("lone-worker.killed", "lone worker", weight=4, rest=6)
async def lone_worker_killed(fleet: Fleet, planned: Planned) -> Made:
    yield _kill(fleet.lone_worker.pid)


@fault("lone-worker.frozen", "lone worker", weight=2, lasts=PAST_THE_LEASE, rest=5)
async def lone_worker_frozen(fleet: Fleet, planned: Planned) -> Made:
    pid = fleet.lone_worker.pid
    yield _freeze(pid)
    _thaw(pid)


@fault("gateway.killed", "machine", weight=4)
async def gateway_killed(fleet: Fleet, planned: Planned) -> Made:
    yield _kill(chosen(fleet.supervised.children("gateway"), planned), SUPERVISED)


@fault("gateway.frozen", "machine", weight=1, lasts=PAST_THE_LEASE, slow=True)
async def gateway_frozen(fleet: Fleet, planned: Planned) -> Made:
    pid = chosen(fleet.supervised.children("gateway"), planned)
    yield _freeze(pid, SUPERVISED)
    _thaw(pid)


@fault("lone-gateway.killed", "lone gateway", weight=4)
async def lone_gateway_killed(fleet: Fleet, planned: Planned) -> Made:
    pid = fleet.lone_gateway.pid
    yield _kill(pid, LONE)
    await fleet.until_replaced(fleet.lone_gateway, pid, LONE)


@fault("lone-gateway.frozen", "lone gateway", weight=1, lasts=(2.0, 14.0))
async def lone_gateway_frozen(fleet: Fleet, planned: Planned) -> Made:
    pid = fleet.lone_gateway.pid
    yield _freeze(pid, LONE)
    _thaw(pid)


@fault("maintenance.killed", "maintenance", weight=4)
async def maintenance_killed(fleet: Fleet, planned: Planned) -> Made:
    yield _kill(chosen([*fleet.supervised.children("maintenance"), fleet.lone_maintenance.pid], planned))


@fault("maintenance.frozen", "maintenance", weight=2, lasts=PAST_THE_LEASE)
async def maintenance_frozen(fleet: Fleet, planned: Planned) -> Made:
    pid = chosen([*fleet.supervised.children("maintenance"), fleet.lone_maintenance.pid], planned)
    yield _freeze(pid)
    _thaw(pid)


@fault("supervisor.killed", "machine", weight=1.5, rest=12)
async def supervisor_killed(fleet: Fleet, planned: Planned) -> Made:
    """Its children notice, drain and stop; the next supervisor takes the port when they have left it."""
    pids = [*fleet.supervised.children("worker"), *fleet.supervised.children("gateway")]
    supervisor = fleet.supervised.pid
    _kill(supervisor)
    yield Hit(pids=tuple(pids), doors=(SUPERVISED,))
    await fleet.until_gone(pids)
    await fleet.until_replaced(fleet.supervised, supervisor, SUPERVISED)


@fault("supervisor.frozen", "machine", weight=1, lasts=PAST_THE_LEASE, slow=True)
async def supervisor_frozen(fleet: Fleet, planned: Planned) -> Made:
    """Its children work on, and nobody replaces them."""
    pid = fleet.supervised.pid
    yield _freeze(pid)
    _thaw(pid)


@fault("machine.rolled", "machine", weight=2, rest=15)
async def machine_rolled(fleet: Fleet, planned: Planned) -> Made:
    """SIGHUP: every process is replaced, one by one; no request may notice."""
    pids = fleet.supervised.children("worker")
    fleet.supervised.signal(signal.SIGHUP)
    yield Hit(pids=tuple(pids))


@fault("lone-worker.clock-off", "lone worker", weight=1, lasts=(8.0, 20.0))
async def lone_worker_clock_off(fleet: Fleet, planned: Planned) -> Made:
    pid = fleet.lone_worker.pid
    right = _set_clock(fleet.lone_worker, fleet.folder, planned)
    yield Hit(pids=(pid,))
    _set_back(fleet.lone_worker, right)


@fault("lone-gateway.clock-off", "lone gateway", weight=1, lasts=(8.0, 20.0))
async def lone_gateway_clock_off(fleet: Fleet, planned: Planned) -> Made:
    right = _set_clock(fleet.lone_gateway, fleet.folder, planned)
    yield Hit(doors=(LONE,))
    wrong = fleet.lone_gateway.pid
    _set_back(fleet.lone_gateway, right)
    await fleet.until_replaced(fleet.lone_gateway, wrong, LONE)


@fault("maintenance.clock-off", "maintenance", weight=1, lasts=(8.0, 20.0))
async def maintenance_clock_off(fleet: Fleet, planned: Planned) -> Made:
    right = _set_clock(fleet.lone_maintenance, fleet.folder, planned)
    yield Hit()
    _set_back(fleet.lone_maintenance, right)


def _kill(pid: int, *doors: int) -> Hit:
    if pid:
        processes.kill(pid)
    return Hit(pids=(pid,) if pid else (), doors=doors)


def _freeze(pid: int, *doors: int) -> Hit:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself this moment
        if pid:
            processes.freeze(pid)
    return Hit(pids=(pid,) if pid else (), doors=doors)


def _thaw(pid: int) -> None:
    if pid:
        processes.thaw(pid)


def _set_clock(keeper: Keeper, folder: Path, planned: Planned) -> dict[str, str]:
    """Let the process drain, and its successor believe in another time: 2 to 10 minutes off, either way."""
    right = keeper.environment
    seconds = (120 + 480 * planned.choice) * (-1 if planned.number % 2 else 1)
    keeper.environment = clock_off_by(seconds, folder / "clock", right)
    keeper.signal(signal.SIGTERM)
    return right


def _set_back(keeper: Keeper, right: dict[str, str]) -> None:
    keeper.environment = right
    keeper.signal(signal.SIGTERM)
