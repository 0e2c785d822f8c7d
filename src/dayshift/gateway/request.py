"""One HTTP request as a handler sees it: thin, read lazily, and nothing copied that nobody asks for."""

from typing import Protocol, TypeVar, cast

import msgspec
from starlette.datastructures import QueryParams
from starlette.types import Message, Receive, Scope

from dayshift.domain.api_keys import SCOPES
from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.gateway.paths import dotted

Query = TypeVar("Query")


class Caller(msgspec.Struct, frozen=True):
    """Who a request belongs to. `key_id` is None where no key was asked for."""

    tenant: str
    scopes: frozenset[str]
    key_id: str | None = None

    def may(self, scope: str) -> bool:
        """Whether one of the caller's scopes reaches `scope`: each scope includes those before it in `SCOPES`."""
        rank = SCOPES.index(scope)
        return any(held in self.scopes for held in SCOPES[rank:])

    @property
    def label(self) -> str:
        """How histories name who did it."""
        return self.key_id or f"loopback:{self.tenant}"


ANYBODY = Caller(tenant="", scopes=frozenset())


class Place(Protocol):
    """What a request takes of the gateway while it is held open."""

    def end(self) -> None: ...


class Work(Place, Protocol):
    """What a request takes of the gateway while it is at work."""

    def begin(self) -> None: ...


class Places(Protocol):
    """Where a tenant's place for a request that is held open comes from."""

    def hold(self, tenant: str) -> Place: ...


class Request:
    """A request on its way through the door. What is not of the client is filled in before a handler sees it."""

    __slots__ = ("_held", "caller", "connections", "id", "params", "receive", "scope", "work")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive: Receive = receive
        self.id = ""
        self.caller = ANYBODY
        self.params: dict[str, str] = {}
        self.work: Work | None = None
        self.connections: Places | None = None
        self._held: Place | None = None

    @property
    def method(self) -> str:
        return cast("str", self.scope["method"])

    @property
    def path(self) -> str:
        return cast("str", self.scope["path"])

    @property
    def tenant(self) -> str:
        return self.caller.tenant

    def header(self, name: bytes) -> str | None:
        """The first header of that (lowercase) name."""
        for key, value in self.scope["headers"]:
            if key == name:
                return cast("str", value.decode("latin-1"))
        return None

    def headers(self, name: bytes) -> list[str]:
        """Every header of that (lowercase) name, in order."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def query(self, shape: type[Query]) -> Query:
        """The query as a struct; raises `InvalidInput` on what the struct does not know or does not allow."""
        raw: bytes = self.scope["query_string"]
        if not raw:
            return shape()
        values: dict[str, str] = {}
        for name, value in QueryParams(raw).multi_items():
            if name in values:
                raise _wrong_query(name, "given twice; give it once")
            if "\x00" in value:
                raise _wrong_query(name, "holds a NUL character; leave it out")
            values[name] = value
        try:
            wanted = msgspec.convert(values, shape, strict=False)
        except msgspec.ValidationError as error:
            fault = dotted(error, shape)
            raise _wrong_query(fault.path, fault.message) from None
        for name in values:
            if getattr(wanted, name) is None:  # how a text that says null is read, where null is what absence means
                raise _wrong_query(name, "is null, which is no value; give one or leave it out")
        return wanted

    def base_url(self) -> str:
        """Scheme and authority as the client named them, for absolute links."""
        host = self.header(b"host")
        if host is None:
            server: tuple[str, int | None] | None = self.scope.get("server")
            host = f"{server[0]}:{server[1]}" if server else "localhost"
        return f"{self.scope['scheme']}://{host}"

    def rest(self) -> None:
        """From now on this request only waits: it holds memory, but no place of those at work. Safe to repeat."""
        if self.work is not None:
            self.work.end()

    def go_on(self) -> None:
        """It waits no more: it is at work again. Raises `HttpError` (503) when there is no place. Safe to repeat."""
        if self.work is not None:
            self.work.begin()

    def stay(self) -> None:
        """This request will hold its connection open until something happens: say so before anything is done for it.

        Raises `Refused` (code `connections_full`). Safe to repeat.
        """
        if self._held is None and self.connections is not None:
            self._held = self.connections.hold(self.tenant)

    def leave(self) -> None:
        """Its connection is free for others. Safe to repeat."""
        if self._held is not None:
            self._held.end()

    async def gone(self) -> None:
        """Return when the client has closed its end. The body must have been read or be of no interest."""
        while True:
            message: Message = await self.receive()
            if message["type"] == "http.disconnect":
                return


def _wrong_query(name: str, message: str) -> InvalidInput:
    error = FieldError(path=name, message=message)
    return InvalidInput(f"the query of the URL is not valid: {name}: {message}", [error], code="invalid_query")
