"""A small HTTP/1.1 client over asyncio streams, for peers that are spoken to by HTTP: the load generator's own cost
should not hide the server's. It knows bodies with a length and chunked ones.
"""

import asyncio
import json
from typing import Any


class Connection:
    """One keep-alive connection; one request at a time."""

    def __init__(self, host: str, port: int, headers: dict[str, str] | None = None) -> None:
        self._host, self._port = host, port
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter

    async def request(self, method: str, path: str, body: Any = None, headers: str = "") -> Any:
        """The decoded answer; an error status raises."""
        if self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 24)
        encoded = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{self._headers}{headers}"
        head += "Accept: application/json\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(encoded)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + encoded)
        status, answer = await self._answer(self._reader)
        if status >= 400:
            raise RuntimeError(f"{method} {path} answered {status}: {answer[:500]!r}")
        return json.loads(answer) if answer else None

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        at = head.find(b"content-length:")
        if at >= 0:
            return status, await reader.readexactly(int(head[at + 15 : head.index(b"\r\n", at)]))
        if status == 204:
            return status, b""
        chunks = []
        while size := int(await reader.readline(), 16):
            chunks.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return status, b"".join(chunks)

    def close(self) -> None:
        """Hang up."""
        if self._reader is not None:
            self._writer.close()


class Pool:
    """As many connections as there are requests at once."""

    def __init__(self, host: str, port: int, headers: dict[str, str] | None = None) -> None:
        self._make = lambda: Connection(host, port, headers)
        self._idle: list[Connection] = []

    async def request(self, method: str, path: str, body: Any = None, headers: str = "") -> Any:
        """Over an idle connection, or a new one."""
        connection = self._idle.pop() if self._idle else self._make()
        answer = await connection.request(method, path, body, headers)
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Hang up all that are idle."""
        for connection in self._idle:
            connection.close()
