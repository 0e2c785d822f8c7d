"""How a request becomes a task: check, admit, commit, and then tell the hot plane."""

from msgspec import Struct

from dayshift.domain.errors import DayshiftError
from dayshift.domain.task import Task
from dayshift.tasks.inputs import TaskRequest


class Receipt(Struct, frozen=True, kw_only=True):
    """What was accepted. `replayed`: an earlier request with the same idempotency key made this task."""

    task: Task
    replayed: bool = False


class Intake:
    async def submit(self, request: TaskRequest, *, tenant: str, trace_id: str | None = None) -> Receipt:
        """Accept one request: when this returns, the row is committed.

        Raises `InvalidInput` (also code `unknown_agent`, `idempotency_key_reused`), `Conflict` (code
        `conversation_busy`), `Refused` (codes `queue_full`, `tenant_full`), `LedgerAway`.
        """
        raise NotImplementedError

    async def submit_many(
        self, requests: list[TaskRequest | DayshiftError], *, tenant: str, trace_id: str | None = None
    ) -> list[Receipt | DayshiftError]:
        """Accept each request for itself: answers in order, a receipt or the error of that item alone.

        An item that the door could not even decode is passed in as its error and comes out in its place.
        """
        raise NotImplementedError
