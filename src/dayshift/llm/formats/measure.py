"""How many tokens a stream's text may be, where nobody says: of OpenAI's chat only the last chunk tells, and only those who asked for it."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from dayshift.llm.formats.sse import Event

BYTES_A_TOKEN = 4
_NO_TEXT = frozenset({"id", "index", "role", "type"})


def tokens_of(bodies: Iterable[Mapping[str, Any]]) -> int:
    """Of what the events of a stream add to its text, arguments of tools and thoughts included."""
    return math.ceil(sum(_added(body) for body in bodies) / BYTES_A_TOKEN)


def may_add(event: Event) -> bool:
    """Whether it is worth while to read it."""
    return b'"delta"' in event.data


def _added(body: Mapping[str, Any]) -> int:
    choices = body.get("choices")
    places = choices if isinstance(choices, list) else [body]
    return sum(_length(place.get("delta")) for place in places if isinstance(place, dict))


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    if isinstance(value, dict):
        return sum(_length(inner) for name, inner in value.items() if name not in _NO_TEXT)
    return sum(_length(inner) for inner in value) if isinstance(value, list) else 0
