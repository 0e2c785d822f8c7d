"""What a handler answers. Headers are encoded once; the body is bytes by the time that it is sent."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from starlette.types import Send

Headers = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
CONNECTION_CLOSE = (b"connection", b"close")

_encode = msgspec.json.Encoder().encode


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header as ASGI wants it: lowercase name, latin-1 value."""
    return name.lower().encode("latin-1"), value.encode("latin-1", "replace")


class Answer(Protocol):
    """Something that can be sent: a whole reply, or a stream."""

    status: int

    async def send(self, send: Send, *, closing: bool, without_body: bool) -> None:
        """Send it. `closing`: tell the client to use another connection next. `without_body`: the method was HEAD."""


class Reply:
    """A whole answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def send(self, send: Send, *, closing: bool, without_body: bool) -> None:
        headers = list(self.headers)
        if self.status != 204:
            headers.append((b"content-length", b"%d" % len(self.body)))
        if closing:
            headers.append(CONNECTION_CLOSE)
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if without_body else self.body})


def json_reply(value: Any, status: int = 200, headers: Headers = ()) -> Reply:
    """An answer of JSON."""
    return Reply(status, _encode(value), [JSON, *headers])


NO_CONTENT = Reply(204)
