"""From a request of OpenAI's API to the wish that `tasks.Intake` accepts or refuses."""

import contextlib
from typing import Any

import msgspec
from msgspec import Raw

from dayshift.domain.errors import Conflict, FieldError, InvalidInput, NotFound
from dayshift.domain.settings import Settings
from dayshift.domain.task import Status, Task
from dayshift.gateway.paths import invalid, typed
from dayshift.gateway.responses.fitting import fitted, text_of
from dayshift.gateway.responses.names import response_id, task_id_of
from dayshift.gateway.responses.shapes import KEPT, ConversationParam, Kept, ResponseRequest
from dayshift.gateway.responses.views import SHOWN_AGAIN, said_by, text_output
from dayshift.journal import pack
from dayshift.ledger import AgentRow
from dayshift.tasks.inputs import LONGEST_NAME, TaskRequest
from dayshift.tasks.services import Services


class Wishes:
    """Chooses the agent and the conversation, and fits the request to both."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def of(
        self, raw: bytes, tenant: str, key: str | None, settings: Settings
    ) -> tuple[ResponseRequest, TaskRequest]:
        """What is asked for, and the task that it makes. Raises `InvalidInput`, `Conflict`, `NotFound`, `LedgerAway`."""
        asked = typed(raw, ResponseRequest)
        body: dict[str, Any] = msgspec.json.decode(raw)
        if asked.background and asked.store is False:
            raise invalid(FieldError("background", "needs store: a response that nobody waits for has to be kept"))
        if asked.metadata is not None and KEPT in asked.metadata:
            raise invalid(FieldError(f"metadata.{KEPT}", "this name is taken; use another"))
        agent = await self._agent(asked.model, settings)
        given = fitted(agent.input_schema, body)
        named = _conversation_of(asked)
        return asked, TaskRequest(
            agent=agent.name,
            input=Raw(msgspec.json.encode(given)),
            conversation=await self._chained(asked.previous_response_id, tenant) if named is None else named,
            user=(asked.user or asked.safety_identifier or "")[:LONGEST_NAME] or None,
            metadata=Raw(msgspec.json.encode({**(asked.metadata or {}), KEPT: _kept(asked, body, given, named)})),
            idempotency_key=key,
        )

    async def _agent(self, model: str | None, settings: Settings) -> AgentRow:
        """The agent of that name, or of that alias; else the settings' default one, or the only one."""
        agents, gateway = self._services.agents_known, settings.gateway
        if model is not None and model in gateway.aliases:
            return await agents.find(gateway.aliases[model])
        unknown = invalid(FieldError("model", "required: the name of an agent, as no default agent is set"))
        if model is not None:
            try:
                return await agents.find(model)
            except InvalidInput as error:
                message = f"The model {model[:100]!r} does not exist: {error.message}"
                unknown = InvalidInput(message, [FieldError("model", error.message)], code="model_not_found")
        if gateway.default_agent is not None:
            return await agents.find(gateway.default_agent)
        only = await agents.only()
        if only is None:
            raise unknown
        return only

    async def _chained(self, previous: str | None, tenant: str) -> str | None:
        """The conversation that a response goes on with: that of the previous one, or one that begins with it."""
        if previous is None:
            return None
        with contextlib.suppress(NotFound):
            task = await self._services.lookup.of_tenant(task_id_of(previous), tenant)
            if task is not None:
                return task.conversation or await self._begun_with(task)
        raise InvalidInput(
            f"Previous response with id {previous[:100]!r} not found.",
            [FieldError("previous_response_id", "no such response")],
            code="previous_response_not_found",
        )

    async def _begun_with(self, task: Task) -> str:
        """A response that was in no conversation begins one, named like it, with what was asked and answered."""
        name = response_id(task.id)
        if task.status is not Status.SUCCEEDED:
            if await self._services.ledger.conversations.get(task.tenant, name) is not None:
                return name
            raise Conflict(
                f"Previous response {name!r} has not completed; wait for its end",
                code="previous_response_not_completed",
            )
        messages = [
            {"role": "user", "content": text_of(said_by(task))},
            {"role": "assistant", "content": text_output(task)},
        ]
        try:
            await self._services.ledger.conversations.create(
                task.tenant, name, [pack(msgspec.json.encode(message)) for message in messages]
            )
        except Conflict:
            return name  # an earlier one that followed the same response began it
        return name


def _conversation_of(asked: ResponseRequest) -> str | None:
    conversation = asked.conversation
    return conversation.id if isinstance(conversation, ConversationParam) else conversation


def _kept(asked: ResponseRequest, body: dict[str, Any], given: dict[str, Any], named: str | None) -> Kept:
    input_in = next((name for name, value in given.items() if value == asked.input), None)
    return Kept(
        background=bool(asked.background),
        store=asked.store is not False,
        conversation=named,
        previous_response_id=asked.previous_response_id,
        input_in=input_in,
        input=asked.input if input_in is None else None,
        said={name: body[name] for name in SHOWN_AGAIN if body.get(name) is not None},
    )
