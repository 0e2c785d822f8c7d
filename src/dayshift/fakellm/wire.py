"""HTTP/1.1, as little of it as a provider under load needs.

A framework spends most of a call on itself, and this process serves thousands of open calls on a part of one core. So
a connection is one asyncio protocol over httptools, and a call that waits is one timer: no task, no queue, no lock.

- One request at a time is played on a connection; what a client pipelines behind it waits in a list.
- A reply is played by timers: head and first frames when the first token is due, then a frame each, then the end.
- Reading is never paused, so a client that hangs up is seen at once: its timer is cancelled and the call is aborted.
- A reply has been *sent* when the kernel has taken its last byte. The transport's high-water mark is 0, so the loop says
  `pause_writing` as long as anything is left in its own buffer.
"""

import asyncio
import collections
import socket
import struct
from http import HTTPStatus
from typing import cast

import httptools

from dayshift.fakellm.exchange import Ending, Reply, Request
from dayshift.fakellm.formats import Frames
from dayshift.fakellm.provider import Provider

MAX_BODY_BYTES = 32 * 1024 * 1024
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_LAST_CHUNK = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop) -> None:
        self._provider = provider
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._pending: collections.deque[tuple[Request, bool]] = collections.deque()
        self._reply: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._keep_alive = True
        self._kernel_is_behind = False
        self._all_written = False

    # What the loop tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport, not its class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            # Our own mistake: the parser wraps what its callbacks raise.
            self._loop.call_exception_handler({"message": "a call could not be served", "exception": error})
            self._refuse(500)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._reply is not None:
            self._reply.hung_up()
            self._reply = None

    def pause_writing(self) -> None:
        self._kernel_is_behind = True

    def resume_writing(self) -> None:
        self._kernel_is_behind = False
        if self._all_written:
            self._sent()

    # What the parser tells us.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._refuse(413)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, path, self._headers, b"".join(self._body), query)
        keep_alive = bool(self._parser.should_keep_alive())
        if self._reply is None:
            self._begin(request, keep_alive)
        else:
            self._pending.append((request, keep_alive))

    # A reply, from its begin to its end.

    def _begin(self, request: Request, keep_alive: bool) -> None:
        self._keep_alive = keep_alive
        self._all_written = False
        self._reply = reply = self._provider.receive(request)
        play = self._play_whole if reply.make_frames is None else self._play_first
        if reply.moments.first_seconds > 0:
            self._timer = self._loop.call_later(reply.moments.first_seconds, play, reply)
        else:
            play(reply)

    def _play_whole(self, reply: Reply) -> None:
        kind = reply.content_type or "application/json"
        length = f"content-type: {kind}\r\ncontent-length: {len(reply.body)}\r\n"
        sent = reply.body if reply.ending == "whole" else reply.body[: len(reply.body) // 2]
        self._write(_head(reply, length, keep_alive=self._keep_alive), sent)
        self._end()

    def _play_first(self, reply: Reply) -> None:
        assert reply.make_frames is not None
        frames = reply.make_frames()
        kind = reply.content_type or "text/event-stream; charset=utf-8"
        length = f"content-type: {kind}\r\ntransfer-encoding: chunked\r\n"
        head = _head(reply, length, keep_alive=self._keep_alive)
        if len(frames.tokens) < 2:
            frames.tokens = [b"".join(frames.tokens), b""]  # the end of a single token has its moment too
        seconds = reply.moments.last_seconds - reply.moments.first_seconds
        between = seconds / (len(frames.tokens) - 1)
        if between <= 0:
            self._write(head, _chunk(b"".join([frames.opening, *frames.tokens, frames.closing])))
            self._end_stream(reply)
            return
        self._write(head, _chunk(frames.opening + frames.tokens[0]))
        self._play_next(frames, 1, self._loop.time() + between, between)

    def _play_next(self, frames: Frames, at: int, due: float, between: float) -> None:
        self._timer = self._loop.call_at(due, self._play_token, frames, at, due, between)

    def _play_token(self, frames: Frames, at: int, due: float, between: float) -> None:
        """Each token is due by the plan, not by when the one before was late."""
        if at + 1 < len(frames.tokens):
            self._write(_chunk(frames.tokens[at]))
            self._play_next(frames, at + 1, due + between, between)
        else:
            last = frames.tokens[at] + frames.closing
            if last:
                self._write(_chunk(last))
            self._end_stream(self._reply)

    def _end_stream(self, reply: Reply | None) -> None:
        if reply is None or reply.ending in ("whole", "early"):
            self._write(_LAST_CHUNK)
            # A stream that ends early is whole to HTTP; only its terminal event is missing.
            self._end(cut_off=False)
        else:
            self._end()

    def _end(self, *, cut_off: bool = True) -> None:
        self._timer = None
        if cut_off and self._reply is not None and self._reply.ending != "whole":
            self._break_off(self._reply.ending)
            return
        self._all_written = True
        if not self._kernel_is_behind:
            self._sent()

    def _break_off(self, ending: Ending) -> None:
        """What was written stays all there is: the call is open until the caller leaves, or the connection ends here."""
        if self._transport is None or ending == "hang":
            return
        if ending == "early":
            self._transport.close()
            return
        # With this option a close is a reset, whatever the peer has read.
        plain_socket = self._transport.get_extra_info("socket")
        plain_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _sent(self) -> None:
        self._all_written = False
        if self._reply is not None:
            self._reply.sent()
            self._reply = None
        if self._transport is None:
            return
        if not self._keep_alive:
            self._transport.close()
        elif self._pending:
            self._begin(*self._pending.popleft())

    def _write(self, *parts: bytes) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(parts))

    def _refuse(self, status: int) -> None:
        """No request can be read here any more: say why and hang up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(f"{_STATUS_LINES[status]}content-length: 0\r\nconnection: close\r\n\r\n".encode())
            self._transport.close()


def _head(reply: Reply, body_headers: str, *, keep_alive: bool) -> bytes:
    status_line = _STATUS_LINES.get(reply.status) or f"HTTP/1.1 {reply.status} Overloaded\r\n"
    own = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    last = "" if keep_alive else "connection: close\r\n"
    return f"{status_line}{body_headers}{own}{last}\r\n".encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
