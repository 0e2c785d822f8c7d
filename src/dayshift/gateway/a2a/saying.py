"""What comes of a message: a new task, or the payload of the signal that a task waits for."""

import hashlib
from collections.abc import Callable

import msgspec
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError, UnsupportedOperationError
from a2a.utils.proto_utils import validate_proto_required_fields
from a2a.utils.task import validate_history_length

from dayshift.domain import a2a, ids
from dayshift.domain.a2a import Json
from dayshift.domain.settings import Settings
from dayshift.domain.task import Task
from dayshift.gateway import headers
from dayshift.gateway.a2a.calls import Call
from dayshift.gateway.a2a.following import Following
from dayshift.gateway.a2a.found import Finder
from dayshift.gateway.a2a.inputs import input_of, payload_of
from dayshift.gateway.a2a.plain import plain
from dayshift.gateway.a2a.pushes import Pushes, checked_push, push_json
from dayshift.gateway.rate_headers import rate_headers
from dayshift.gateway.replies import header
from dayshift.gateway.signals import NAME_LIMIT
from dayshift.tasks.inputs import TaskRequest
from dayshift.tasks.services import Services

SIGNAL_KEY = "signal"


class Saying:
    def __init__(self, services: Services, settings: Callable[[], Settings], following: Following) -> None:
        self._services = services
        self._settings = settings
        self._following = following
        self._finder = Finder(services)
        self._pushes = Pushes(services, settings)

    async def said(self, params: pb.SendMessageRequest, call: Call) -> tuple[Task, int]:
        """The task that the message made or reached, and the number of its last event before that."""
        validate_proto_required_fields(params)
        validate_history_length(params.configuration)
        if params.message.role != pb.ROLE_USER:
            raise InvalidParamsError("message.role: what is said to an agent is said as ROLE_USER")
        if not params.message.task_id:
            return await self._begin(params, call), 0
        return await self._answer(params, call)

    async def _begin(self, params: pb.SendMessageRequest, call: Call) -> Task:
        key = headers.idempotency_key(call.request)
        message = plain(params.message)
        message["contextId"] = params.message.context_id or _context_of(call.tenant, key)
        kept: Json = {"messages": [_without_places(message)]}
        if params.configuration.HasField("task_push_notification_config"):
            name, push = checked_push(params.configuration.task_push_notification_config, self._settings)
            kept["push"] = {name: push_json(push)}
        wish = TaskRequest(
            agent=call.agent.name,
            input=msgspec.Raw(input_of(call.agent, message)),
            conversation=message["contextId"],
            metadata=msgspec.Raw(msgspec.json.encode(plain(params.metadata))),
            idempotency_key=key,
        )
        receipt, quotas = await self._services.submitting.submit(
            wish,
            tenant=call.tenant,
            trace_id=headers.trace_id(call.request),
            a2a=msgspec.json.encode(kept).decode(),
        )
        call.headers += rate_headers(quotas)
        if receipt.replayed:
            call.headers.append(header("idempotent-replayed", "true"))
        return receipt.task

    async def _answer(self, params: pb.SendMessageRequest, call: Call) -> tuple[Task, int]:
        said = params.message
        after = await self._following.last_event(said.task_id)
        task = await self._finder.task(said.task_id, call)
        if said.context_id and said.context_id != (task.conversation or ""):
            raise InvalidParamsError("message.contextId: the task stands in another context")
        message = plain(said)
        name, wait_id = _signal_of(task, message)
        if params.configuration.HasField("task_push_notification_config"):
            await self._pushes.tell(task, params.configuration.task_push_notification_config)
        payload = payload_of(call.agent, {**message, "contextId": task.conversation or ""})
        await self._services.waking.signal(task.tenant, task.id, name, payload, wait_id)
        await self._services.ledger.a2a.add_message(task.tenant, task.id, _without_places(message))
        return await self._finder.task(task.id, call), after


def _without_places(message: Json) -> Json:
    """As it is kept: where it stands is known."""
    return {name: value for name, value in message.items() if name not in {"taskId", "contextId"}}


def _context_of(tenant: str, idempotency_key: str | None) -> str:
    """A new context; for one key always the same, as a repeat must say the same."""
    if idempotency_key is None:
        return ids.new(ids.CONVERSATION)
    said = msgspec.json.encode([tenant, idempotency_key])
    return ids.CONVERSATION + hashlib.blake2b(said, digest_size=16).hexdigest()


def _signal_of(task: Task, message: Json) -> tuple[str, str | None]:
    """Which signal a message is, and of which wait. Raises UnsupportedOperationError."""
    named = message.get("metadata", {}).get(SIGNAL_KEY)
    waits = task.waiting_for if a2a.state_of(task) == a2a.INPUT_REQUIRED else None
    if task.is_final:
        raise UnsupportedOperationError(f"the task has ended: it is {task.status}; send a message without a taskId")
    if isinstance(named, str) and 0 < len(named) <= NAME_LIMIT and (waits is None or waits.name != named):
        return named, None
    if waits is None:
        raise UnsupportedOperationError(
            f"the task waits for no message now; name the signal in the message's metadata ({SIGNAL_KEY!r}) to send it ahead"
        )
    return waits.name, waits.id
