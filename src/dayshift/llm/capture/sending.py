"""Sends one try of a call through the transport that the client would have used, and reads what comes back: all of a whole
answer, of a stream the opening.

What a try changes (another target's address, its key, its model) goes into a request of its own; the client's settings for
proxies and certificates stay. The shorter of two times counts, the client's or the target's.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from dayshift.domain import clock
from dayshift.llm.capture.core import sending
from dayshift.llm.exchange import Headers, Incoming, LlmCall, NoAnswer, Opening, Outgoing, Patience
from dayshift.llm.formats import StreamTooLong
from dayshift.llm.verdicts import LONGEST_ANSWER_BYTES

_PACKING = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class AsyncSender:
    """Of one request of an async client."""

    def __init__(self, library: Any, transport: Any, request: Any, call: LlmCall) -> None:
        self._library = library
        self._transport = transport
        self._request = request
        self._call = call

    async def __call__(self, outgoing: Outgoing) -> Incoming:
        patience = outgoing.patience
        request = rewritten(self._library, self._request, outgoing, streams=self._call.question.streams)
        try:
            with sending():
                if patience is None:
                    return await self._exchange(request)
                async with asyncio.timeout(patience.total_seconds):
                    return await self._exchange(request, patience.first_token_seconds)
        except self._library.RequestError as error:
            raise NoAnswer(error) from error
        except StreamTooLong as error:
            raise NoAnswer(self._library.ReadError(str(error), request=request)) from None
        except TimeoutError:
            late = self._library.ReadTimeout("the provider did not answer in time", request=request)
            raise NoAnswer(late) from None

    async def _exchange(self, request: Any, first_token_seconds: float | None = None) -> Incoming:
        streams = self._call.question.streams
        async with asyncio.timeout(first_token_seconds if streams else None):
            response = await self._transport.handle_async_request(request)
            headers = headers_of(response)
            reading = unpacked(self._library, response, headers)
            if not streams or not is_streamed(response.status_code, headers):
                return Incoming(status=response.status_code, headers=headers, body=await self._whole(reading))
            return await self._opened(response.status_code, headers, reading)

    async def _whole(self, reading: Any) -> bytes:
        pieces = _Pieces(self._library, self._request)
        try:
            async for piece in reading.aiter_bytes():
                pieces.add(piece)
        finally:
            await reading.aclose()
        return pieces.joined()

    async def _opened(self, status: int, headers: Headers, reading: Any) -> Incoming:
        opening, rest = Opening(self._call.api), reading.aiter_bytes()
        incoming = Incoming(status=status, headers=headers, opening=opening, response=reading, rest=rest)
        try:
            async for received in rest:
                if opening.feed(received) and opening.is_good:
                    return incoming
                if opening.verdict is not None:
                    break
        except BaseException:
            await reading.aclose()
            raise
        await reading.aclose()
        incoming.is_over = True
        return incoming


class PlainSender:
    """Of one request of a plain client. A read may take as long as the first token or the pause between tokens, whichever is longer."""

    def __init__(self, library: Any, transport: Any, request: Any, call: LlmCall) -> None:
        self._library = library
        self._transport = transport
        self._request = request
        self._call = call

    def __call__(self, outgoing: Outgoing) -> Incoming:
        request = rewritten(self._library, self._request, outgoing, streams=self._call.question.streams)
        patience, began = outgoing.patience, clock.monotonic_seconds()
        try:
            with sending():
                response = self._transport.handle_request(request)
                status, headers = response.status_code, headers_of(response)
                reading = unpacked(self._library, response, headers)
                if self._call.question.streams and is_streamed(status, headers):
                    ends_mono = None if patience is None else began + patience.first_token_seconds
                    return self._opened(status, headers, reading, ends_mono)
                ends_mono = None if patience is None else began + patience.total_seconds
                return Incoming(status=status, headers=headers, body=self._whole(reading, ends_mono))
        except self._library.RequestError as error:
            raise NoAnswer(error) from error
        except StreamTooLong as error:
            raise NoAnswer(self._library.ReadError(str(error), request=request)) from None

    def _whole(self, reading: Any, ends_mono: float | None) -> bytes:
        pieces = _Pieces(self._library, self._request)
        try:
            for piece in reading.iter_bytes():
                pieces.add(piece)
                self._check(ends_mono)
        finally:
            reading.close()
        return pieces.joined()

    def _check(self, ends_mono: float | None) -> None:
        """Each read has a time-out of its own, which a trickle never meets."""
        if ends_mono is not None and clock.monotonic_seconds() > ends_mono:
            raise self._library.ReadTimeout("the provider did not answer in time", request=self._request)

    def _opened(self, status: int, headers: Headers, reading: Any, ends_mono: float | None) -> Incoming:
        opening, rest = Opening(self._call.api), reading.iter_bytes()
        incoming = Incoming(status=status, headers=headers, opening=opening, response=reading, rest=rest)
        try:
            for received in rest:
                if opening.feed(received) and opening.is_good:
                    return incoming
                if opening.verdict is not None:
                    break
                self._check(ends_mono)
        except BaseException:
            reading.close()
            raise
        reading.close()
        incoming.is_over = True
        return incoming


class _Pieces:
    """A whole answer as it comes. Raises the library's error when it is longer than any answer should be."""

    def __init__(self, library: Any, request: Any) -> None:
        self._library = library
        self._request = request
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > LONGEST_ANSWER_BYTES:
            raise self._library.ReadError(
                f"the answer is longer than {LONGEST_ANSWER_BYTES} bytes", request=self._request
            )
        self._pieces.append(piece)

    def joined(self) -> bytes:
        return b"".join(self._pieces)


