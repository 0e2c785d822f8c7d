"""Runs a task that has taken two workers with it in a process of its own, where it can take nobody else.

The claim stays with this worker and the slot stays taken; the child registers as a worker under an id that is chosen
here, starts the task itself, and ends. What became of it stands in the ledger:

    it finished, failed, gave back     the child said so: nothing is left to do but to free the claim
    it died with the task              this process saw it: the task ends as a dead letter (`poison`)
    it fell silent, and so did this    both may be cut off, or on a machine that is gone: the task is lost and queued again,
      process                            as maintenance knows nothing worse of it; five losses in a row are poison
    it died before it could start      nothing has changed: the task is queued again, a little later
    it was not granted the start       likewise, and it is reported: a pinned task, and the child has loaded other code than
                                         this process did
    it lost its lease and ended by     the task is lost and queued again: an outage is not its fault, nor is a child
      itself, or was killed from here    that could not hand it back in time

The child bounds itself (see `alone.py`), as only it knows the task's timeout and can also be killed when it holds the
interpreter lock. If *this* process dies, the child drains, as it hangs on this process's lifeline (a pipe).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from dayshift.domain import clock, ids
from dayshift.domain.events import Fault, Note
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Place
from dayshift.hotplane import Ack, Plane
from dayshift.ledger import Ledger
from dayshift.tasks.rescue import Rescue
from dayshift.telemetry import emit
from dayshift.worker.attempt import Attempt

MAX_AT_ONCE = 4
END_SECONDS = 15.0
AGAIN_AFTER_MS = 5_000


class Process(Protocol):
    """A child process; `supervisor.Child` is one."""

    @property
    def pid(self) -> int: ...

    async def wait_ended(self) -> int: ...

    def drain(self) -> None: ...

    def kill(self) -> None: ...


SpawnQuarantine = Callable[[str, str], Awaitable[Process]]
"""Starts the child for (task id, worker id)."""


class Quarantine:
    """At most four children at once; the others wait in their slots."""

    def __init__(self, ledger: Ledger, plane: Plane, rescue: Rescue, spawn: SpawnQuarantine) -> None:
        self._ledger = ledger
        self._plane = plane
        self._rescue = rescue
        self._spawn = spawn
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def run(self, attempt: Attempt) -> None:
        """See the task through. Cancelled: the child is told to drain, which gives the task back."""
        async with self._places:
            child_id = ids.new(ids.WORKER)
            starts = await self._starts_of(attempt.task_id)
            child = await self._spawn(attempt.task_id, child_id)
            emit(
                Note(message=f"task {attempt.task_id} runs alone, in process {child.pid}: two workers died running it")
            )
            try:
                exit_code = await child.wait_ended()
            except asyncio.CancelledError:
                died = await self._end(child)
                await self._settle(attempt, child_id, died)
                raise
            died = f"ended with {exit_code}" if exit_code != 0 else None
            was_refused = died is None and await self._starts_of(attempt.task_id) == starts
            await self._settle(attempt, child_id, died, was_refused=was_refused)

    async def _end(self, child: Process) -> str | None:
        """Have the child drain. Answers how it died, if it died of itself."""
        child.drain()
        try:
            async with asyncio.timeout(END_SECONDS):
                exit_code = await child.wait_ended()
        except TimeoutError:
            child.kill()
            await child.wait_ended()
            return None
        return f"ended with {exit_code}" if exit_code != 0 else None

    async def _settle(self, attempt: Attempt, child_id: str, died: str | None, *, was_refused: bool = False) -> None:
        """Also a child that ended by itself may have left its task running: it could not tell the ledger."""
        reason = f"the quarantine process {died or 'is gone'}"
        await until_answered(lambda: self._rescue.rescue_worker(child_id, reason, process_lives=died is None))
        place = await until_answered(lambda: self._place_of(attempt.task_id, child_id))
        if place is not None and was_refused:
            _report_refused(attempt.task_id)
        if place is not None and (died is not None or was_refused):
            place = _later(place)
        seconds = clock.monotonic_seconds() - attempt.claimed_mono
        ack = Ack(attempt.task_id, slot_seconds=seconds, again=place)
        await until_answered(lambda: self._plane.ack(attempt.lease.worker_id, [ack]))

    async def _starts_of(self, task_id: str) -> int | None:
        task = await until_answered(lambda: self._ledger.tasks.get(task_id, None))
        return None if task is None else task.attempt

    async def _place_of(self, task_id: str, child_id: str) -> Place | None:
        """Where the task stands: queued, or running by the child that is gone, until somebody takes it over."""
        left = [place for place in await self._ledger.tasks.running_of(child_id) if place.id == task_id]
        return left[0] if left else await self._ledger.tasks.place_of(task_id)


def _report_refused(task_id: str) -> None:
    message = (
        f"task {task_id} must run alone, and its process was not granted the start; if its agent is pinned, the code on disk is "
        "not that of this worker any more: run a worker with the code that began the task, or cancel the task"
    )
    emit(Fault(where="quarantine", error_type="NotStarted", message=message))


def _later(place: Place) -> Place:
    """A child that ends before it starts anything would otherwise be started again at once, and for ever."""
    soon_ms = int(clock.now().timestamp() * 1000) + AGAIN_AFTER_MS
    return msgspec.structs.replace(place, run_at_ms=max(place.run_at_ms, soon_ms))
