"""HTTP on one connection, with bounds on what a client may send before anybody knows who it is.

uvicorn's protocol waits for ever for the rest of a request's head, takes heads of any length, and reads what still comes
of a body that nobody wants any more. Each would let a client without a key hold connections and memory at no cost of
its own (a slow loris). So here

- a head has `MAX_HEAD_BYTES`, and is complete `HEAD_SECONDS` after its connection was made or after its first part came;
- a body that is still coming when its request has been answered has `HEAD_SECONDS` to end.

Who keeps to neither is told so (431, 408) if nothing is being answered to him, and the connection is closed. How long a body
may take while it is wanted is the reader's affair (`bodies`). A request whose head comes in one piece, as nearly all do, sets no timer.
"""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dayshift.gateway.problems import HttpError, reply_to

HEAD_SECONDS = 15.0
MAX_HEAD_BYTES = 65_536


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `_head_bytes` counts what came of a head that is not complete; None outside of one."""

    head_seconds = HEAD_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes: int | None = None
    _is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._begin_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            self._check_head(self._head_bytes)
            if self._deadline is None:
                self._begin_deadline()

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._end_deadline()
        self._check_head(len(self.url) + sum(len(name) + len(value) for name, value in self.headers))
        if not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_refused:
            self._end_deadline()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._begin_deadline()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "not_http", f"{msg} Send HTTP/1.1.")

    def _check_head(self, length: int) -> None:
        if length > MAX_HEAD_BYTES:
            message = f"the request's path and headers are longer than {MAX_HEAD_BYTES} bytes; send shorter ones"
            self._refuse(431, "head_too_large", message)

    def _begin_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._on_deadline)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self._head_bytes:
            self._refuse(408, "head_too_slow", f"the request's headers were not complete after {self.head_seconds:g} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Close the connection; before that say why, unless an earlier request's answer is on its way."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._end_deadline()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_on_the_wire(status, HttpError(status, code, message)))
        self.transport.close()


def _on_the_wire(status: int, error: HttpError) -> bytes:
    reply = reply_to(error)
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    head += [b"%b: %b" % pair for pair in reply.headers]
    head += [b"content-length: %d" % len(reply.body), b"connection: close", b"", reply.body]
    return b"\r\n".join(head)
