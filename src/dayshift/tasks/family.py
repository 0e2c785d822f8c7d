"""Parents and their children: a child's end wakes its parent, and nobody works for a parent that does not wait any more.

Both follow from rows. A child names the parent that must be told (`untold_parent`) until it was told, so the end of a child
and the duty to tell are one commit, whoever ended it: its worker, a cancel, or its time. Who records an end tells at
once; maintenance makes good what was left.

    parent succeeded or was cancelled    its unfinished children are cancelled, and theirs
    parent failed                        they go on: a person may retry it, and it finds what they did
"""

from functools import partial

from dayshift.domain.errors import NotFound
from dayshift.domain.events import TaskAccepted
from dayshift.domain.patience import until_answered
from dayshift.domain.task import Status
from dayshift.ledger import Ledger, Spawned
from dayshift.tasks import events
from dayshift.tasks.background import Background
from dayshift.tasks.control import Control
from dayshift.tasks.outbox import Outbox
from dayshift.tasks.waking import Waking
from dayshift.telemetry import emit

_PAGE = 500


class Family:
    """What ends in one task and matters to another."""

    def __init__(
        self, ledger: Ledger, outbox: Outbox, waking: Waking, control: Control, background: Background
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._waking = waking
        self._control = control
        self._background = background
        self._untold: dict[str, str] = {}  # parents by child
        self._is_telling = False

    def child_made(self, spawned: Spawned) -> None:
        """Queue it, unless it was started meanwhile."""
        place = spawned.place
        if place is None:
            return
        queue = spawned.queue or ""
        self._outbox.tell(events.queued(place.id, 0, queue))
        self._outbox.place(place)
        emit(
            TaskAccepted(
                task_id=place.id, agent=place.agent, tenant=place.tenant, queue=queue, trace_id=spawned.trace_id
            )
        )

    def child_ended(self, child_id: str, parent_id: str) -> None:
        """Tell the parent, soon."""
        self._untold[child_id] = parent_id
        if not self._is_telling:
            self._is_telling = True
            self._background.spawn(self._tell_all(), where="tasks.family")

    def parent_ended(self, parent_id: str, status: Status) -> None:
        """Cancel what it leaves behind, soon."""
        if status in {Status.SUCCEEDED, Status.CANCELLED}:
            self._background.spawn(until_answered(lambda: self._cancel_below(parent_id)), where="tasks.family")

    async def tell_parents(self) -> None:
        """Tell those whom nobody has told. Raises `LedgerAway`."""
        while untold := await self._ledger.waits.untold(_PAGE):
            await self._tell(dict(untold))

    async def cancel_orphans(self) -> None:
        """Cancel what nobody waits for any more. Raises `LedgerAway`."""
        for task_id, tenant in await self._ledger.waits.orphans(_PAGE):
            await self._cancel(task_id, tenant)

    async def _tell_all(self) -> None:
        try:
            while self._untold:
                untold, self._untold = self._untold, {}
                await until_answered(partial(self._tell, untold))
        finally:
            self._is_telling = False

    async def _tell(self, untold: dict[str, str]) -> None:
        await self._waking.wake(sorted(set(untold.values())))
        await self._ledger.waits.note_told(sorted(untold))

    async def _cancel_below(self, parent_id: str) -> None:
        for task_id, tenant in await self._ledger.waits.unfinished_children(parent_id):
            await self._cancel(task_id, tenant)

    async def _cancel(self, task_id: str, tenant: str) -> None:
        try:
            await self._control.cancel(task_id, tenant)
        except NotFound:
            return  # erased since, so it had ended
