"""The witness: counts what agents do to the world, in a process of its own that no fault ever touches (world.py).

One line of JSON in, one line out. Each mark gets the next number of one order, is written down, and only then answered, so
what an agent was told is known here. All marks of a run stand in one file, which is read when it is over.

    begin    this attempt's code was entered    answers how often the errand has failed, and whether it was mended
    effect   one step's act on the world
    act      a durable errand's act on the world        answers its place in the order of all marks
    look     whether there was such an act              answers the place of the first, or null
    asked    the provider was asked; only it tells this
    fail     this attempt is about to fail
    end      this attempt is about to return
    mend     a person mended what broke the errand

An attempt that has lost its task must not act, and its agent can know: `ctx.emit` refuses to speak for it. So each mark
emits first, and is sent in the same breath.
"""

import asyncio
import json
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TextIO

from msgspec import Struct

from dayshift import Context

PORT_VARIABLE = "VERIFIER_WITNESS_PORT"


class Mark(Struct, frozen=True, kw_only=True):
    """What the witness wrote down. `order` is its place among all marks, `at` the wall clock in seconds."""

    order: int
    at: float
    kind: str
    label: str
    task_id: str = ""
    attempt: int = 0
    pid: int = 0
    step: int = 0
    what: str = ""  # the move of a score
    given: str = ""  # the chain that the move was told


class Witness:
    """The one who writes it down."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._order = 0
        self._failed: Counter[str] = Counter()
        self._mended: set[str] = set()
        self._acted: dict[tuple[str, str], int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.note(json.loads(line))).encode() + b"\n")
                await writer.drain()
        except OSError:
            return  # its process was killed
        finally:
            writer.close()

    def note(self, mark: dict[str, Any]) -> dict[str, Any]:
        """Write it down; what the one who made it is to know."""
        self._order += 1
        self._file.write(json.dumps({"order": self._order, "at": time.time(), **mark}) + "\n")
        self._file.flush()
        label = mark["label"]
        done = (label, mark.get("what", ""))
        answer = {"order": self._order, "failed": self._failed[label], "mended": label in self._mended}
        if mark["kind"] == "look":
            answer["acted"] = self._acted.get(done)
        elif mark["kind"] == "act":
            self._acted.setdefault(done, self._order)
        elif mark["kind"] == "fail":
            self._failed[label] += 1
        elif mark["kind"] == "mend":
            self._mended.add(label)
        return answer


class Line:
    """An attempt's line to the witness."""

    def __init__(self, ctx: Context, label: str) -> None:
        self._ctx = ctx
        self._facts = {"label": label, "task_id": ctx.task_id, "attempt": ctx.attempt, "pid": os.getpid()}

    def _checked(self, kind: str, facts: dict[str, Any]) -> bytes:
        """Refused by `ctx.emit` when this attempt may not act any more. The event is new in each attempt, so it is sent."""
        _ = self._ctx.emit(kind, of=self._ctx.attempt, **facts)
        return json.dumps({"kind": kind, **facts, **self._facts}).encode() + b"\n"


class AsyncLine(Line):
    def __init__(self, ctx: Context, label: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(ctx, label)
        self._reader = reader
        self._writer = writer

    async def mark(self, kind: str, **facts: Any) -> dict[str, Any]:
        self._writer.write(self._checked(kind, facts))
        answer: dict[str, Any] = json.loads(await self._reader.readline())
        return answer


class PlainLine(Line):
    def __init__(self, ctx: Context, label: str, connection: socket.socket) -> None:
        super().__init__(ctx, label)
        self._connection = connection
        self._answers = connection.makefile("r")

    def mark(self, kind: str, **facts: Any) -> dict[str, Any]:
        self._connection.sendall(self._checked(kind, facts))
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer


@asynccontextmanager
async def line(ctx: Context, label: str) -> AsyncIterator[AsyncLine]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ[PORT_VARIABLE]))
    try:
        yield AsyncLine(ctx, label, reader, writer)
    finally:
        writer.close()


@contextmanager
def plain_line(ctx: Context, label: str) -> Iterator[PlainLine]:
    with socket.create_connection(("127.0.0.1", int(os.environ[PORT_VARIABLE]))) as connection:
        yield PlainLine(ctx, label, connection)


async def mend(port: int, label: str) -> None:
    """Say that the errand may succeed from now on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(json.dumps({"kind": "mend", "label": label}).encode() + b"\n")
    await reader.readline()
    writer.close()
