"""A lean HTTP/1.1 client, so that what is measured is the server: prepared bytes out, whole answers in, about 15
microseconds a request under uvloop. One request at a time on a connection.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from benchmarks.harness.serving import Served

_HEAD_ENDS = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._host, self._port, self._key = host, port, key
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._head: asyncio.Future[int] | None = None
        self.headers = b""

    async def open(self) -> "Connection":
        await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)
        return self

    @property
    def is_open(self) -> bool:
        """False once either side has closed it, as servers do with those that were idle for long."""
        return self._transport is not None and not self._transport.is_closing()

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        await asyncio.sleep(0)

    def encode(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}:{self._port}", f"Authorization: Bearer {self._key}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + _HEAD_ENDS + body

    async def send(self, encoded: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer; its headers, in lowercase, are in `headers` until the next one.

        Raises `ConnectionError` when there is none.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._write(encoded)
        return await self._answer

    async def begin(self, encoded: bytes) -> int:
        """Only the status; whatever follows on this connection is thrown away. For streams that are held open."""
        self._head = asyncio.get_running_loop().create_future()
        self._write(encoded)
        return await self._head

    def leave_waiting(self, encoded: bytes) -> None:
        """Send, and never look at the answer."""
        self._write(encoded)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._head is not None:
            if not self._head.done() and len(self._received) >= 12:
                self._head.set_result(int(self._received[9:12]))
            self._received.clear()
        elif self._answer is not None and (complete := _complete(self._received)):
            self.headers = bytes(self._received.partition(_HEAD_ENDS)[0]).lower()
            self._received.clear()
            if not self._answer.done():
                self._answer.set_result(complete)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        for waiter in (self._answer, self._head):
            if waiter is not None and not waiter.done():
                waiter.set_exception(error or ConnectionResetError("the server closed the connection"))

    def _write(self, encoded: bytes) -> None:
        if self._transport is None:
            raise ConnectionResetError("the connection is closed")
        self._transport.write(encoded)


def _complete(received: bytearray) -> tuple[int, bytes] | None:
    """Status and body, once all of it is there."""
    head_length = received.find(_HEAD_ENDS)
    if head_length < 0:
        return None
    start = head_length + 4
    head = bytes(received[:head_length]).lower()
    status = int(head[9:12])
    at = head.find(b"content-length:")
    if at >= 0:
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        return (status, bytes(received[start : start + length])) if len(received) >= start + length else None
    if b"transfer-encoding: chunked" not in head:
        return status, b""
    return (status, _unchunked(bytes(received[start:]))) if received.endswith(b"\r\n0\r\n\r\n") else None


def _unchunked(body: bytes) -> bytes:
    chunks = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        chunks.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(chunks)


async def request_json(served: "Served", method: str, path: str, body: Any = None) -> Any:
    """One request on a connection of its own; raises when it is refused."""
    connection = await Connection(served.host, served.port, served.key).open()
    try:
        encoded = connection.encode(method, path, b"" if body is None else json.dumps(body).encode())
        status, answer = await connection.send(encoded)
        if status >= 400:
            raise RuntimeError(f"{method} {path} answered {status}: {answer[:500]!r}")
        return json.loads(answer)
    finally:
        await connection.close()


async def ended(served: "Served", ids: Iterable[str]) -> list[Any]:
    """The tasks once they have ended, as the gateway shows them; raises when one did not succeed."""
    tasks = await asyncio.gather(*(request_json(served, "GET", f"/v1/tasks/{one}?wait=60") for one in ids))
    for task in tasks:
        if task["status"] != "succeeded":
            raise RuntimeError(f"{task['id']} is {task['status']}: {task['error']}")
    return tasks


async def submit_many(
    served: "Served", agent: str, inputs: list[Any], *, batch: int = 1000, **fields: Any
) -> list[str]:
    """Queue tasks by batches over one connection; returns their ids."""
    connection = await Connection(served.host, served.port, served.key).open()
    ids: list[str] = []
    for start in range(0, len(inputs), batch):
        items = [{"agent": agent, "input": value, **fields} for value in inputs[start : start + batch]]
        body = json.dumps({"tasks": items}).encode()
        status, answer = await connection.send(connection.encode("POST", "/v1/tasks/batch", body))
        rows = json.loads(answer)["data"] if status == 202 else []
        if status != 202 or any("id" not in row for row in rows):
            raise RuntimeError(f"the batch was answered {status}: {answer[:500]!r}")
        ids += [row["id"] for row in rows]
    await connection.close()
    return ids


async def queue_of(served: "Served", name: str = "default") -> dict[str, Any]:
    """A queue's depths, as last measured."""
    rows = (await request_json(served, "GET", "/v1/queues"))["data"]
    return next((row for row in rows if row["name"] == name), {"ready": 0, "running": 0, "delayed": 0, "waiting": 0})
