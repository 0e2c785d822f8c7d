"""What passes through a proxy, in names: the requests that a client sends, as they go by.

    valkey      a script by its name ("claim", "ack", "beat"), any other command in lower case ("ping")
    postgres    a statement of the ledger by its name ("start_tasks", "finish_tasks"), other SQL by its first word ("COMMIT")
    http        method and path without the query ("POST /v1/tasks")

A dialect listens to one connection from its first byte, as a statement is named once and then only referred to.
"""

import re
import struct
from collections.abc import Callable, Iterator
from hashlib import sha1
from typing import Protocol

from dayshift.hotplane.scripts import SCRIPTS
from dayshift.ledger.statements import SQL

_SCRIPT_BY_SHA = {script.sha: name for name, script in SCRIPTS.items()}
_STATEMENT_BY_TEXT = {text: name for name, text in SQL.items()}


class Dialect(Protocol):
    def heard(self, data: bytes) -> list[str]:
        """The names of the requests that these bytes complete."""
        ...


MakeDialect = Callable[[], Dialect]


class Valkey:
    """The RESP protocol from the client's side: arrays of bulk strings."""

    def __init__(self) -> None:
        self._bytes = b""

    def heard(self, data: bytes) -> list[str]:
        self._bytes += data
        names = []
        while (parts := self._next_command()) is not None:
            names.append(self._name_of(parts))
        return names

    def _name_of(self, parts: list[bytes]) -> str:
        command = parts[0].lower().decode()
        if command == "evalsha":
            return _SCRIPT_BY_SHA.get(parts[1].lower(), command)
        if command == "eval":
            return _SCRIPT_BY_SHA.get(sha1(parts[1], usedforsecurity=False).hexdigest().encode(), command)
        return command

    def _next_command(self) -> list[bytes] | None:
        """Take one whole command off the front; None while it is not complete."""
        at, count = self._number(0, b"*")
        parts: list[bytes] = []
        while count is not None and len(parts) < count:
            at, size = self._number(at, b"$")
            if size is None or len(self._bytes) < at + size + 2:
                return None
            parts.append(self._bytes[at : at + size])
            at += size + 2
        if count is None:
            return None
        self._bytes = self._bytes[at:]
        return parts

    def _number(self, at: int, kind: bytes) -> tuple[int, int | None]:
        """The number of a header line at that place, and where the next byte is."""
        end = self._bytes.find(b"\r\n", at)
        if end < 0:
            return at, None
        line = self._bytes[at:end]
        if not line.startswith(kind):
            raise ValueError(f"not a RESP command: {line[:40]!r}")
        return end + 2, int(line[1:])


class Postgres:
    """The frontend's messages of protocol 3.0 (PostgreSQL manual, "Message Formats"), as far as statements go."""

    def __init__(self) -> None:
        self._bytes = b""
        self._has_started = False
        self._prepared: dict[bytes, str] = {}

    def heard(self, data: bytes) -> list[str]:
        self._bytes += data
        return [name for kind, body in self._messages() if (name := self._name_of(kind, body))]

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._has_started else 0  # a start-up message has no type
            if len(self._bytes) < head + 4:
                return
            (size,) = struct.unpack_from("!i", self._bytes, head)
            if len(self._bytes) < head + size:
                return
            kind, body = self._bytes[:head], self._bytes[head + 4 : head + size]
            self._bytes = self._bytes[head + size :]
            if not self._has_started:
                (code,) = struct.unpack_from("!i", body)
                self._has_started = code == 3 << 16  # else it asks for TLS first
            yield kind, body

    def _name_of(self, kind: bytes, body: bytes) -> str | None:
        if kind == b"P":
            name, text, *_ = body.split(b"\0", 2)
            self._prepared[name] = _named(text)
            return None
        if kind == b"B":
            _portal, name, *_ = body.split(b"\0", 2)
            return self._prepared.get(name)
        return _named(body.rstrip(b"\0")) if kind == b"Q" else None


def _named(text: bytes) -> str:
    sql = text.decode()
    return _STATEMENT_BY_TEXT.get(sql) or sql.strip().split(None, 1)[0].rstrip(";").upper()


class Http:
    """HTTP/1.1 request lines. A body that looks like one would be taken for one; ours are JSON."""

    _LINE = re.compile(rb"(?:^|\r\n|\})([A-Z]+) (/[^ ?]*)[^ ]* HTTP/1\.1\r\n")

    def __init__(self) -> None:
        self._rest = b""

    def heard(self, data: bytes) -> list[str]:
        self._rest += data
        names, end = [], 0
        for found in self._LINE.finditer(self._rest):
            names.append(f"{found[1].decode()} {found[2].decode()}")
            end = found.end()
        self._rest = self._rest[max(end, len(self._rest) - 4096) :]
        return names
