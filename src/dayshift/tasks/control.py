"""What a person or a caller does to a task that exists: cancel it, retry a dead letter, erase it."""

from dayshift.domain.task import Task


class Control:
    async def cancel(self, task_id: str, tenant: str) -> Task:
        """Cancel: at once when it waits, by a flag that reaches its worker when it runs. A finished task stays as it is.

        Raises `NotFound`, `LedgerAway`.
        """
        raise NotImplementedError

    async def retry(self, task_id: str, tenant: str) -> Task:
        """Queue a dead letter again, at the end of its line, with its failures forgotten. `Conflict` if it is not failed."""
        raise NotImplementedError

    async def erase(self, task_id: str, tenant: str) -> None:
        """Remove a finished task and its stream. Raises `Conflict` (code `not_finished`) while it may still run."""
        raise NotImplementedError
