"""Requests made by hand, for the parts of the door that need no server."""

from collections.abc import Iterable

from dayshift.gateway.request import Request


def request(
    *,
    method: str = "POST",
    path: str = "/v1/tasks",
    headers: dict[str, str] | Iterable[tuple[str, str]] = (),
    query: str = "",
    body: bytes | list[bytes] = b"",
    client: str = "127.0.0.1",
) -> Request:
    pairs = headers.items() if isinstance(headers, dict) else headers
    parts = [body] if isinstance(body, bytes) else list(body)
    messages = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "scheme": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 8700),
    }
    return Request(scope, receive)
