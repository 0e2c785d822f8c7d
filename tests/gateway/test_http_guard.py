"""What a client may send before anybody knows who it is, and how long it may take."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dayshift.gateway import bodies
from dayshift.gateway.protocol import MAX_HEAD_BYTES, GuardedProtocol

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 0.2


class Raw:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        body = await self._reader.readexactly(length)
        return int(head.split()[1]), json.loads(body) if "json" in head else {}

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        return await asyncio.wait_for(self._reader.read(), 20)


@asynccontextmanager
async def connected(house) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(*house.url.removeprefix("http://").split(":"))
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(GuardedProtocol, "head_seconds", SOON)
    monkeypatch.setattr(bodies, "LONGEST_BODY_SECONDS", SOON)


async def test_a_head_that_never_ends_is_not_waited_for(house, hurried):
    async with connected(house) as connection:
        await connection.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow:")
        status, problem = await connection.answer()
        assert (status, problem["code"]) == (408, "head_too_slow")
        assert await connection.rest() == b""


async def test_a_head_that_comes_a_byte_at_a_time_gains_nothing_by_it(house, hurried):
    async with connected(house) as connection:
        await connection.send(b"GET /livez HTTP/1.1\r\nX: ")
        answer = asyncio.create_task(connection.answer())
        while not answer.done():
            await connection.send(b"y")
            await asyncio.wait({answer}, timeout=SOON / 10)
        assert answer.result()[1]["code"] == "head_too_slow"


async def test_a_connection_that_says_nothing_is_closed(house, hurried):
    async with connected(house) as connection:
        assert await connection.rest() == b""


async def test_the_second_request_of_a_connection_has_a_deadline_too(house, hurried):
    async with connected(house) as connection:
        await connection.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await connection.answer())[0] == 200
        await connection.send(b"GET /readyz HT")
        assert (await connection.answer())[1]["code"] == "head_too_slow"
        assert await connection.rest() == b""


async def test_requests_in_one_piece_and_one_after_the_other_are_all_answered(house, hurried):
    async with connected(house) as connection:
        await connection.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        assert [(await connection.answer())[0] for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("pieces", [1, 10])
async def test_a_head_has_its_length(house, pieces):
    async with connected(house) as connection:
        filler = b"X-Long: " + b"y" * MAX_HEAD_BYTES
        await connection.send(b"GET /livez HTTP/1.1\r\n")
        size = -(-len(filler) // pieces)
        for start in range(0, len(filler), size):
            await connection.send(filler[start : start + size])
        if pieces == 1:
            await connection.send(b"\r\n\r\n")
        status, problem = await connection.answer()
        assert (status, problem["code"]) == (431, "head_too_large")


async def test_what_is_not_http_is_told_so(house):
    async with connected(house) as connection:
        await connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        status, problem = await connection.answer()
        assert (status, problem["code"]) == (400, "not_http")
        assert await connection.rest() == b""


async def test_a_body_that_nobody_wants_is_not_waited_for(house, hurried):
    async with connected(house) as connection:
        await connection.send(b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert (await connection.answer())[0] == 404
        assert await connection.rest() == b""


async def test_a_slow_body_is_not_waited_for(house, hurried):
    key = await house.make_key("slow", "submit")
    async with connected(house) as connection:
        await connection.send(_post(key, told=500) + b"{")
        status, problem = await connection.answer()
        assert (status, problem["code"]) == (408, "body_too_slow")
        assert await connection.rest() == b""


async def test_slow_bodies_take_no_place_of_those_at_work(house, http, echo):
    key = await house.make_key("slow", "submit")
    body = json.dumps({**echo, "input": {"text": "x" * 900_000}}).encode()
    async with connected(house) as one, connected(house) as another:
        for slow in (one, another):
            await slow.send(_post(key, told=len(body)) + body[:1000])
        for _ in range(3):  # each as large as the two together may be at once
            assert (await http.post("/v1/tasks", content=body)).status_code == 202
        for slow in (one, another):
            await slow.send(body[1000:])
            assert (await slow.answer())[0] == 202


def _post(key: str, *, told: int) -> bytes:
    return (
        f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {told}\r\n\r\n"
    ).encode()
