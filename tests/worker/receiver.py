"""A receiver of webhooks that does what a test tells it: a real server on 127.0.0.1, in the test's own loop."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from standardwebhooks import Webhook

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Call(msgspec.Struct):
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return msgspec.json.decode(self.body)

    def verified(self, secret: str) -> dict:
        """By the library that receivers use."""
        return Webhook(secret).verify(self.body, self.headers)


def status(code: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {code} Told", *headers, "content-length: 0", "", ""]).encode()


class Receiver:
    """`answer` says what a call is answered with; None: nothing, the line is cut."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Awaitable[bytes | None] | bytes | None] = lambda _call: OK
        self.url = ""
        self.port = 0
        self.connections = 0
        self._came = asyncio.Event()
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def called(self, times: int = 1, seconds: float = 15.0) -> list[Call]:
        """The calls, once there are so many."""
        async with asyncio.timeout(seconds):
            while len(self.calls) < times:
                self._came.clear()
                await self._came.wait()
        return self.calls

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving[serving] = writer
        serving.add_done_callback(lambda done: self._serving.pop(done).close())

    async def leave(self) -> None:
        for serving, writer in list(self._serving.items()):
            serving.cancel()
            writer.transport.abort()
            await asyncio.gather(serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            call = Call(head[0].split(" ")[1], headers, body)
            self.calls.append(call)
            self._came.set()
            answer = self.answer(call)
            answer = await answer if isinstance(answer, Awaitable) else answer
            if answer is not None:
                writer.write(answer)
                await writer.drain()


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{receiver.port}/hook"
    try:
        yield receiver
    finally:
        server.close()
        await receiver.leave()
        await asyncio.sleep(0)
