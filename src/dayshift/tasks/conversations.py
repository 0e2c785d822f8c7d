"""What `on_busy` asks for when a conversation has an unfinished task already.

The ledger counts a conversation's unfinished tasks in the statement that accepts one, so that of two requests at once
exactly one finds it free. A request that wanted to be rejected is therefore accepted first and taken back, in one
statement that looks again: if what stood before it has ended meanwhile, it may be running already, and is accepted.

Both answers can be repeated, and are by an idempotent replay: the first try may have died right after the acceptance.
"""

from dayshift.domain.errors import Conflict, NotFound
from dayshift.domain.task import Task
from dayshift.ledger import Ledger
from dayshift.tasks.control import Control


class Conversations:
    """The two other answers to a busy conversation than waiting for one's turn."""

    def __init__(self, ledger: Ledger, control: Control) -> None:
        self._ledger = ledger
        self._control = control

    async def withdraw_if_behind(self, task: Task) -> None:
        """Take back a task that must not wait, with `Conflict` (code `conversation_busy`). If it need not wait, it stays."""
        if await self._ledger.tasks.withdraw(task.tenant, task.id):
            raise Conflict(
                f"conversation {task.conversation!r} is busy; wait for its task to end, "
                "or send on_busy=enqueue or interrupt",
                code="conversation_busy",
            )

    async def interrupt_before(self, task: Task) -> None:
        """Cancel every unfinished task of the conversation that was accepted before this one, the last one first."""
        for earlier_id in await self._ledger.tasks.unfinished_before(task.id):
            try:
                await self._control.cancel(earlier_id, task.tenant)
            except NotFound:
                continue  # erased since, so it had ended
