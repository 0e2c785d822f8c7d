"""Secrets never reach a log line: one processor goes over every value of every line, an author's own lines included.

Two rules: a field whose *name* says that it holds a secret loses its value; and inside any text, whatever *looks* like a
secret is replaced, keeping enough (`dsk_…`, the user and host of a URL) to recognise which one it was.
"""

import re
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any

HIDDEN = "[redacted]"
DEEPEST = 6

SECRET_NAMES = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "auth",
        "authorization",
        "client_secret",
        "cookie",
        "credentials",
        "password",
        "passwd",
        "private_key",
        "proxy_authorization",
        "refresh_token",
        "secret",
        "set_cookie",
        "token",
        "webhook_secret",
        "x_api_key",
    }
)

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # our own keys, webhook secrets, providers' keys (sk-..., sk-ant-..., sk-proj-...)
    (re.compile(r"\b(dsk_|whsec_|sk-)[A-Za-z0-9_+/=-]{6,}"), rf"\1{HIDDEN}"),
    # scheme://user:password@host and scheme://:password@host. Up to the last @ before a slash: a password may hold an @.
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@\"']*):[^\s/\"']+@"), rf"\1:{HIDDEN}@"),
    # ?password=... in a query, password=... in a connection string, "api_key": "..." in JSON or a repr
    (
        re.compile(
            r"(?i)\b((?:password|passwd|api[_-]?key|access_token|client_secret|sslpassword)[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;}]+"
        ),
        rf"\1{HIDDEN}",
    ),
    # Authorization: Bearer ..., 'authorization': 'Basic ...'
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization(?:[\"']?\s*[=:]|[\"']\s*,)\s*(?:b?[\"'])?(?:(?:bearer|basic|token)\s+)?)[^\s\"',;}]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{HIDDEN}"),
)
# One cheap look that finds nothing in almost every text, so that the patterns run over few.
_WORTH_A_LOOK = re.compile(r"(?i)dsk_|whsec_|sk-|://|passw|api[_-]?key|_token|secret|authorization|bearer")


def redact_text(text: str) -> str:
    """The same text without what looks like a secret."""
    if _WORTH_A_LOOK.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: the line without secrets."""
    return {name: _redacted(name, value, 0) for name, value in line.items()}


def _redacted(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, int | float) or value is None:
        return value
    if name.lower().replace("-", "_") in SECRET_NAMES:
        return HIDDEN
    if depth < DEEPEST and isinstance(value, Mapping):
        return {str(key): _redacted(str(key), item, depth + 1) for key, item in value.items()}
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item, depth + 1) for item in value]
    return value if isinstance(value, datetime) else redact_text(_as_text(value))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.decode(errors="replace") if isinstance(value, bytes) else repr(value)
