"""How a worker stops: named stages, in order, under one deadline.

    stop claiming      nothing new comes in; a wake-up meant for this worker goes to another
    finish             what ends within the grace ends as always
    hand back          the rest is cancelled and queued again at once, and so is what a start under way still brings: no
                       failure, no loss
    deregister         the lease is released in both planes, so that nobody waits for it to run out

A second request skips what is left of the grace. Whatever could not be handed back (the ledger is away, code swallows
its cancellation) is requeued by the release of the lease, and counts as a loss: running twice is better than losing.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from dayshift.domain import clock
from dayshift.domain.errors import DependencyAway
from dayshift.domain.events import WorkerDraining, WorkerStopped
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.tasks.starting import Starting
from dayshift.telemetry import emit
from dayshift.worker.attempt import HAND_BACK_AFTER_SECONDS, StopReason
from dayshift.worker.claimer import Claimer
from dayshift.worker.heartbeat import Heartbeat
from dayshift.worker.lease import Lease
from dayshift.worker.slots import Slots

COMMIT_SECONDS = 5.0


class Drain:
    """Takes a running worker to its end. `hurry` is set when it must not wait for running attempts."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        plane: Plane,
        starting: Starting,
        slots: Slots,
        claimer: Claimer,
        heartbeat: Heartbeat,
        lease: Callable[[], Lease],
        grace_seconds: float,
        hurry: asyncio.Event,
    ) -> None:
        self._ledger = ledger
        self._plane = plane
        self._starting = starting
        self._slots = slots
        self._claimer = claimer
        self._heartbeat = heartbeat
        self._lease = lease
        self._grace_seconds = grace_seconds
        self._hurry = hurry

    async def run(self, claiming: asyncio.Task[None]) -> None:
        """All stages."""
        deadline_mono = clock.monotonic_seconds() + self._grace_seconds
        emit(WorkerDraining(worker_id=self._worker_id, running=self._slots.busy, grace_seconds=self._grace_seconds))
        await self._stop_claiming(claiming)
        await self._finish_until(deadline_mono)
        await self._hand_back()
        await self._deregister()
        emit(WorkerStopped(worker_id=self._worker_id))

    @property
    def _worker_id(self) -> str:
        return self._lease().worker_id

    async def _stop_claiming(self, claiming: asyncio.Task[None]) -> None:
        self._claimer.stop()
        await asyncio.wait({claiming})
        with contextlib.suppress(DependencyAway):
            await self._plane.stop_claiming(self._worker_id)

    async def _finish_until(self, deadline_mono: float) -> None:
        finished = asyncio.create_task(self._slots.wait_until_none_held())
        hurried = asyncio.create_task(self._hurry.wait())
        seconds = max(0.0, deadline_mono - clock.monotonic_seconds())
        await asyncio.wait({finished, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await cancel(finished, hurried)

    async def _hand_back(self) -> None:
        for attempt in self._slots.held():
            attempt.stop(StopReason.DRAINING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HAND_BACK_AFTER_SECONDS + COMMIT_SECONDS):
                await self._slots.wait_until_none_held()
                await self._starting.all_given_back()

    async def _deregister(self) -> None:
        await self._heartbeat.stop()
        with contextlib.suppress(DependencyAway):
            await self._ledger.workers.release(self._worker_id, "drained", process_lives=True)
        with contextlib.suppress(DependencyAway):
            await self._plane.release_worker(self._worker_id)


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel them, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
