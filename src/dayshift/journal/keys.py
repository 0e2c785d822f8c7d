"""What makes two effects the same: their scope in the agent, their kind, their name, and their content.

A key is a hash of these four, so it is found again by an attempt that does the same thing at another time, on another
machine, after other things. Nothing else counts: no call counter, no position in the code. That is why agents need no
rules of determinism: whatever is done as before is found, and whatever is not is done.

Beside the key an effect keeps short digests of the parts of its content, which say later *what* was different in a call
that was not found. They are no secret and reveal none: four bytes each.
"""

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from dayshift.domain.digest import part_digest
from dayshift.domain.effect import KEY_BYTES, EffectKind

EMIT_BYTES = 8

_canonical = msgspec.json.Encoder(order="sorted")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an agent is about to do. `digests` are of the parts of its content, by their names. `asked` tells
    what a preview is made of, where one may be kept.
    """

    kind: EffectKind
    name: str
    key: bytes
    scope: str = ""
    digests: Mapping[str, str] = {}
    asked: Callable[[], Any] | None = None


def call_of(
    kind: EffectKind,
    name: str,
    content: bytes,
    *,
    scope: str = "",
    parts: Mapping[str, bytes] | None = None,
    asked: Callable[[], Any] | None = None,
) -> Call:
    """Describe a call by its content as canonical bytes, and by the parts to compare when it is not found."""
    digests = {part: part_digest(value) for part, value in (parts or {}).items()}
    return Call(kind=kind, name=name, key=key_of(scope, kind, name, content), scope=scope, digests=digests, asked=asked)


def call_of_digest(
    kind: EffectKind,
    name: str,
    digest: bytes,
    *,
    scope: str = "",
    digests: Mapping[str, str],
    asked: Callable[[], Any] | None = None,
) -> Call:
    """The same of a content that was digested already, where it was read."""
    return Call(kind=kind, name=name, key=key_of(scope, kind, name, digest), scope=scope, digests=digests, asked=asked)


def key_of(scope: str, kind: EffectKind, name: str, content: bytes) -> bytes:
    """16 bytes. Each field is preceded by its length, so that no two quadruples read the same."""
    hashed = blake2b(digest_size=KEY_BYTES)
    for field in (scope.encode(), kind.encode(), name.encode(), content):
        hashed.update(len(field).to_bytes(8))
        hashed.update(field)
    return hashed.digest()


def scope_within(scope: str, key: bytes) -> str:
    """The scope of what is done inside of a step or a tool, which itself has this scope and this key."""
    return f"{scope}/{key.hex()}"


def scopes_around(scope: str) -> Iterator[str]:
    """A scope and all that it lies in, the outermost first; nothing for what the agent does directly."""
    at = scope.find("/", 1)
    while at > 0:
        yield scope[:at]
        at = scope.find("/", at + 1)
    if scope:
        yield scope


def name_of_emit(event: bytes) -> bytes:
    """Eight bytes that stand for an event, so that a thousand of them weigh little beside the effect that they came before."""
    return blake2b(event, digest_size=EMIT_BYTES).digest()


def names_in(emits: bytes | None) -> list[bytes]:
    """The names of events that an effect carries."""
    return [emits[at : at + EMIT_BYTES] for at in range(0, len(emits), EMIT_BYTES)] if emits else []


def canonical_json(value: Any) -> bytes:
    """JSON of builtins with sorted names: equal values give equal bytes."""
    return _canonical.encode(value)


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of the parts that differ or are missing on one side, in the order of the content."""
    both = [*now, *(part for part in before if part not in now)]
    return [part for part in both if before.get(part) != now.get(part)]
