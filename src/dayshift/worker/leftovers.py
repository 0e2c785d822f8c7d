"""The net under the executor: what the ledger shows as running here must be held by somebody here.

A task that is `running` by a living worker is left alone by everybody else, so an attempt that got lost inside this process
would stand still for as long as the process lives. Every few seconds the two are compared. What has neither a slot nor an
outcome on its way to the ledger, twice in a row, is handed back: no failure, no loss, but a `Fault`, as it is a bug.

It cannot harm an attempt that lives. Whoever holds a task took its slot before it asked for the start, and leaves it after
the finish; the slots are looked at after the attempt's number was read. So a task without a slot had ended by then, which
makes the ledger refuse the give-back, or is a leftover.
"""

import asyncio
from collections.abc import Callable

from dayshift.domain.errors import DependencyAway
from dayshift.domain.events import Fault
from dayshift.domain.task import Place, Status
from dayshift.ledger import Ledger
from dayshift.tasks.finishing import Finishing
from dayshift.telemetry import emit
from dayshift.worker.lease import Lease
from dayshift.worker.slots import Slots

LOOK_SECONDS = 5.0


class Leftovers:
    """`run` until cancelled."""

    def __init__(self, ledger: Ledger, finishing: Finishing, slots: Slots, lease: Callable[[], Lease]) -> None:
        self._ledger = ledger
        self._finishing = finishing
        self._slots = slots
        self._lease = lease
        self._suspects: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Look every few seconds; while the ledger is away there is nothing to see."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.run_once()
            except DependencyAway:
                continue
            except Exception as error:  # noqa: BLE001 - the net must stay where it is
                emit(Fault.of("leftovers", error))

    async def run_once(self) -> None:
        """Hand back what was nobody's at the look before, too."""
        lease = self._lease()
        if not lease.is_valid():
            return
        running = await self._ledger.tasks.running_of(lease.worker_id)
        found = {(lease.worker_id, place.id): place for place in running if self._is_nobodys(lease, place.id)}
        known, self._suspects = self._suspects, set(found)
        for key in known & self._suspects:
            await self._hand_back(lease, found[key])

    def _is_nobodys(self, lease: Lease, task_id: str) -> bool:
        return self._slots.find(lease, task_id) is None and not self._finishing.is_waiting(task_id)

    async def _hand_back(self, lease: Lease, place: Place) -> None:
        task = await self._ledger.tasks.get(place.id, None)
        if task is None or task.status is not Status.RUNNING or not self._is_nobodys(lease, place.id):
            return
        message = (
            f"attempt {task.attempt} of task {task.id} ({task.agent}) was lost inside this worker; it is queued again"
        )
        emit(Fault(where="leftovers", error_type="AttemptLost", message=message))
        await self._finishing.give_back_leftover(task, place, lease.worker_id)
