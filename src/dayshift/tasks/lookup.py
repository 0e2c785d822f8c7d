"""Single reads that arrive together leave as one query: whoever asks while a query runs joins the next one.

So an answer is never older than its question, and reading under load costs what a batch costs.
"""

import asyncio

from dayshift.domain.task import Task
from dayshift.ledger import Ledger
from dayshift.tasks.background import Background

_MOST_IDS = 500


class Lookup:
    """Reads tasks by id for everybody in a process."""

    def __init__(self, ledger: Ledger, background: Background) -> None:
        self._ledger = ledger
        self._background = background
        self._asked: dict[str, list[asyncio.Future[Task | None]]] = {}
        self._running = False

    async def get(self, task_id: str) -> Task | None:
        """The task as the ledger has it now. Raises `LedgerAway`."""
        answer: asyncio.Future[Task | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(task_id, []).append(answer)
        if not self._running:
            self._running = True
            self._background.spawn(self._answer_all(), where="tasks.lookup")
        return await answer

    async def of_tenant(self, task_id: str, tenant: str) -> Task | None:
        """The same, if the task is that tenant's. Raises `LedgerAway`."""
        task = await self.get(task_id)
        return task if task is not None and task.tenant == tenant else None

    async def _answer_all(self) -> None:
        try:
            while self._asked:
                ids = list(self._asked)[:_MOST_IDS]
                await self._answer({task_id: self._asked.pop(task_id) for task_id in ids})
        finally:
            self._running = False

    async def _answer(self, asked: dict[str, list[asyncio.Future[Task | None]]]) -> None:
        futures = [(task_id, future) for task_id, waiting in asked.items() for future in waiting]
        try:
            found = {task.id: task for task in await self._ledger.tasks.get_many(list(asked))}
        except Exception as error:  # noqa: BLE001 - it is handed to everybody who asked
            for _, future in futures:
                if not future.done():
                    future.set_exception(error)
        else:
            for task_id, future in futures:
                if not future.done():
                    future.set_result(found.get(task_id))
        finally:
            for _, future in futures:
                future.cancel()  # of those that are answered nothing changes
