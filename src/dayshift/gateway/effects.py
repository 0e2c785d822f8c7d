"""A task's effects over HTTP: what its agent did, and a person's word about an outcome that nobody knows."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dayshift.domain import ids
from dayshift.domain.effect import Difference, Effect, SeenEffect
from dayshift.domain.errors import FieldError, InvalidInput, NotFound
from dayshift.gateway.bodies import read_json
from dayshift.gateway.pages import After, Page, after_id, last_id, list_reply
from dayshift.gateway.paths import typed
from dayshift.gateway.replies import Reply, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.tasks import named_task, no_such_task
from dayshift.journal import pack
from dayshift.tasks.services import Services

MAX_BODY_BYTES = 4 * 1024 * 1024


class EffectView(SeenEffect, frozen=True, kw_only=True):
    """An effect as it is shown over HTTP.

    `scope` names the steps and tools that it was done inside of, by their `key`s. `differs` is there when it was not found
    although an earlier attempt had recorded something like it: that effect, and the first part that differs. `preview`: the beginning of
    what was asked, without secrets, where `journal.preview_characters` kept it.
    """

    replayed_by: int | None
    key: str
    scope: str
    differs: Difference | None
    preview: str | UnsetType = UNSET


class EffectPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a task's effects."""

    after: Annotated[After, last_id(ids.EFFECT)] | None = None


class Resolution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a settlement: whether it was performed, and then with which result (null without one)."""

    outcome: Literal["performed", "not_performed"]
    result: Any | UnsetType = UNSET


class EffectsDoor:
    """Reads and settles effects of the caller's tasks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def list(self, request: Request) -> Reply:
        """In the order in which they began."""
        page, task_id = request.query(EffectPage), named_task(request)
        after = after_id(page.after, ids.EFFECT, "an effect")
        if await self._services.lookup.of_tenant(task_id, request.tenant) is None:
            raise no_such_task(task_id)
        effects = await self._services.ledger.effects.list(task_id, limit=page.limit + 1, after=after)
        return list_reply([view_of(effect) for effect in effects], page.limit)

    async def resolve(self, request: Request) -> Reply:
        """Settle an outcome that nobody knows; the next attempt goes by it."""
        task_id, effect_id = named_task(request), request.params["effect"]
        if not ids.is_valid(ids.EFFECT, effect_id):
            raise NotFound(f"there is no effect {effect_id[:100]!r}")
        said = typed(await read_json(request, MAX_BODY_BYTES), Resolution)
        if said.outcome == "not_performed" and said.result is not UNSET:
            fault = FieldError(path="result", message="goes with `performed` only")
            raise InvalidInput(f"result {fault.message}", [fault])
        result = None
        if said.outcome == "performed":
            result = pack(msgspec.json.encode(None if said.result is UNSET else said.result))
        await self._services.ledger.effects.settle(request.tenant, task_id, effect_id, result)
        return json_reply({"id": effect_id, "outcome": said.outcome})


def view_of(effect: Effect) -> EffectView:
    """What is shown of an effect."""
    return EffectView.of(
        effect,
        replayed_by=effect.replayed_by,
        key=effect.key.hex(),
        scope=effect.scope,
        differs=effect.differs,
        preview=UNSET if effect.preview is None else effect.preview,
    )
