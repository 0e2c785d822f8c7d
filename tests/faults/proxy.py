"""A TCP proxy in front of one server, with every trouble that a network makes.

    partition()        nothing passes either way, and nobody is told; `heal` lets what was held pass, late
    refuse()           new connections are turned away, as by a host that is gone
    delay(seconds)     everything passes that much later
    cut()              every connection is reset now
    lose_reply(name)   the request of that name reaches the server, and its reply never comes back: the connection is
                       cut instead (or, with `cut=False`, stays open and silent)
    delay_reply(name)  the reply of that request is held

Names of requests are those of a dialect (see dialects.py). `heard` counts them all, `hits` those that met a rule.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator

from msgspec import Struct

from tests.faults.dialects import Dialect, MakeDialect

PIECE_BYTES = 65536
PIECES_ON_THE_WAY = 1000
QUIET_SECONDS = 0.05  # a server that says nothing more for this long has answered all it was asked
LONGEST_ANSWER_SECONDS = 5.0


class Rule(Struct, kw_only=True):
    """What happens to the reply of a request, for so many times."""

    name: str
    times: int
    cuts: bool = False
    silences: bool = False
    holds_seconds: float = 0.0


class Proxy:
    """Lives in the loop that starts it. `upstream` is the host and port of the server."""

    def __init__(self, upstream: tuple[str, int], dialect: MakeDialect | None = None) -> None:
        self._upstream = upstream
        self._dialect = dialect
        self._rules: list[Rule] = []
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._refuses = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.passes = asyncio.Event()
        self.passes.set()
        self.delay_seconds = 0.0
        self.heard: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, url: str) -> str:
        """The same URL by way of this proxy."""
        host, port = self._upstream
        through = url.replace(f"{host}:{port}", f"127.0.0.1:{self.port}")
        if through == url:
            raise ValueError(f"the URL does not name {host}:{port}, which this proxy stands before")
        return through

    def partition(self) -> None:
        self.passes.clear()

    def refuse(self) -> None:
        self._refuses = True
        self.cut()

    def delay(self, seconds: float) -> None:
        self.delay_seconds = seconds

    def heal(self) -> None:
        """End every trouble; rules that have not been met are forgotten."""
        self._refuses = False
        self._rules.clear()
        self.delay_seconds = 0.0
        self.passes.set()

    def cut(self) -> None:
        for link in list(self._links):
            link.cut()

    def lose_reply(self, name: str, *, times: int = 1, cut: bool = True) -> None:
        self._rules.append(Rule(name=name, times=times, cuts=cut, silences=True))

    def delay_reply(self, name: str, seconds: float, *, times: int = 1) -> None:
        self._rules.append(Rule(name=name, times=times, holds_seconds=seconds))

    def rule_for(self, names: list[str]) -> Rule | None:
        """The rule that one of these requests meets, used up once."""
        self.heard.update(names)
        for rule in self._rules:
            if rule.name in names:
                rule.times -= 1
                if rule.times == 0:
                    self._rules.remove(rule)
                self.hits[rule.name] += 1
                return rule
        return None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            server = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), server, self._dialect() if self._dialect else None)
        self._links.add(link)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await link.carry()
        finally:
            self._links.discard(link)
            self._tasks.discard(task)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: Ends, server: Ends, dialect: Dialect | None) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._dialect = dialect
        self._is_silenced = False
        self._holds_until = 0.0
        self._last_word = asyncio.get_running_loop().time()
        for _, writer in (client, server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def carry(self) -> None:
        """Until either side ends it."""
        directions = [asyncio.create_task(self._requests()), asyncio.create_task(self._replies())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for _, writer in (self._client, self._server):
                writer.close()

    def cut(self) -> None:
        self._client[1].transport.abort()
        self._server[1].transport.abort()

    async def _requests(self) -> None:
        async for data in self._pieces(self._client[0]):
            rule = self._proxy.rule_for(self._dialect.heard(data)) if self._dialect else None
            if rule is not None:
                self._is_silenced |= rule.silences
                self._holds_until = asyncio.get_running_loop().time() + rule.holds_seconds
            _pass_on(data, self._server[1])
            if rule is not None and rule.cuts:
                await self._until_answered()
                self.cut()
                return

    async def _replies(self) -> None:
        loop = asyncio.get_running_loop()
        async for data in self._pieces(self._server[0]):
            self._last_word = loop.time()
            if self._holds_until > loop.time():
                await asyncio.sleep(self._holds_until - loop.time())
            if not self._is_silenced:
                _pass_on(data, self._client[1])

    async def _pieces(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """What comes from one side, each piece when it is its time. A delay does not add up: the next is on its way, too."""
        loop = asyncio.get_running_loop()
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_ON_THE_WAY)
        reading = asyncio.create_task(self._read_into(on_the_way, reader))
        try:
            while True:
                due, data = await on_the_way.get()
                await asyncio.sleep(due - loop.time())
                await self._proxy.passes.wait()
                if not data:
                    return
                yield data
        finally:
            reading.cancel()

    async def _read_into(self, on_the_way: asyncio.Queue[tuple[float, bytes]], reader: asyncio.StreamReader) -> None:
        loop, data = asyncio.get_running_loop(), b"some"
        while data:
            try:
                data = await reader.read(PIECE_BYTES)
            except ConnectionError:
                data = b""
            await on_the_way.put((loop.time() + self._proxy.delay_seconds, data))

    async def _until_answered(self) -> None:
        """Wait until the server has said something since, and then nothing for a moment."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        while loop.time() - asked_at < LONGEST_ANSWER_SECONDS:
            await asyncio.sleep(QUIET_SECONDS / 2)
            if self._last_word > asked_at and loop.time() - self._last_word > QUIET_SECONDS:
                return


def _pass_on(data: bytes, writer: asyncio.StreamWriter) -> None:
    """Nothing to one who has left: asyncio would complain of it on the console each time."""
    if not writer.is_closing():
        writer.write(data)
