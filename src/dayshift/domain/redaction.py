"""Taking secrets out of what is written down: log lines, and previews in the journal.

Two rules: a field whose *name* says that it holds a secret loses its value; and inside any text, whatever *looks* like a
secret is replaced, keeping enough (`dsk_…`, the user and host of a URL) to recognise which one it was.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

HIDDEN = "[redacted]"
DEEPEST = 6

_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|pwd|authorization|credential|(?:api|access|private|signing)_?key|token$"
    r"|(?:^|_)(?:auth$|(?:secret|cookie)s?(?:_|$))"
)
_NEW_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # our own keys, webhook secrets, providers' keys (sk-..., sk-ant-..., sk-proj-...)
    (re.compile(r"(?<![A-Za-z0-9])(dsk_|whsec_|sk-)[A-Za-z0-9_+/=-]{6,}"), rf"\1{HIDDEN}"),
    # JSON web tokens, and private keys in their armour, whole or cut short
    (re.compile(r"(?<![A-Za-z0-9])(eyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY)\b.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"),
        rf"\1 {HIDDEN}",
    ),
    # scheme://user:password@host and scheme://:password@host. Up to the last @ before a slash: a password may hold an @.
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s:/@\"']*):[^\s/\"']+@"), rf"\1:{HIDDEN}@"),
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
_WORTH_A_LOOK = re.compile(
    r"(?i)dsk_|whsec_|sk-|://|passw|api[_-]?key|_token|secret|authorization|bearer|eyJ|private key"
)


def redact_text(text: str) -> str:
    """The same text without what looks like a secret."""
    if _WORTH_A_LOOK.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redacted(
    value: Any,
    *,
    name: str = "",
    deepest: int = DEEPEST,
    text: Callable[[str], str] = redact_text,
    beyond: Callable[[Any], str] = repr,
) -> Any:
    """The value of that name without secrets, as plain data. `text` cleans its texts; what lies deeper than `deepest` is `beyond`."""

    def clean(name: str, value: Any, depth: int) -> Any:
        if value is not None and is_secret_name(name):
            return HIDDEN
        if value is None or isinstance(value, int | float | datetime):
            return value
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            if depth >= deepest:
                return text(beyond(value))
            if isinstance(value, Mapping):
                return {text(str(key)): clean(str(key), item, depth + 1) for key, item in value.items()}
            return [clean("", item, depth + 1) for item in value]
        return text(_as_text(value))

    return clean(name, value, 0)


@lru_cache(maxsize=2_000)
def is_secret_name(name: str) -> bool:
    """Whether a field of that name is likely to hold a secret: `password`, `X-Api-Key`, `accessToken`."""
    return bool(name) and _SECRET_NAME.search(_NEW_WORD.sub("_", name).lower()) is not None


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return value.decode(errors="replace") if isinstance(value, bytes) else repr(value)