def rewritten(library: Any, request: Any, outgoing: Outgoing, *, streams: bool) -> Any:
    """The request of this try."""
    extensions = dict(request.extensions)
    if outgoing.patience is not None:
        extensions["timeout"] = _timeouts(extensions.get("timeout"), outgoing.patience, streams=streams)
    if outgoing.url is None and outgoing.body is None and not outgoing.headers:
        request.extensions = extensions
        return request
    content = request.content if outgoing.body is None else outgoing.body
    url = outgoing.url or request.url
    return library.Request(
        request.method, url, headers=_headers(request, outgoing), content=content, extensions=extensions
    )


def _headers(request: Any, outgoing: Outgoing) -> Headers:
    """The client's, less those that belong to its address and its body, with those of the try over them."""
    changed = {name.lower(): value for name, value in outgoing.headers.items()}
    kept = [
        (name, value)
        for name, value in request.headers.multi_items()
        if name.lower() not in changed and name.lower() not in {"host", "content-length"}
    ]
    return kept + [(name, value) for name, value in changed.items() if value is not None]


def _timeouts(said: Mapping[str, float | None] | None, patience: Patience, *, streams: bool) -> dict[str, float]:
    """As the libraries have them; None is for ever."""
    between_tokens_seconds = max(patience.first_token_seconds, patience.idle_seconds)
    ours = {
        "connect": patience.connect_seconds,
        "read": between_tokens_seconds if streams else patience.total_seconds,
        "write": patience.total_seconds,
        "pool": patience.total_seconds,
    }
    return {name: _shorter((said or {}).get(name), seconds) for name, seconds in ours.items()}


def _shorter(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)


def headers_of(message: Any) -> Headers:
    """All that was said, in the order in which it was; names in lower case."""
    encoding = message.headers.encoding  # once: the library looks all of them through for it
    return [(name.decode(encoding).lower(), value.decode(encoding)) for name, value in message.headers.raw]


def by_name(headers: Headers) -> dict[str, str]:
    """The same to be looked up; of a name that was said twice, both values."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class _AsItCame:
    """A response whose body has no encoding to be undone: its pieces, without a response of the library's around them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def aiter_bytes(self) -> Any:
        return aiter(self._stream)

    def iter_bytes(self) -> Any:
        return iter(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close(self) -> None:
        self._stream.close()


def unpacked(library: Any, response: Any, headers: Headers) -> Any:
    """The same response for ourselves, so that its encoding is undone."""
    if any(name == "content-encoding" for name, _ in headers):
        return library.Response(response.status_code, headers=response.headers, stream=response.stream)
    return _AsItCame(response.stream)


def without_packing(headers: Headers) -> Headers:
    """Without what says how the body travelled."""
    return [(name, value) for name, value in headers if name.lower() not in _PACKING]


def is_streamed(status: int, headers: Headers) -> bool:
    """A provider may answer in one piece although it was asked for a stream."""
    is_whole = by_name(headers).get("content-type", "").startswith(("application/json", "text/html"))
    return status == 200 and not is_whole
