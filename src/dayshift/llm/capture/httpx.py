"""Captures what goes through httpx and httpx2, which have the same shape and are told apart by their module alone.

What is replaced is a client's *choice* of a transport: it is made for every request, so clients count that were made at
import, with transports of their own, or with mounts. Outside of tasks the choice is as it was.
"""

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

from dayshift.llm.capture.addresses import Addresses
from dayshift.llm.capture.answers import Answer, kept_headers
from dayshift.llm.capture.core import Reading, Recorder, current_recorder, is_retry, sending
from dayshift.llm.capture.streams import AsyncStream, CutStream, PlainStream
from dayshift.llm.formats import Format
from dayshift.llm.request import NotAQuestion, Question, question_of


def install(library: ModuleType, addresses: Callable[[], Addresses]) -> Callable[[], None]:
    """Capture what this library's clients send; answers what undoes it."""
    kinds = _Kinds(library)
    undoings = [
        _replace(library.AsyncClient, kinds.async_transport, addresses),
        _replace(library.Client, kinds.plain_transport, addresses),
    ]

    def undo() -> None:
        for one in undoings:
            one()

    return undo


def _replace(
    client: Any, wrap: Callable[[Any, Recorder, Addresses], Any], addresses: Callable[[], Addresses]
) -> Callable[[], None]:
    chosen = client._transport_for_url  # noqa: SLF001 - the one place that every request passes

    def choose(self: Any, url: Any) -> Any:
        transport, recorder = chosen(self, url), current_recorder()
        return transport if recorder is None else wrap(transport, recorder, addresses())

    client._transport_for_url = choose  # noqa: SLF001 - see above

    def undo() -> None:
        client._transport_for_url = chosen  # noqa: SLF001 - see above

    return undo


LONG_BYTES = 128 * 1024
_PACKING = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class _Kinds:
    """The transports and streams of one library: its base classes are known only once it is imported."""

    def __init__(self, library: ModuleType) -> None:
        own = {
            "library": library,
            "async_stream": type("RecordedAsync", (AsyncStream, library.AsyncByteStream), {}),
            "plain_stream": type("Recorded", (PlainStream, library.SyncByteStream), {}),
            "cut_stream": type("Cut", (CutStream, library.AsyncByteStream, library.SyncByteStream), {}),
        }
        self.async_transport = type("CapturedAsync", (_AsyncTransport, library.AsyncBaseTransport), own)
        self.plain_transport = type("Captured", (_PlainTransport, library.BaseTransport), own)


class _Transport:
    library: Any
    async_stream: Any
    plain_stream: Any
    cut_stream: Any

    def __init__(self, inner: Any, recorder: Recorder, addresses: Addresses) -> None:
        self._inner = inner
        self._recorder = recorder
        self._addresses = addresses

    def _heard(self, request: Any, question: Question | None) -> Question | None:
        """The question, once the journal knows whether it is the one that an SDK asks again."""
        if question is not None and is_retry(request.headers):
            self._recorder.retract(question)
        return question

    def _replayed(self, answer: Answer, request: Any) -> Any:
        """A kept answer as the library's own response. Raises the library's error, where that was the answer."""
        if answer.error is not None:
            kind, words = answer.error
            raise getattr(self.library, kind, self.library.TransportError)(words, request=request)
        if answer.is_cut:
            stream = self.cut_stream(answer.body, self.library.ReadError)
            return self.library.Response(answer.status, headers=answer.headers, stream=stream, request=request)
        return self.library.Response(answer.status, headers=answer.headers, content=answer.body, request=request)

    def _failed(self, draft: Any, error: Exception) -> None:
        self._recorder.failed(draft, Answer(status=0, error=(type(error).__name__, str(error))), error)

    def _answer(self, response: Any, body: bytes) -> Answer:
        return Answer(status=response.status_code, headers=kept_headers(response.headers.multi_items()), body=body)

    def _refused(self, draft: Any, response: Any, body: bytes) -> Any:
        """A failure that was answered, with all its headers: they say when to try again."""
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _PACKING]
        made = self.library.Response(response.status_code, headers=headers, content=body, request=response.request)
        self._recorder.failed(draft, self._answer(response, body), made)
        return made

    def _reading(self, api: Format, response: Any) -> Reading:
        return Reading(api, response.status_code, kept_headers(response.headers.multi_items()))

    def _unpacked(self, response: Any) -> Any:
        """The same response for ourselves, so that the library undoes its encoding."""
        return self.library.Response(response.status_code, headers=response.headers, stream=response.stream)

    def _streaming(self, response: Any, stream: Any) -> Any:
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _PACKING]
        extensions = response.extensions
        return self.library.Response(response.status_code, headers=headers, stream=stream, extensions=extensions)


