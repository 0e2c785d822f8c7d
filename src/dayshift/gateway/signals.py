"""What is said to a task from outside: an approval, an answer, whatever its agent waits for."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.gateway.bodies import checked_json, read_unchecked
from dayshift.gateway.paths import typed
from dayshift.gateway.replies import Headers, Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.tasks import named_task
from dayshift.tasks.services import Services

MAX_BODY_BYTES = 1024 * 1024
NAME_LIMIT = 200
_REPLAYED: Headers = (header("idempotent-replayed", "true"),)


class SignalRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a signal. `wait_id` is the id in the task's `waiting_for`: then a repeat does nothing."""

    payload: Any | UnsetType = UNSET
    wait_id: str | None = None


class SignalDoor:
    """Takes signals for the caller's tasks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def send(self, request: Request) -> Reply:
        """Taken: the task hears of it now, or when it waits for it."""
        task_id, name = named_task(request), request.params["name"]
        if not 0 < len(name) <= NAME_LIMIT or "\x00" in name:
            fault = FieldError(path="name", message=f"must be text of 1-{NAME_LIMIT} characters")
            raise InvalidInput(f"the signal's name {fault.message}", [fault])
        body = await read_unchecked(request, MAX_BODY_BYTES)
        said = typed(checked_json(body), SignalRequest) if body.strip() else SignalRequest()
        payload = msgspec.json.encode(None if said.payload is UNSET else said.payload)
        sent = await self._services.waking.signal(request.tenant, task_id, name, payload, said.wait_id)
        return json_reply({"task_id": task_id, "signal": name}, 202, _REPLAYED if sent.is_repeat else ())
