"""What every answer carries beside its own: the request's id, and what browsers and caches between are told.

The id is the client's `X-Request-Id` if it reads like one, and else new; the gateway's log names it with each fault. Unless a route
says otherwise an answer belongs to one caller, so no cache keeps it; no browser takes it for another type than it says, nor
lets a page of another origin embed it.
"""

import re

from starlette.types import Message, Send

from dayshift.domain import ids
from dayshift.gateway.replies import header
from dayshift.gateway.request import Request

_AN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_EVERYWHERE = [
    header("x-content-type-options", "nosniff"),
    header("cross-origin-resource-policy", "same-origin"),
    header("referrer-policy", "no-referrer"),
]
_NO_STORE = header("cache-control", "no-store")
_ONLY_TLS = header("strict-transport-security", "max-age=31536000")


def request_id(request: Request) -> str:
    """What to call a request."""
    sent = request.header(b"x-request-id")
    return sent if sent is not None and _AN_ID.fullmatch(sent) else ids.new(ids.REQUEST)


def enveloped(send: Send, request_id: str, *, over_tls: bool) -> Send:
    """`send`, for answers that get these headers as well."""

    async def send_with_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], *_EVERYWHERE, (b"x-request-id", request_id.encode("ascii"))]
            if not any(name == b"cache-control" for name, _ in headers):
                headers.append(_NO_STORE)
            if over_tls:
                headers.append(_ONLY_TLS)
            message = {**message, "headers": headers}
        await send(message)

    return send_with_more
