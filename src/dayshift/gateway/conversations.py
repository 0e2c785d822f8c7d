"""Conversations over HTTP: which there are, what was said in one, and making and erasing them.

A conversation comes into being with its first task. Making one by hand brings a history along that began elsewhere.
"""

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw, Struct

from dayshift.domain import ids
from dayshift.domain.errors import FieldError, NotFound
from dayshift.domain.settings import Settings
from dayshift.gateway.bodies import read_json
from dayshift.gateway.pages import After, Page, last_id, list_reply, wrong_after
from dayshift.gateway.paths import invalid, typed
from dayshift.gateway.replies import NO_CONTENT, Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.journal import pack, unpack
from dayshift.ledger import ConversationRow, MessageRow
from dayshift.tasks.inputs import LONGEST_NAME, name_fault
from dayshift.tasks.services import Services

MOST_MESSAGES = 1_000


class ConversationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/conversations`: its name, and the messages that it begins with, the oldest first."""

    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)] | None = None
    messages: Annotated[list[Raw], Meta(max_length=MOST_MESSAGES)] = []


class HistoryQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a history: the latest messages first, or from its beginning on."""

    after: Annotated[After, last_id(ids.MESSAGE)] | None = None
    order: Literal["asc", "desc"] = "desc"


class ConversationView(Struct, frozen=True, kw_only=True):
    """`holder` is the task that began in it and has not ended; `unfinished` counts it and those that wait for their turn."""

    id: str
    created_at: datetime
    last_used_at: datetime
    unfinished: int
    holder: str | None


class MessageView(Struct, frozen=True, kw_only=True):
    """`task` is the one that appended it; null where the conversation was made with it."""

    id: str
    task: str | None
    created_at: datetime
    message: Raw


class HistoryView(ConversationView, frozen=True, kw_only=True):
    """A conversation, and a page of its history."""

    object: Literal["list"] = "list"
    data: list[MessageView]
    has_more: bool


class ConversationsDoor:
    """The caller's conversations."""

    def __init__(self, services: Services) -> None:
        self._ledger = services.ledger
        self._settings = services.settings

    async def create(self, request: Request) -> Reply:
        """Make a conversation, with the history that it has already."""
        settings: Settings = self._settings()
        wanted = typed(await read_json(request, settings.gateway.max_body_bytes), ConversationRequest)
        name = ids.new(ids.CONVERSATION) if wanted.id is None else wanted.id
        if (fault := name_fault(name)) is not None:
            raise invalid(FieldError("id", fault))
        row = await self._ledger.conversations.create(
            request.tenant, name, [pack(bytes(message)) for message in wanted.messages]
        )
        return json_reply(_view(row), 201, [header("location", f"/v1/conversations/{quote(name)}")])

    async def list(self, request: Request) -> Reply:
        """Newest first."""
        page = request.query(Page)
        if page.after is not None and await self._ledger.conversations.get(request.tenant, page.after) is None:
            raise wrong_after("a conversation")
        rows = await self._ledger.conversations.list(request.tenant, limit=page.limit + 1, after=page.after)
        return list_reply([_view(row) for row in rows], page.limit)

    async def get(self, request: Request) -> Reply:
        """One conversation, with a page of its history."""
        wanted, name = request.query(HistoryQuery), request.params["id"]
        conversations = self._ledger.conversations
        row = await conversations.get(request.tenant, name)
        if row is None:
            raise NotFound(f"there is no conversation {name[:100]!r}")
        most = wanted.limit + 1
        if wanted.order == "asc":
            messages = await conversations.first(request.tenant, name, limit=most, after=wanted.after)
        else:
            messages = await conversations.latest(request.tenant, name, limit=most, before=wanted.after)
        return json_reply(
            HistoryView(
                **msgspec.structs.asdict(_view(row)),
                data=[_message_view(message) for message in messages[: wanted.limit]],
                has_more=len(messages) == most,
            )
        )

    async def erase(self, request: Request) -> Reply:
        """Erase a conversation and its history; its tasks stay."""
        await self._ledger.conversations.erase(request.tenant, request.params["id"])
        return NO_CONTENT


def _view(row: ConversationRow) -> ConversationView:
    return ConversationView(
        id=row.name,
        created_at=row.created_at,
        last_used_at=row.touched_at,
        unfinished=row.unfinished,
        holder=row.holder,
    )


def _message_view(row: MessageRow) -> MessageView:
    return MessageView(id=row.id, task=row.task_id, created_at=row.created_at, message=Raw(unpack(row.body)))
