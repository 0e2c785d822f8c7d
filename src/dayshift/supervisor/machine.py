"""One machine's dayshift, from nothing to serving and back: the steps of `dayshift run` and `dayshift serve`.

    engines -> schema -> socket -> local model -> fleet ... signals ... fleet -> local model -> engines

SIGHUP replaces the processes one at a time. SIGTERM or SIGINT drains; a second one stops hard.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from dayshift.config import with_fixed_hashes
from dayshift.domain import ids
from dayshift.domain.events import Note
from dayshift.supervisor.child import Child, Command
from dayshift.supervisor.fleet import Fleet
from dayshift.supervisor.listening import address_of, listen
from dayshift.supervisor.post import Post
from dayshift.supervisor.reload import changes_of
from dayshift.telemetry import emit

GRACE_SECONDS = 30.0
MARGIN_SECONDS = 5.0  # after a child's own grace, before it is killed


class Plan(Struct, frozen=True, kw_only=True):
    """What to run on this machine."""

    file: str
    host: str
    port: int
    scheme: str = "http"
    gateways: int = 1
    workers: int = 1
    maintenance: int = 0  # processes of its own; `run` has it in the gateway
    gateway_options: tuple[str, ...] = ()
    worker_options: tuple[str, ...] = ()
    reload: bool = False
    grace_seconds: float = GRACE_SECONDS


class Machine:
    """Runs a plan until it is told to stop.

    `environment` is what every child inherits. `bury` puts right what a dead worker left behind (its id, the reason, and
    whether it was we who killed it, which says nothing against its tasks). `announce` is told the
    address once everything is ready.
    """

    def __init__(
        self,
        plan: Plan,
        environment: Mapping[str, str],
        *,
        bury: Callable[[str, str, bool], Awaitable[None]],
        announce: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._environment = environment
        self._bury = bury
        self._announce = announce
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal says stop. Raises `ChildFailed` when a first process does not start, and `WrongUse` when
        the port is taken.
        """
        listener = listen(self._plan.host, self._plan.port)
        try:
            fleet = self._fleet(listener)
            with _signals(fleet, self._stop):
                if await self._started(fleet):
                    self._announce(address_of(listener, self._plan.scheme))
                    async with _reloading(fleet, self._plan):
                        await self._stopping.wait()
                await fleet.stop()
        finally:
            listener.close()

    async def _started(self, fleet: Fleet) -> bool:
        """Whether everything is ready; False when a signal came first."""
        starting = asyncio.create_task(fleet.start(), name="start the fleet")
        stopping = asyncio.create_task(self._stopping.wait(), name="wait for a signal")
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return False
        starting.result()
        return True

    def _stop(self, fleet: Fleet) -> None:
        if self._stopping.is_set():
            fleet.stop_hard()
        self._stopping.set()

    def _fleet(self, listener: socket.socket) -> Fleet:
        plan = self._plan
        maintainers = [self._post("maintenance", ("maintenance",)) for _ in range(plan.maintenance)]
        descriptor = listener.fileno()
        gateway = ("gateway", "--listen-fd", str(descriptor), *plan.gateway_options)
        gateways = [self._post("gateway", gateway, descriptors=(descriptor,)) for _ in range(plan.gateways)]
        workers = [self._worker_post() for _ in range(plan.workers)]
        return Fleet([maintainers, [*gateways, *workers]])

    def _post(self, kind: str, arguments: tuple[str, ...], *, descriptors: tuple[int, ...] = ()) -> Post:
        command = Command(arguments=arguments, environment=self._environment, descriptors=descriptors)
        return Post(kind, lambda: Child.spawn(kind, command), _leaves_nothing, grace_seconds=self._kill_after_seconds)

    def _worker_post(self) -> Post:
        """A worker's id is made here, so that the supervisor knows whose lease to release."""

        async def spawn() -> Child:
            worker_id = ids.new(ids.WORKER)
            arguments = ("worker", self._plan.file, "--worker-id", worker_id, *self._plan.worker_options)
            command = Command(arguments=arguments, environment=with_fixed_hashes(self._environment))
            return await Child.spawn("worker", command, worker_id=worker_id)

        return Post("worker", spawn, self._bury_worker, grace_seconds=self._kill_after_seconds)

    async def _bury_worker(self, child: Child) -> None:
        if child.worker_id is not None:
            await self._bury(child.worker_id, f"its process {child.pid} ended", child.was_killed)

    @property
    def _kill_after_seconds(self) -> float:
        return self._plan.grace_seconds + MARGIN_SECONDS


async def _leaves_nothing(_child: Child) -> None:
    """A dead gateway or maintenance process leaves nothing behind: what it held is in the ledger."""


@contextlib.contextmanager
def _signals(fleet: Fleet, stop: Callable[[Fleet], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    rolls: set[asyncio.Task[None]] = set()

    def roll() -> None:
        rolling = asyncio.create_task(fleet.roll(), name="rolling restart")
        rolls.add(rolling)
        rolling.add_done_callback(rolls.discard)

    loop.add_signal_handler(signal.SIGHUP, roll)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, fleet)
    try:
        yield
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        for rolling in rolls:
            rolling.cancel()


@contextlib.asynccontextmanager
async def _reloading(fleet: Fleet, plan: Plan) -> AsyncIterator[None]:
    """With `--reload`, replace the workers whenever a Python file beside the agents changes."""
    if not plan.reload:
        yield
        return

    async def follow() -> None:
        async for changed in changes_of(Path(plan.file.partition(":")[0]).parent):
            emit(Note(message=f"{changed.name} changed: the worker is replaced"))
            await fleet.roll(frozenset({"worker"}))

    following = asyncio.create_task(follow(), name="reload")
    try:
        yield
    finally:
        following.cancel()
