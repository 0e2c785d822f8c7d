"""How a request becomes a task: check, admit, commit, and then tell the hot plane.

    checked     every value of it, against what rows can bear and against the agent's schema        InvalidInput
    admitted    while the queue and the tenant have room, and something to spend                    Refused
    committed   with whatever arrived during the commit before                                      LedgerAway after 5 s
    told        task.queued to the stream, and a place in the queue for whoever is first in its
                conversation and due soon; in background: the answer never waits for Valkey

A request with an idempotency key that is known already gets the task that the key made, if it says the same.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

import msgspec
from msgspec import Struct

from dayshift.domain import ids
from dayshift.domain.clock import now
from dayshift.domain.errors import DayshiftError, FieldError, InvalidInput, NotFound, Refused
from dayshift.domain.events import TaskAccepted
from dayshift.domain.task import NewTask, Place, Status, Task
from dayshift.ledger import Accepted, GroupCommit, Ledger
from dayshift.tasks import events, inputs
from dayshift.tasks.agents_known import AgentsKnown
from dayshift.tasks.conversations import Conversations
from dayshift.tasks.depth import Admission
from dayshift.tasks.finishing import HOT_SECONDS
from dayshift.tasks.inputs import TaskRequest
from dayshift.tasks.outbox import Outbox
from dayshift.tasks.schemas import input_schema
from dayshift.telemetry import emit

COMMIT_DEADLINE_SECONDS = 5.0
_ROW_BYTES = 500


MaySpend: TypeAlias = Callable[[str, str | None, str], Awaitable[None]]
"""Raises BudgetSpent when a tenant, user or agent has nothing left to spend."""


async def whatever_is_spent(_tenant: str, _user: str | None, _agent: str) -> None:
    """For who has no budgets."""


class Receipt(Struct, frozen=True, kw_only=True):
    """What was accepted. `replayed`: an earlier request with the same idempotency key made this task."""

    task: Task
    replayed: bool = False


class Intake:
    """The only way for a task into the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        agents: AgentsKnown,
        admission: Admission,
        conversations: Conversations,
        *,
        may_spend: MaySpend,
        commit_deadline_seconds: float = COMMIT_DEADLINE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._agents = agents
        self._admission = admission
        self._conversations = conversations
        self._may_spend = may_spend
        self._commit_deadline_seconds = commit_deadline_seconds
        self._commits = GroupCommit[NewTask, Accepted]("accept", ledger.tasks.accept)

    async def submit(
        self,
        request: TaskRequest,
        *,
        tenant: str,
        trace_id: str | None = None,
        before_commit: Callable[[str], None] | None = None,
        a2a: str | None = None,
    ) -> Receipt:
        """Accept one request: when this returns, the row is committed.

        `a2a`: what the A2A door keeps with the task. `before_commit` hears the id that the task will have, unless the request turns out to be a repeat.

        Raises `InvalidInput` (also code `unknown_agent`, `idempotency_key_reused`), `Conflict` (code
        `conversation_busy`), `Refused` (codes `queue_full`, `tenant_full`, `budget_spent`), `LedgerAway`.
        """
        try:
            new = await self.checked(request, tenant=tenant, trace_id=trace_id, a2a=a2a)
        except InvalidInput:
            if (receipt := await self.replay_of(request, tenant)) is not None:
                return receipt
            raise
        try:
            await self._admit(new)
        except Refused:
            if (receipt := await self._replay_without_room(request, new)) is not None:
                return receipt
            raise
        if before_commit is not None:
            before_commit(new.id)
        accepted = await self._commits.submit(new, _bytes_of(new), deadline_seconds=self._commit_deadline_seconds)
        if accepted.replay_of is not None:
            return await self._replay(request, accepted.replay_of, tenant, same_body=accepted.same_body)
        task = _task_of(new, accepted)
        if request.on_busy == "reject" and not accepted.is_head:
            await self._conversations.withdraw_if_behind(task)
        self._tell(task, accepted)
        if request.on_busy == "interrupt" and not accepted.is_head:
            await self._conversations.interrupt_before(task)
        return Receipt(task=task)

    async def submit_many(
        self, requests: list[TaskRequest | DayshiftError], *, tenant: str, trace_id: str | None = None
    ) -> list[Receipt | DayshiftError]:
        """Accept each request for itself: answers in order, a receipt or the error of that item alone.

        An item that the door could not even decode is passed in as its error and comes out in its place.
        """
        return list(await asyncio.gather(*(self._submit_one(request, tenant, trace_id) for request in requests)))

    async def admitted(self, request: TaskRequest, *, tenant: str) -> NewTask:
        """A row for somebody who commits it together with something else, and then calls `tell`. Raises like `submit`."""
        new = await self.checked(request, tenant=tenant)
        await self._admit(new)
        return new

    def tell(self, new: NewTask, accepted: Accepted) -> None:
        """Tell of a row that somebody else has committed."""
        self._tell(_task_of(new, accepted), accepted)

    async def replay_of(self, request: TaskRequest, tenant: str) -> Receipt | None:
        """What an equal request with the same key was answered, whatever has become since of its `expires_at`, its agent or the room
        for more; None: there was none.
        """
        values = inputs.values_of(request) if request.idempotency_key is not None else None
        if values is None or request.idempotency_key is None:
            return None
        kept = await self._ledger.tasks.kept_under(tenant, request.idempotency_key)
        if kept is None or kept[1] != inputs.fingerprint(request, values):
            return None
        return await self._replay(request, kept[0], tenant, same_body=True)

    async def _submit_one(
        self, request: TaskRequest | DayshiftError, tenant: str, trace_id: str | None
    ) -> Receipt | DayshiftError:
        if isinstance(request, DayshiftError):
            return request
        try:
            return await self.submit(request, tenant=tenant, trace_id=trace_id)
        except DayshiftError as error:
            return error

    async def checked(
        self, request: TaskRequest, *, tenant: str, trace_id: str | None = None, a2a: str | None = None
    ) -> NewTask:
        """The row that a request would become, whether or not there is room for it now. Raises `InvalidInput`, `LedgerAway`."""
        values = inputs.check(request)
        agent = await self._agents.find(request.agent)
        task_input = input_schema(agent.input_schema).normalised(values.input, bytes(request.input))
        keyed = request.idempotency_key is not None
        return NewTask(
            id=ids.new(ids.TASK),
            tenant=tenant,
            agent=agent.name,
            queue=agent.queue,
            input=task_input,
            priority=request.priority,
            user=request.user,
            conversation=request.conversation,
            delay_seconds=request.delay or 0.0,
            run_at=request.run_at,
            timeout_seconds=request.timeout,
            expires_at=request.expires_at,
            metadata=msgspec.json.encode(values.metadata),
            trace_id=trace_id or ids.trace_id(),
            webhook_url=request.webhook.url if request.webhook is not None else None,
            idempotency_key=request.idempotency_key,
            idempotency_hash=inputs.fingerprint(request, values) if keyed else None,
            a2a=a2a,
        )

    async def _admit(self, new: NewTask) -> None:
        await self._may_spend(new.tenant, new.user, new.agent)
        self._admission.admit(new.tenant, new.queue)

    async def _replay_without_room(self, request: TaskRequest, new: NewTask) -> Receipt | None:
        """What was accepted already needs no room: its repeat is answered however full the queue is."""
        if new.idempotency_key is None:
            return None
        kept = await self._ledger.tasks.kept_under(new.tenant, new.idempotency_key)
        if kept is None:
            return None
        task_id, body_hash = kept
        return await self._replay(request, task_id, new.tenant, same_body=body_hash == new.idempotency_hash)

    async def _replay(self, request: TaskRequest, task_id: str, tenant: str, *, same_body: bool) -> Receipt:
        if not same_body:
            message = (
                "this Idempotency-Key was used within 24 hours for a request that said something else; use a new key"
            )
            raise InvalidInput(message, [FieldError("idempotency_key", message)], code="idempotency_key_reused")
        task = await self._ledger.tasks.get(task_id, tenant)
        if task is None:
            raise NotFound("the task that this Idempotency-Key made has been erased; use a new key to submit again")
        await self._answer_busy_again(request, task)
        return Receipt(task=task, replayed=True)

    async def _answer_busy_again(self, request: TaskRequest, task: Task) -> None:
        """What the first try may not have come to after it was accepted."""
        if task.conversation is None or task.is_final:
            return
        if request.on_busy == "reject" and task.attempt == 0:
            await self._conversations.withdraw_if_behind(task)
        elif request.on_busy == "interrupt":
            await self._conversations.interrupt_before(task)

    def _tell(self, task: Task, accepted: Accepted) -> None:
        self._outbox.tell(events.queued(task.id, 0, task.queue))
        if accepted.is_head and (task.run_at - now()).total_seconds() <= HOT_SECONDS:
            self._outbox.place(_place_of(task, accepted))
        emit(
            TaskAccepted(
                task_id=task.id, agent=task.agent, tenant=task.tenant, queue=task.queue, trace_id=task.trace_id
            )
        )


def _bytes_of(new: NewTask) -> int:
    return _ROW_BYTES + len(new.input) + len(new.metadata) + len(new.a2a or "")


def _task_of(new: NewTask, accepted: Accepted) -> Task:
    """The task as its row says, without reading the row."""
    return Task(
        id=new.id,
        agent=new.agent,
        status=Status.QUEUED,
        input=msgspec.Raw(new.input),
        priority=new.priority,
        tenant=new.tenant,
        user=new.user,
        conversation=new.conversation,
        queue=new.queue,
        created_at=accepted.created_at,
        run_at=accepted.run_at,
        metadata=msgspec.Raw(new.metadata),
        trace_id=new.trace_id,
    )


def _place_of(task: Task, accepted: Accepted) -> Place:
    return Place(
        id=task.id,
        agent=task.agent,
        priority=task.priority,
        tenant=task.tenant,
        seq=accepted.seq,
        run_at_ms=_due_ms(task.created_at, task.run_at),
    )


def _due_ms(created_at: datetime, run_at: datetime) -> int:
    """0 for what may run at once, so that no clock is asked whether it is due."""
    return 0 if run_at <= created_at else -int(-run_at.timestamp() * 1000 // 1)
