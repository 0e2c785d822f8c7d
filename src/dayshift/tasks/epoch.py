"""How a process learns the hot plane's epoch.

The ledger says which epoch counts; the plane's marker says for which one it was built. A process that names another one
is answered NOT_READY: then either the process is behind (it reads the ledger again), or the plane is (it has lost its
state: maintenance is woken to rebuild it). Both are done, as nobody can tell from one answer which it is.
"""

import asyncio

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DependencyAway
from dayshift.hotplane import Plane, channels
from dayshift.ledger import Ledger
from dayshift.tasks.background import Background

LEAST_SECONDS_BETWEEN = 0.1


class EpochWatch:
    """Keeps `plane.epoch` at what the ledger says."""

    def __init__(self, ledger: Ledger, plane: Plane, background: Background) -> None:
        self._ledger = ledger
        self._plane = plane
        self._background = background
        self._asking = False

    async def open(self) -> None:
        """Learn the epoch and hear about NOT_READY from now on. Raises `LedgerAway`."""
        self._plane.on_not_ready = self.suspect
        await self._read()

    async def learn(self, epoch: int) -> None:
        """Take over an epoch that the ledger, or a push, named. Epochs only rise."""
        self._plane.epoch = max(self._plane.epoch, epoch)

    def hear(self, payload: bytes) -> None:
        """A push to all processes: `epoch N`."""
        word, _, number = payload.partition(b" ")
        if word == b"epoch" and number.isdigit():
            self._plane.epoch = max(self._plane.epoch, int(number))

    def suspect(self) -> None:
        """The plane answered NOT_READY. However often that happens, one question a tenth of a second is asked."""
        if not self._asking:
            self._asking = True
            self._background.spawn(self._ask(), where="tasks.epoch")

    async def _ask(self) -> None:
        started_at = monotonic_seconds()
        try:
            before = self._plane.epoch
            await self._read()
            if self._plane.epoch == before:
                await self._plane.publish(channels.MAINTENANCE, "not_ready")
            await asyncio.sleep(max(0.0, started_at + LEAST_SECONDS_BETWEEN - monotonic_seconds()))
        except DependencyAway:
            await asyncio.sleep(LEAST_SECONDS_BETWEEN)
        finally:
            self._asking = False

    async def _read(self) -> None:
        await self.learn((await self._ledger.plane_state.get()).epoch)
