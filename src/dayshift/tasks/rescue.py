"""Rescue: what happens to a dead worker's tasks.

    1. released in the ledger     final for that id: none of its attempts can start, and none of its beats renews it
    2. poisoned tasks ended       those that it ran alone, in quarantine, after two losses: dead letters, if its process was
                                  seen to die; one that fell silent may be cut off, and silence alone takes three more
    3. released in the plane      what it held goes back to the heads of its lines
    4. the rest queued again      what the ledger shows as running there and the plane did not know
    5. heads announced            what it had committed and not told any more: the next tasks of conversations

The tasks of 3 and 4 stay `running` in the ledger until somebody starts them: the start takes them over, counts the loss
and silences the old attempt. So a rescue that dies at any step may be repeated by anybody from the beginning: the ledger
lists a released worker for as long as it is shown as running something. Only what it had claimed and not started is known
to the plane alone: the rescuer also frees what the plane holds for workers that are not alive in the ledger.
"""

from dayshift.domain.events import TaskLost, WorkerDead
from dayshift.hotplane import Plane
from dayshift.ledger import Ledger
from dayshift.tasks import endings
from dayshift.tasks.announce import Announce
from dayshift.tasks.next_in_line import NextInLine
from dayshift.tasks.outbox import Outbox
from dayshift.telemetry import emit


class Rescue:
    """Used by maintenance for silent workers, and by the supervisor for children that it saw die."""

    def __init__(
        self, ledger: Ledger, plane: Plane, outbox: Outbox, next_in_line: NextInLine, announce: Announce
    ) -> None:
        self._ledger = ledger
        self._plane = plane
        self._outbox = outbox
        self._next_in_line = next_in_line
        self._announce = announce

    async def rescue_worker(
        self,
        worker_id: str,
        reason: str,
        *,
        only_if_silent_seconds: float | None = None,
        process_lives: bool = False,
    ) -> int:
        """Release the worker's leases in both planes and requeue its tasks; returns how many. Safe to repeat.

        A supervisor that saw its child die passes no silence; the rescuer passes 10 s, which the ledger checks again: a
        worker that has beaten meanwhile keeps its lease, and 0 is returned. A process that lost its lease and lives says
        so: its tasks are lost, but none of them is suspected of having killed it. Raises `LedgerAway`, `PlaneAway`.
        """
        released_now = await self._ledger.workers.release(
            worker_id, reason, only_if_silent_seconds=only_if_silent_seconds, process_lives=process_lives
        )
        if not released_now and await self._is_alive(worker_id):
            return 0
        await self._end_poisoned(worker_id, was_seen=only_if_silent_seconds is None)
        running = await self._ledger.tasks.running_of(worker_id)
        held = await self._plane.release_worker(worker_id)
        await self._plane.enqueue(running)
        requeued = len({place.id for place in running}.union(held))
        if released_now:
            await self._announce.heads()
            emit(WorkerDead(worker_id=worker_id, tasks=requeued, reason=reason))
        return requeued

    async def _is_alive(self, worker_id: str) -> bool:
        return any(row.id == worker_id for row in await self._ledger.workers.list())

    async def _end_poisoned(self, worker_id: str, *, was_seen: bool) -> None:
        for task in await self._ledger.workers.poison_quarantined(worker_id, was_seen=was_seen):
            emit(TaskLost(task_id=task.id, agent=task.agent, attempt=task.attempt, worker_id=worker_id, poisoned=True))
            endings.tell(self._outbox, task)
            self._next_in_line.call(task.tenant, task.conversation)
