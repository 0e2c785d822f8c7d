"""What a person or a caller does to a task that exists: cancel it, retry a dead letter, erase it."""

import asyncio
from collections.abc import Awaitable, Callable

from dayshift.domain.errors import NotFound, PlaneAway
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Status, Task
from dayshift.hotplane import Plane, channels
from dayshift.ledger import Ledger
from dayshift.tasks import endings, events
from dayshift.tasks.background import Background
from dayshift.tasks.next_in_line import NextInLine
from dayshift.tasks.outbox import Outbox
from dayshift.tasks.waking import Waking

_PUSH_TRIES = 3
_PUSH_PAUSE_SECONDS = 0.3


class Control:
    """Each is one transaction of the ledger, and then word to whom it concerns."""

    def __init__(
        self,
        ledger: Ledger,
        plane: Plane,
        outbox: Outbox,
        next_in_line: NextInLine,
        *,
        waking: Waking,
        background: Background,
    ) -> None:
        self._ledger = ledger
        self._plane = plane
        self._outbox = outbox
        self._next_in_line = next_in_line
        self._waking = waking
        self._background = background

    async def cancel(self, task_id: str, tenant: str) -> Task:
        """Cancel: at once when it waits, by a flag that reaches its worker when it runs. A finished task stays as it is.

        Raises `NotFound`, `LedgerAway`.
        """
        result = await self._ledger.tasks.cancel(tenant, task_id)
        self._push_down(task_id)
        for place in result.deliveries:
            self._outbox.place(place)
        if result.was in {Status.QUEUED, Status.WAITING}:
            endings.tell(self._outbox, result.task)
            if result.conversation_has_next:
                self._next_in_line.call(tenant, result.task.conversation)
        elif result.worker_id is not None:
            channel = channels.worker(result.worker_id)
            self._push(lambda: self._plane.publish(channel, f"cancel {task_id}"))
        return result.task

    async def retry(self, task_id: str, tenant: str) -> Task:
        """Queue a dead letter again, at the end of its line, with its failures forgotten. `Conflict` if it is not failed."""
        place = await self._ledger.tasks.retry(tenant, task_id)
        task = await self._ledger.tasks.get(task_id, tenant)
        if task is None:
            raise NotFound(f"no task {task_id}")
        self._outbox.tell(events.queued(task.id, task.attempt, task.queue))
        if task.conversation is None:
            self._outbox.place(place)
        else:
            self._next_in_line.call(task.tenant, task.conversation)
        return task

    async def erase(self, task_id: str, tenant: str) -> None:
        """Remove a finished task and its stream. Raises `Conflict` (code `not_finished`) while it may still run."""
        await self._tell_parent_of(task_id, tenant)
        await self._ledger.tasks.erase(tenant, task_id)
        self._push(lambda: self._plane.forget(task_id))

    async def _tell_parent_of(self, task_id: str, tenant: str) -> None:
        """That it was told of this end stands in the row that goes: whoever ended the task may not have come to it yet."""
        task = await self._ledger.tasks.get(task_id, tenant)
        if task is not None and task.is_final and task.parent is not None:
            await self._waking.wake([task.parent])

    def _push_down(self, task_id: str) -> None:
        """Cancel goes down the tree; what is missed here is found by maintenance."""
        self._background.spawn(until_answered(lambda: self._cancel_children(task_id)), where="tasks.control")

    async def _cancel_children(self, task_id: str) -> None:
        for child_id, tenant in await self._ledger.waits.unfinished_children(task_id):
            await self.cancel(child_id, tenant)

    def _push(self, call: Callable[[], Awaitable[object]]) -> None:
        self._background.spawn(_pushed(call), where="tasks.control")


async def _pushed(call: Callable[[], Awaitable[object]]) -> None:
    """Try a few times. What is lost heals: a worker's poll finds the flag, an orphaned stream expires."""
    for _ in range(_PUSH_TRIES):
        try:
            await call()
        except PlaneAway:
            await asyncio.sleep(_PUSH_PAUSE_SECONDS)
        else:
            return
