"""What `on_busy` asks for when a conversation has an unfinished task already.

The ledger counts a conversation's unfinished tasks in the statement that accepts one, so that of two requests at once
exactly one finds it free. A request that wanted to be rejected is therefore accepted first and taken back: nobody could
have started it, as it stands behind another.
"""

from dayshift.domain.errors import Conflict
from dayshift.domain.task import Status, Task
from dayshift.ledger import Ledger
from dayshift.tasks.control import Control
from dayshift.tasks.next_in_line import NextInLine

_UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.WAITING)
_PAGE = 100


class Conversations:
    """The two other answers to a busy conversation than waiting for one's turn."""

    def __init__(self, ledger: Ledger, control: Control, next_in_line: NextInLine) -> None:
        self._ledger = ledger
        self._next_in_line = next_in_line
        self._control = control

    async def withdraw(self, task: Task) -> None:
        """Take back a task that must not wait. Always raises: `Conflict`, code `conversation_busy`."""
        result = await self._ledger.tasks.cancel(task.tenant, task.id)
        if result.conversation_has_next:
            self._next_in_line.call(task.tenant, task.conversation)
        await self._ledger.tasks.erase(task.tenant, task.id)
        raise Conflict(
            f"conversation {task.conversation!r} is busy; wait for its task to end, or send on_busy=enqueue or interrupt",
            code="conversation_busy",
        )

    async def interrupt_before(self, task: Task) -> None:
        """Cancel every unfinished task of the conversation that was accepted before this one."""
        for earlier in await self._unfinished_before(task):
            await self._control.cancel(earlier.id, earlier.tenant)

    async def _unfinished_before(self, task: Task) -> list[Task]:
        found: list[Task] = []
        for status in _UNFINISHED:
            after: str | None = None
            while True:
                page = await self._ledger.tasks.list(
                    task.tenant, status=status, conversation=task.conversation, limit=_PAGE, after=after
                )
                found += [other for other in page if other.id != task.id and other.created_at <= task.created_at]
                if len(page) < _PAGE:
                    break
                after = page[-1].id
        return found
