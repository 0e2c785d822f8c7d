"""The Lua commands of the plane: one a file, put together with what they include, known by the SHA-1 of the whole."""

import re
from hashlib import sha1
from importlib.resources import files
from typing import Final

from msgspec import Struct

from dayshift.hotplane import keys

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


class Script(Struct, frozen=True):
    """One command. A server that does not know the digest is sent the text."""

    name: str
    text: bytes
    sha: bytes


def _assembled(name: str) -> str:
    source = (files(__package__) / f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda found: _assembled(found.group(1)), source)


def _script(name: str) -> Script:
    text = (keys.lua_table() + _assembled(name)).encode()
    return Script(name, text, sha1(text, usedforsecurity=False).hexdigest().encode())


SCRIPTS: Final[dict[str, Script]] = {
    name: _script(name)
    for name in sorted(entry.name.removesuffix(".lua") for entry in files(__package__).iterdir())
    if not name.startswith("_") and (files(__package__) / f"{name}.lua").is_file()
}
