"""Captures what goes through httpx and httpx2, which have the same shape and are told apart by their module alone.

What is replaced is a client's *choice* of a transport: it is made for every request, so clients count that were made at
import, with transports of their own, or with mounts. Outside of tasks the choice is as it was.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from dayshift.llm.capture.addresses import Addresses
from dayshift.llm.capture.answers import Answer, kept_headers
from dayshift.llm.capture.core import Recorder, current_recorder, is_retry
from dayshift.llm.capture.sending import AsyncSender, PlainSender, by_name, headers_of, without_packing
from dayshift.llm.capture.streams import AsyncStream, CutStream, PlainStream
from dayshift.llm.exchange import Incoming, LlmCall, NoAnswer, Reply
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


class _Kinds:
    """The transports and streams of one library: its base classes are known only once it is imported."""

    def __init__(self, library: ModuleType) -> None:
        errors = {"late": library.ReadTimeout, "broken": library.ReadError, "trouble": library.RequestError}
        own = {
            "library": library,
            "async_stream": type("RecordedAsync", (AsyncStream, library.AsyncByteStream), errors),
            "plain_stream": type("Recorded", (PlainStream, library.SyncByteStream), errors),
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

    def _heard(self, headers: Mapping[str, str], question: Question | None) -> Question | None:
        """The question, once the journal knows whether it is the one that an SDK asks again."""
        if question is not None and is_retry(headers):
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

    def _refused(self, draft: Any, incoming: Incoming, request: Any) -> Any:
        """A failure that was answered, with all its headers: they say when to try again."""
        headers = without_packing(incoming.headers)
        made = self.library.Response(incoming.status, headers=headers, content=incoming.body, request=request)
        self._recorder.failed(draft, _answer(incoming), made)
        return made

    def _streaming(self, incoming: Incoming, stream: Any) -> Any:
        return self.library.Response(incoming.status, headers=without_packing(incoming.headers), stream=stream)


class _AsyncTransport(_Transport):
    async def handle_async_request(self, request: Any) -> Any:
        called = self._addresses.call_of(request.method, request.url)
        if called is None:
            return await self._inner.handle_async_request(request)
        headers = by_name(headers_of(request))
        question = self._heard(headers, await _read_beside(called[1], headers, await request.aread()))
        if question is None:
            return await self._inner.handle_async_request(request)
        kept = await self._recorder.take(question)
        if kept is not None:
            return self._replayed(kept, request)
        return await self._ask(request, _call(request, headers, *called, question))

    async def _ask(self, request: Any, call: LlmCall) -> Any:
        question = call.question
        draft = await self._recorder.begin_once(question) if question.adds_there else self._recorder.begin(question)
        sender = AsyncSender(self.library, self._inner, request, call)
        try:
            reply = await self._recorder.send(call, sender)
        except NoAnswer as none:
            self._failed(draft, none.error)
            raise none.error from None
        if reply.incoming.opening is not None:
            again = partial(self._again, call, sender)
            return self._streaming(reply.incoming, self.async_stream(self._recorder, draft, call.api, reply, again))
        if not _is_success(reply.incoming):
            return self._refused(draft, reply.incoming, request)
        usage = reply.priced(reply.incoming.usage(call.api))
        return self._replayed(await self._recorder.record(draft, _answer(reply.incoming), usage), request)

    async def _again(self, call: LlmCall, sender: AsyncSender, broken: Reply) -> Reply | None:
        """A stream in the place of one that was broken off, if that is wanted and one is to be had."""
        if not broken.may_restart:
            return None
        try:
            reply = await self._recorder.send(call, sender, broken)
        except NoAnswer:
            return None
        return reply if reply.incoming.opening is not None else None


class _PlainTransport(_Transport):
    def handle_request(self, request: Any) -> Any:
        called = self._addresses.call_of(request.method, request.url)
        if called is None:
            return self._inner.handle_request(request)
        headers = by_name(headers_of(request))
        question = self._heard(headers, _read(called[1], headers, request.read()))
        if question is None:
            return self._inner.handle_request(request)
        kept = self._recorder.take_here(question)
        if kept is not None:
            return self._replayed(kept, request)
        return self._ask(request, _call(request, headers, *called, question))

    def _ask(self, request: Any, call: LlmCall) -> Any:
        question = call.question
        draft = self._recorder.begin_once_here(question) if question.adds_there else self._recorder.begin(question)
        sender = PlainSender(self.library, self._inner, request, call)
        try:
            reply = self._recorder.send_here(call, sender)
        except NoAnswer as none:
            self._failed(draft, none.error)
            raise none.error from None
        if reply.incoming.opening is not None:
            again = partial(self._again, call, sender)
            return self._streaming(reply.incoming, self.plain_stream(self._recorder, draft, call.api, reply, again))
        if not _is_success(reply.incoming):
            return self._refused(draft, reply.incoming, request)
        usage = reply.priced(reply.incoming.usage(call.api))
        return self._replayed(self._recorder.record_here(draft, _answer(reply.incoming), usage), request)

    def _again(self, call: LlmCall, sender: PlainSender, broken: Reply) -> Reply | None:
        """The same from a thread."""
        if not broken.may_restart:
            return None
        try:
            reply = self._recorder.send_here(call, sender, broken)
        except NoAnswer:
            return None
        return reply if reply.incoming.opening is not None else None


def _call(request: Any, headers: Mapping[str, str], provider: str, api: Format, question: Question) -> LlmCall:
    return LlmCall(
        provider=provider,
        api=api,
        question=question,
        url=str(request.url),
        headers=headers,
        body=request.content,
    )


def _answer(incoming: Incoming) -> Answer:
    return Answer(status=incoming.status, headers=kept_headers(incoming.headers), body=incoming.body)


def _is_success(incoming: Incoming) -> bool:
    return 200 <= incoming.status < 300


def _read(api: Format, headers: Mapping[str, str], body: bytes) -> Question | None:
    try:
        return question_of(api, headers, body)
    except NotAQuestion:
        return None


async def _read_beside(api: Format, headers: Mapping[str, str], body: bytes) -> Question | None:
    """A long prompt takes milliseconds to read and to digest: in a thread, beside the other agents of this loop."""
    if len(body) < LONG_BYTES:
        return _read(api, headers, body)
    return await asyncio.to_thread(_read, api, headers, body)
