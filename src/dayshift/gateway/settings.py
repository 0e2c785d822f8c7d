"""Settings over HTTP (scope `admin`): read, write and unset a path, and see who changed what and why."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from dayshift.domain.settings import Settings
from dayshift.gateway.bodies import read_json
from dayshift.gateway.headers import if_match
from dayshift.gateway.pages import Limit, list_reply
from dayshift.gateway.paths import typed
from dayshift.gateway.replies import Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.settings import Change, SettingsStore

Why = Annotated[str, Meta(max_length=1_000)]


class SettingRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /v1/settings/PATH`: a JSON value, and for the history why it is set."""

    value: Raw
    why: Why | None = None


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of `DELETE /v1/settings/PATH`."""

    why: Why | None = None


class HistoryPage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the history."""

    limit: Limit = 20
    after: (
        Annotated[int, Meta(ge=0, lt=1 << 53, description="The last version that was seen; older ones follow.")] | None
    ) = None


class SettingsDoor:
    """`tell` is called after a change, so that every process looks at once."""

    def __init__(
        self, store: SettingsStore, settings: Callable[[], Settings], tell: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._settings = settings
        self._tell = tell

    async def get(self, request: Request) -> Reply:
        return _with_version(await self._store.get(request.params.get("path", "")))

    async def put(self, request: Request) -> Reply:
        wanted_version = if_match(request)
        body = await read_json(request, self._settings().gateway.max_body_bytes)
        wanted = typed(body, SettingRequest)
        value: Any = typed(bytes(wanted.value), object, "value")
        change = await self._store.put(
            request.params["path"], value, by=request.caller.label, why=wanted.why, if_version=wanted_version
        )
        await self._tell()
        return _with_version(change)

    async def unset(self, request: Request) -> Reply:
        why = request.query(Reason).why
        change = await self._store.unset(
            request.params["path"], by=request.caller.label, why=why, if_version=if_match(request)
        )
        await self._tell()
        return _with_version(change)

    async def history(self, request: Request) -> Reply:
        page = request.query(HistoryPage)
        return list_reply(await self._store.history(limit=page.limit + 1, after=page.after), page.limit)


def _with_version(change: Change) -> Reply:
    return json_reply(change, 200, [header("etag", f'"{change.version}"')])