class _AsyncTransport(_Transport):
    async def handle_async_request(self, request: Any) -> Any:
        api = self._addresses.format_of(request.method, request.url)
        question = None if api is None else self._heard(request, await _read_beside(api, request))
        if api is None or question is None:
            return await self._inner.handle_async_request(request)
        kept = await self._recorder.take(question)
        if kept is not None:
            return self._replayed(kept, request)
        return await self._ask(request, api, question)

    async def _ask(self, request: Any, api: Format, question: Question) -> Any:
        draft = await self._recorder.begin_once(question) if question.adds_there else self._recorder.begin(question)
        try:
            with sending():
                response = await self._inner.handle_async_request(request)
            if _is_streamed(question, response):
                reading, upstream = self._reading(api, response), self._unpacked(response)
                return self._streaming(response, self.async_stream(self._recorder, draft, reading, upstream))
            body = await self._unpacked(response).aread()
        except self.library.RequestError as error:
            self._failed(draft, error)
            raise
        response.request = request
        if not response.is_success:
            return self._refused(draft, response, body)
        return self._replayed(
            await self._recorder.record(draft, self._answer(response, body), api.usage_of(body)), request
        )


class _PlainTransport(_Transport):
    def handle_request(self, request: Any) -> Any:
        api = self._addresses.format_of(request.method, request.url)
        question = None if api is None else self._heard(request, _read(api, request.headers, request.read()))
        if api is None or question is None:
            return self._inner.handle_request(request)
        kept = self._recorder.take_here(question)
        if kept is not None:
            return self._replayed(kept, request)
        return self._ask(request, api, question)

    def _ask(self, request: Any, api: Format, question: Question) -> Any:
        draft = self._recorder.begin_once_here(question) if question.adds_there else self._recorder.begin(question)
        try:
            with sending():
                response = self._inner.handle_request(request)
            if _is_streamed(question, response):
                reading, upstream = self._reading(api, response), self._unpacked(response)
                return self._streaming(response, self.plain_stream(self._recorder, draft, reading, upstream))
            body = self._unpacked(response).read()
        except self.library.RequestError as error:
            self._failed(draft, error)
            raise
        response.request = request
        if not response.is_success:
            return self._refused(draft, response, body)
        return self._replayed(
            self._recorder.record_here(draft, self._answer(response, body), api.usage_of(body)), request
        )


def _read(api: Format, headers: Any, body: bytes) -> Question | None:
    try:
        return question_of(api, headers, body)
    except NotAQuestion:
        return None


async def _read_beside(api: Format, request: Any) -> Question | None:
    """A long prompt takes milliseconds to read and to digest: in a thread, beside the other agents of this loop."""
    body = await request.aread()
    if len(body) < LONG_BYTES:
        return _read(api, request.headers, body)
    return await asyncio.to_thread(_read, api, request.headers, body)


def _is_streamed(question: Question, response: Any) -> bool:
    """A provider may answer in one piece although it was asked for a stream."""
    is_whole = response.headers.get("content-type", "").startswith("application/json")
    return question.streams and response.status_code == 200 and not is_whole
