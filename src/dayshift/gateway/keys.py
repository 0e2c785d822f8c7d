"""API keys over HTTP (scope `admin`): make, list, revoke. A new key is shown once, in the answer that made it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from dayshift.domain import api_keys, ids
from dayshift.domain.clock import now
from dayshift.domain.errors import FieldError, InvalidInput, NotFound
from dayshift.gateway.bodies import read_json
from dayshift.gateway.pages import After, Page, after_id, last_id, list_reply
from dayshift.gateway.paths import typed
from dayshift.gateway.replies import NO_CONTENT, Reply, json_reply
from dayshift.gateway.request import Request
from dayshift.ledger import Ledger
from dayshift.ledger.shapes import NewKey

MAX_BODY_BYTES = 16_384

Scope = Literal["read", "submit", "admin"]


class KeyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/keys`."""

    tenant: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f*]+$")]
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)] = msgspec.field(
        default_factory=lambda: ["submit", "read"]
    )
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the list of keys."""

    after: Annotated[After, last_id(ids.KEY)] | None = None


class ShownKey(Struct, frozen=True, kw_only=True):
    """A key that was just made: `key` is the secret, shown this once."""

    id: str
    key: str
    tenant: str
    scopes: list[str]
    expires_at: datetime | None


class Keys:
    """`tell` is called after a change, so that every process looks at once."""

    def __init__(self, ledger: Ledger, tell: Callable[[], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._tell = tell

    async def create(self, request: Request) -> Reply:
        wanted = typed(await read_json(request, MAX_BODY_BYTES), KeyRequest)
        if wanted.expires_at is not None and wanted.expires_at <= now():
            fault = FieldError(path="expires_at", message="lies in the past; name a later time")
            raise InvalidInput(f"expires_at {fault.message}", [fault])
        made = api_keys.make_key()
        scopes = sorted(set(wanted.scopes), key=api_keys.SCOPES.index)
        await self._ledger.keys.create(
            NewKey(
                id=made.id,
                hash=made.hash,
                prefix=made.prefix,
                tenant=wanted.tenant,
                scopes=list(scopes),
                expires_at=wanted.expires_at,
            )
        )
        await self._tell()
        shown = ShownKey(
            id=made.id, key=made.secret, tenant=wanted.tenant, scopes=list(scopes), expires_at=wanted.expires_at
        )
        return json_reply(shown, 201)

    async def list(self, request: Request) -> Reply:
        page = request.query(KeyPage)
        after = after_id(page.after, ids.KEY, "a key")
        return list_reply(await self._ledger.keys.list(limit=page.limit + 1, after=after), page.limit)

    async def revoke(self, request: Request) -> Reply:
        key_id = request.params["id"]
        if not ids.is_valid(ids.KEY, key_id):
            raise NotFound(f"there is no key {key_id[:100]!r}")
        await self._ledger.keys.revoke(key_id)
        await self._tell()
        return NO_CONTENT
