"""The path of a setting: names joined by dots, from the outside in.

    queues.default.paused        tenants.*.weight        tenants."acme.com".weight

A name with a dot, a space or a double quote in it is written as a JSON string, in double quotes; any other stands as it
is (`*` is the tenants' section for all). One path has one canonical text, so two ways to write it mean one setting. The
empty path is the whole document.
"""

import re
from typing import TypeAlias

import msgspec

from dayshift.domain.errors import InvalidInput

Path: TypeAlias = tuple[str, ...]

LONGEST_PATH = 500
LONGEST_NAME = 200

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_BARE = re.compile(r'[^."\s]+')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse(text: str) -> Path:
    """The names in a path. Raises `InvalidInput` that says how to write it."""
    if len(text) > LONGEST_PATH:
        raise _bad(text[:40] + "…", f"is longer than {LONGEST_PATH} characters")
    names: list[str] = []
    position = 0
    while position < len(text):
        found = _QUOTED.match(text, position) or _BARE.match(text, position)
        if found is None:
            raise _bad(text, "has an empty name, or a name that needs double quotes")
        names.append(_name(text, found.group()))
        position = found.end()
        if position < len(text):
            if text[position] != "." or position == len(text) - 1:
                raise _bad(text, "needs a dot between two names, and none at its end")
            position += 1
    return tuple(names)


def canonical(path: Path) -> str:
    """The one text of a path."""
    return ".".join(name if _BARE.fullmatch(name) else msgspec.json.encode(name).decode() for name in path)


def _name(text: str, piece: str) -> str:
    try:
        name = str(msgspec.json.decode(piece)) if piece.startswith('"') else piece
        name.encode()
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise _bad(text, "has a quoted name that is no JSON string") from None
    if not name or len(name) > LONGEST_NAME or _CONTROL.search(name):
        raise _bad(text, f"has a name that is empty, longer than {LONGEST_NAME}, or with control characters")
    return name


def _bad(text: str, what: str) -> InvalidInput:
    shown = text.encode("utf-8", "backslashreplace").decode()
    return InvalidInput(
        f"The path {shown!r} {what}. Write names joined by dots; quote a name that holds a dot, as in "
        'tenants."acme.com".weight.',
        code="invalid_path",
    )
