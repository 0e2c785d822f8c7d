"""What a provider's headers say of its own buckets: OpenAI's `x-ratelimit-*` and Anthropic's `anthropic-ratelimit-*`."""

from collections.abc import Mapping

from msgspec import Struct

KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
_PREFIXES = ("x-ratelimit-{}-{}", "anthropic-ratelimit-{1}-{0}")
_NAMES = [
    [tuple(prefix.format(what, kind) for prefix in _PREFIXES) for kind in KINDS] for what in ("remaining", "limit")
]


class Heard(Struct, frozen=True):
    """What is left of each kind, and its limit; -1 where nothing was said."""

    remaining: tuple[int, ...]
    limits: tuple[int, ...]


def heard_in(headers: Mapping[str, str]) -> Heard | None:
    """None when they say nothing. Names are understood in any case."""
    headers = {name.lower(): value for name, value in headers.items()}
    remaining, limits = (tuple(_number(headers, names) for names in kinds) for kinds in _NAMES)
    return Heard(remaining, limits) if max(remaining) >= 0 else None


def _number(headers: Mapping[str, str], names: tuple[str, ...]) -> int:
    for name in names:
        text = headers.get(name)
        if text is not None and text.isdecimal() and len(text) <= 15:
            return int(text)
    return -1
