"""A batch's outline: where each of its items begins and ends, whatever is inside.

A parser that reads the whole batch fails as a whole on the one item that it cannot read: half a surrogate pair, or a
thousand brackets. So when it fails, the items are cut apart by their brackets and commas, and each is judged for itself.
"""

import re

import msgspec
from msgspec import Raw, Struct

from dayshift.gateway.bodies import STRING, not_json
from dayshift.gateway.paths import typed

_BEGINNING = re.compile(rb'\s*\{\s*"tasks"\s*:\s*\[')
_ENDING = re.compile(rb"\s*\}\s*")
_TOKEN = re.compile(STRING + rb"|[\[\]{},]", re.DOTALL)


class _RawBatch(Struct, forbid_unknown_fields=True):
    tasks: list[Raw]


def batch_outline(raw: bytes) -> list[bytes]:
    """The items of `{"tasks": [...]}`, unread. Raises `HttpError` (400) or `InvalidInput` when there is no such outline."""
    try:
        return [bytes(item) for item in typed(raw, _RawBatch).tasks]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        items = _cut_apart(raw)
        if items is None:
            reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
            raise not_json(f"the body is not a batch in JSON: {reason}") from None
        return items


def _cut_apart(raw: bytes) -> list[bytes] | None:
    beginning = _BEGINNING.match(raw)
    if beginning is None:
        return None
    items: list[bytes] = []
    begun, depth = beginning.end(), 0
    for token in _TOKEN.finditer(raw, begun):
        match token[0]:
            case b"[" | b"{":
                depth += 1
            case b"," if depth == 0:
                items.append(raw[begun : token.start()].strip())
                begun = token.end()
            case b"]" if depth == 0:
                last = raw[begun : token.start()].strip()
                return [*items, last] if _ENDING.fullmatch(raw, token.end()) else None
            case b"]" | b"}":
                depth = max(depth - 1, 0)
            case _:
                continue
    return None
