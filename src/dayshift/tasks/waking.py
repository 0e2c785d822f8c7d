"""Waking: what is said to a task reaches it, parked or running; and parked tasks whose time is over go on.

A task that wakes at a time is queued by nobody: the hot plane holds it as a delayed one, and its start finds it due. What
the plane lost is announced again (`Announce.delayed`), and what is late all the same is queued here.
"""

import asyncio

from dayshift.domain.errors import PlaneAway
from dayshift.hotplane import Plane, channels
from dayshift.ledger import Ledger, Sent, Woken
from dayshift.tasks import events
from dayshift.tasks.background import Background
from dayshift.tasks.outbox import Outbox

LATE_SECONDS = 5.0
_PAGE = 1_000
_PUSH_TRIES = 3
_PUSH_PAUSE_SECONDS = 0.3


class Waking:
    """Says to tasks that something came, and to the hot plane which of them may run."""

    def __init__(self, ledger: Ledger, plane: Plane, outbox: Outbox, background: Background) -> None:
        self._ledger = ledger
        self._plane = plane
        self._outbox = outbox
        self._background = background

    async def signal(self, tenant: str, task_id: str, name: str, payload: bytes, wait_id: str | None) -> Sent:
        """Take a signal for a task. Raises `NotFound`, `Conflict` (codes `signal_consumed`, `task_finished`), `LedgerAway`."""
        sent = await self._ledger.waits.send(tenant, task_id, name, payload, wait_id)
        self._tell(sent.woken)
        return sent

    async def wake(self, task_ids: list[str]) -> None:
        """Something came that these tasks may wait for."""
        self._tell(await self._ledger.waits.wake(task_ids))

    async def wake_late(self) -> int:
        """Queue what should have woken by itself and did not; how many there were."""
        woken = 0
        while True:
            places = await self._ledger.waits.wake_overdue(LATE_SECONDS, _PAGE)
            for place in places:
                self._outbox.place(place)
            woken += len(places)
            if len(places) < _PAGE:
                return woken

    def _tell(self, woken: list[Woken]) -> None:
        for task in woken:
            if task.place is not None:
                self._outbox.tell(events.queued(task.task_id, task.attempt, task.queue))
                self._outbox.place(task.place)
            elif task.worker_id is not None:
                self._background.spawn(self._push(task.worker_id, task.task_id), where="tasks.waking")

    async def _push(self, worker_id: str, task_id: str) -> None:
        """Try a few times. What is lost heals: a worker looks again every few seconds."""
        for _ in range(_PUSH_TRIES):
            try:
                await self._plane.publish(channels.worker(worker_id), f"news {task_id}")
            except PlaneAway:
                await asyncio.sleep(_PUSH_PAUSE_SECONDS)
            else:
                return
