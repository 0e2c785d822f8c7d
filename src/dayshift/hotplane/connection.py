"""The wire: one connection on which everything that is asked during one turn of the event loop goes out together.

Callers append requests to a list; a pump takes the whole list, packs it and writes it; a reader hands replies out in
order. Nothing waits for an earlier reply before it is written, so ten coroutines that ask in one turn cost one round
trip, and the error of one request is nobody else's.

A watchdog bounds every wait. It looks at the oldest request only (replies come in order) and breaks the connection when
that is too old: what is outstanding then ends as `PlaneAway`, and may have been carried out or not. A look that itself
comes late is not held against the server: it was this loop that stood still.

While there is no connection, requests wait for the attempt that is under way, and fail at once during the pause between
attempts. The attempts go on until `close`.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError, PlaneAway
from dayshift.domain.events import DependencyBack, DependencyLost, Event
from dayshift.domain.jitter import full_jitter
from dayshift.hotplane import address
from dayshift.hotplane.border import FOREIGN_ERRORS, translated
from dayshift.hotplane.scripts import Script

Argument = str | int | bytes

# hiredis's type stub knows commands of one word only.
_pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)

_DEPENDENCY = "plane"
_LOOKS_A_TIMEOUT = 5
_PING_SECONDS = 5.0
STEADY_SECONDS = 1.0  # a connection that lived this long was a good one: the next attempt comes at once


def backoff_seconds(failures: int) -> float:
    """How long to pause before the next attempt to connect; none before the first."""
    return full_jitter(0.05, 0.5, failures) if failures else 0.0


class _Request:
    __slots__ = ("asked_at", "parts", "reply")

    def __init__(self, parts: tuple[Argument, ...], reply: asyncio.Future[Any], asked_at: float) -> None:
        self.parts = parts
        self.reply = reply
        self.asked_at = asked_at


class Wire:
    """A connection that keeps itself alive, and one method to ask it something."""

    def __init__(self, url: str, *, timeout_seconds: float = 1.0, emit: Callable[[Event], None] | None = None) -> None:
        self.address = address.parse(url)
        self.timeout_seconds = timeout_seconds
        self._emit = emit or (lambda _event: None)
        self._unsent: list[_Request] = []
        self._outstanding: deque[_Request] = deque()
        self._something_to_send = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._first_answer: asyncio.Future[None] | None = None
        self._trouble: DayshiftError | None = None
        self._away_since: float | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect; raises what the first attempt met, and then makes no other."""
        self._closed = False
        self._first_answer = asyncio.get_running_loop().create_future()
        self._keep_connected()
        try:
            await self._first_answer
        except DayshiftError:
            await self.close()
            raise

    def open_in_background(self) -> None:
        """Connect as soon as that can be done; until then whoever asks gets `PlaneAway`."""
        self._closed = False
        self._keep_connected()

    async def close(self) -> None:
        """End the connection; what is outstanding ends as `PlaneAway`. Closing twice is safe."""
        self._closed = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        self._fail_all(PlaneAway("the connection to Valkey was closed"))

    async def ask(self, *parts: Argument) -> Any:
        """Send one command; its reply, with bytes as they came."""
        try:
            return await self._asked(parts)
        except ResponseError as error:
            raise translated(error, self.address.name) from None

    async def run(self, script: Script, script_keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script by its digest; a server that does not know it yet is sent its text."""
        rest = (len(script_keys), *script_keys, *arguments)
        try:
            try:
                return await self._asked((b"EVALSHA", script.sha, *rest))
            except NoScriptError:
                return await self._asked((b"EVAL", script.text, *rest))
        except ResponseError as error:
            raise translated(error, self.address.name) from None

    def _asked(self, parts: tuple[Argument, ...]) -> asyncio.Future[Any]:
        if self._closed:
            raise PlaneAway("the connection to Valkey is closed")
        if self._trouble is not None:
            raise _away(self._trouble)
        request = _Request(parts, asyncio.get_running_loop().create_future(), monotonic_seconds())
        self._unsent.append(request)
        self._something_to_send.set()
        self._keep_connected()
        return request.reply

    def _keep_connected(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="hotplane-wire")

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                connection = await self.address.connect(self.timeout_seconds)
            except DayshiftError as error:
                failures += 1
                self._lost(error)
                self._trouble = error
                await asyncio.sleep(backoff_seconds(failures))
                continue
            self._found()
            since = monotonic_seconds()
            try:
                self._lost(await self._converse(connection))
            except Exception as error:  # noqa: BLE001 - the wire outlives every surprise; whoever asked is told
                self._lost(translated(error, self.address.name))
            finally:
                await connection.disconnect(nowait=True)
            failures = 0 if monotonic_seconds() - since > STEADY_SECONDS else failures + 1
            await asyncio.sleep(backoff_seconds(failures))

    async def _converse(self, connection: AbstractConnection) -> DayshiftError:
        """Send and receive until something breaks; answers what broke."""
        parts = [
            asyncio.create_task(part, name="hotplane-wire-part")
            for part in (self._pump(connection), self._read(connection), self._watch())
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _pump(self, connection: AbstractConnection) -> DayshiftError:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            batch, self._unsent = self._unsent, []
            self._outstanding.extend(batch)
            # hiredis packs ten times as fast as redis-py's own packer, which a connection would otherwise use.
            packed = b"".join([_pack(request.parts) for request in batch])
            try:
                await connection.send_packed_command(packed, check_health=False)
            except FOREIGN_ERRORS as error:
                return translated(error, self.address.name)

    async def _read(self, connection: AbstractConnection) -> DayshiftError:
        while True:
            try:
                reply = await _reply(connection, math.inf)
            except FOREIGN_ERRORS as error:
                if not isinstance(error, ResponseError):
                    return translated(error, self.address.name)
                self._answer(error)
                if isinstance(error, ReadOnlyError):  # a failover: look for the new primary
                    return translated(error, self.address.name)
            else:
                self._answer(reply)

    def _answer(self, reply: Any) -> None:
        future = self._outstanding.popleft().reply
        if future.done():  # its caller was cancelled
            return
        if isinstance(reply, ResponseError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    async def _watch(self) -> DayshiftError:
        pause = self.timeout_seconds / _LOOKS_A_TIMEOUT
        while True:
            before = monotonic_seconds()
            await asyncio.sleep(pause)
            now = monotonic_seconds()
            loop_stood_still = now - before > 2 * pause
            oldest = self._outstanding[0] if self._outstanding else None
            if oldest is not None and now - oldest.asked_at > self.timeout_seconds and not loop_stood_still:
                return translated(TimeoutError(), self.address.name)

    def _found(self) -> None:
        self._trouble = None
        if self._unsent:
            self._something_to_send.set()
        if self._first_answer is not None and not self._first_answer.done():
            self._first_answer.set_result(None)
        if self._away_since is not None:
            self._emit(DependencyBack(dependency=_DEPENDENCY, away_seconds=monotonic_seconds() - self._away_since))
            self._away_since = None

    def _lost(self, error: DayshiftError) -> None:
        if self._away_since is None:
            self._away_since = monotonic_seconds()
            self._emit(DependencyLost(dependency=_DEPENDENCY, error=error.message))
        if self._first_answer is not None and not self._first_answer.done():
            self._first_answer.set_exception(error)
        self._fail_all(error)

    def _fail_all(self, error: DayshiftError) -> None:
        """Also a refused password is `PlaneAway` to those who ask: only `open` can be told of a wrong configuration."""
        failed = [*self._outstanding, *self._unsent]
        self._outstanding.clear()
        self._unsent.clear()
        for request in failed:
            if not request.reply.done():
                request.reply.set_exception(_away(error))


class PushLine:
    """A connection for push messages; `connected` opens one and closes it again."""

    def __init__(self, connection: AbstractConnection, name: str, timeout_seconds: float) -> None:
        self._connection = connection
        self._name = name
        self._timeout_seconds = timeout_seconds

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, where: address.Address, timeout_seconds: float) -> AsyncIterator["PushLine"]:
        connection = await where.connect(timeout_seconds)
        try:
            yield cls(connection, where.name, timeout_seconds)
        finally:
            await connection.disconnect(nowait=True)

    async def send(self, command: str, *channels: str) -> None:
        try:
            await self._connection.send_command(command, *channels, check_health=False)
        except FOREIGN_ERRORS as error:
            raise translated(error, self._name) from None

    async def receive(self) -> list[bytes]:
        """The next message. A silent server is asked for a sign of life, so a dead link is noticed."""
        asked_for_life = False
        while True:
            message = await self._next(self._timeout_seconds if asked_for_life else _PING_SECONDS)
            if isinstance(message, list) and message[0] != b"pong":
                return message
            if message is None and asked_for_life:
                raise translated(TimeoutError(), self._name)
            asked_for_life = message is None
            if asked_for_life:
                await self.send("PING")

    async def _next(self, timeout_seconds: float) -> Any:
        try:
            return await _reply(self._connection, timeout_seconds)
        except FOREIGN_ERRORS as error:
            raise translated(error, self._name) from None


async def _reply(connection: AbstractConnection, timeout_seconds: float) -> Any:
    """The next reply as it came; None after the time-out (with which nothing is lost: the parser keeps its place)."""
    return await connection.read_response(disable_decoding=True, timeout=timeout_seconds, disconnect_on_error=False)


def _away(error: DayshiftError) -> PlaneAway:
    """An error of its own for each caller: one object must not collect the tracebacks of many."""
    return PlaneAway(error.message, retry_after_seconds=error.retry_after_seconds)
