"""An answer as it is kept: status, the headers that matter, the body as it reads once its encoding is undone.

Left out are headers of this one transport (how the body was packed, the connection, cookies) and rate limits, which are
of that moment: a replay that told them would lie.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

_OF_THE_TRANSPORT = frozenset(
    {
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "keep-alive",
        "retry-after",
        "set-cookie",
        "strict-transport-security",
        "transfer-encoding",
        "via",
    }
)
_LIMITS = ("x-ratelimit-", "anthropic-ratelimit-", "cf-")


class Answer(Struct, frozen=True, kw_only=True):
    """`status` 0: there was none, and `error` (the class of the library's error, and its words) says why.

    `is_stream`: the body is a stream of events. `is_cut`: its reader left before the end. `is_undone`: the provider
    refused, and the call is to be made again.
    """

    status: int
    headers: list[tuple[str, str]] = []
    body: bytes = b""
    is_stream: bool = False
    is_cut: bool = False
    is_undone: bool = False
    error: tuple[str, str] | None = None

    @property
    def is_failure(self) -> bool:
        return not 200 <= self.status < 300


def kept_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that a replay may show."""
    return [
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in _OF_THE_TRANSPORT and not name.lower().startswith(_LIMITS)
    ]


def encode(answer: Answer) -> bytes:
    """For the journal."""
    return msgspec.msgpack.encode(answer)


def decode(kept: bytes) -> Answer:
    """From the journal. JSON is an answer's body that a person has settled an unknown outcome with."""
    if kept[:1] == b"{":
        return Answer(status=200, headers=[("content-type", "application/json")], body=kept)
    return msgspec.msgpack.decode(kept, type=Answer)
