"""A provider's stream on its way to its reader, and one that is given again.

    the last event comes        record, then hand it on
    the provider breaks off     not recorded: the reader is told, and asks again; or, where the settings say so, the stream begins anew
                                elsewhere behind a mark, and only what comes then is recorded
    the reader leaves           recorded as far as it was read, before anything else is done: that is what it works with
                                if the attempt ends by an error before that, it is not: the next attempt reads on

A reader that left comes to the same place in a replay, and leaves. One that wants more is told so: an end that looks like the provider's
would pass half an answer off as a whole one. As some read ahead of what they hand on, they are given a moment to leave.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.effect import CallUsage
from dayshift.llm.capture.answers import Answer, kept_headers
from dayshift.llm.capture.core import Reading, Recorder
from dayshift.llm.exchange import Reply
from dayshift.llm.formats import Event, Format, StreamTooLong
from dayshift.llm.verdicts import verdict_of_event

READ_AHEAD_SECONDS = 1.0


class _Complained(Exception):
    """The provider says amid its stream that it cannot go on."""

    def __init__(self, event: Event) -> None:
        self.event = event


def _handed_over(error: Exception) -> bytes:
    """What its reader is told of the break: the provider's own event, or the library's error, which is raised."""
    if isinstance(error, _Complained):
        return error.event.raw
    raise error


class _Stream:
    """Of a call that was answered by a stream: what has come of it already, and the rest. `late`, `broken` and `trouble` are the
    library's errors. `again` has the call made once more, after the provider has broken it off; None where that is not wanted.
    """

    late: type[Exception]
    broken: type[Exception]
    trouble: type[Exception]

    def __init__(
        self, recorder: Recorder, draft: Any, api: Format, reply: Reply, again: Callable[[Reply], Any]
    ) -> None:
        self._recorder = recorder
        self._draft = draft
        self._api = api
        self._again = again
        self._take(reply)

    def _take(self, reply: Reply) -> None:
        """Go on with this one, from its beginning."""
        assert reply.incoming.opening is not None, "an answer in one piece is no stream"
        self._reply = reply
        self._incoming = reply.incoming
        self._opening = reply.incoming.opening
        self._reading = Reading(self._api, reply.incoming.status, kept_headers(reply.incoming.headers))
        self._ends_mono = math.inf if reply.patience is None else monotonic_seconds() + reply.patience.total_seconds

    def _restart(self, reply: Reply | None) -> bytes | None:
        """The mark that what follows begins anew; None: nothing follows."""
        if reply is None:
            return None
        self._take(reply)
        self._recorder.began_anew(self._draft)
        target = dict(reply.incoming.headers).get("dayshift-target", "")
        return f": dayshift restarted this stream at {target}\n\n".encode()

    def _tell(self, event: Event) -> None:
        text = self._api.text_in(event)
        if text:
            self._recorder.said(self._draft, text)

    def _usage(self) -> CallUsage:
        return self._reply.priced(self._reading.usage)

    def _ended(self) -> Answer:
        answer = self._reading.answer()
        self._reply.ended(self._reading.usage)
        self._reply.whole(answer.headers, answer.body)
        return answer

    def _over(self) -> None:
        """The provider has closed it. Raises the library's error if that was not the end, and nothing was said of an error: the SDKs
        take any end for the answer's.
        """
        if not self._reading.is_over:
            self._broken()
            if self._reading.has_failed:
                return
            raise self.broken("the provider ended its stream before the last event")

    def _too_late(self) -> Exception:
        if monotonic_seconds() >= self._ends_mono:
            return self.late("the provider's stream takes longer than a call may in all")
        return self.late("the provider went silent amid its stream")

    def _listen(self, event: Event) -> None:
        """An error that the provider tells of amid its stream, or data that nobody can read, is a break like any other."""
        if (b"error" in event.data or not event.data.endswith(b"}")) and not self._reading.is_over:
            verdict = verdict_of_event(self._api, event)
            if verdict is not None and verdict.kind in ("retry", "limit"):
                raise _Complained(event)

    def _broken(self) -> None:
        self._reading.is_over = True
        self._reply.broke_off(self._reading.usage)

    def _leave(self) -> None:
        """The reader closes it; harmless when it has come to its end."""
        if self._reading.has_begun and not self._reading.is_over:
            self._reading.is_over = True
            self._recorder.left(self._draft, self._reading.answer(is_cut=True), self._usage())
        self._reply.ended(self._reading.usage)


class AsyncStream(_Stream):
    _iterator: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Once: who begins again goes on, as an SDK does that reads what comes after the end."""
        if self._iterator is None:
            self._iterator = self._all()
        return self._iterator

    async def _all(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async for piece in self._pieces():
                    yield piece
            except (_Complained, self.trouble) as error:
                await self._close()
                mark = self._restart(await self._again(self._reply))
                if mark is None:
                    yield _handed_over(error)
                    return
                yield mark
            else:
                return

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            for event in self._opening.events:
                yield await self._handed_on(event)
            async for chunk in self._rest():
                for event in self._opening.splitter.feed(chunk):
                    self._listen(event)
                    yield await self._handed_on(event)
        except StreamTooLong as error:
            self._broken()
            raise self.broken(str(error)) from None
        except Exception:
            self._broken()
            raise
        self._over()
        if self._opening.splitter.rest:
            yield self._opening.splitter.rest

    async def _handed_on(self, event: Event) -> bytes:
        self._tell(event)
        if self._reading.is_last(event):
            self._reading.is_over = True
            answer = self._ended()
            await self._recorder.record(self._draft, answer, self._usage())
        return event.raw

    async def _rest(self) -> AsyncIterator[bytes]:
        if self._incoming.is_over:
            return
        idle_seconds = math.inf if self._reply.patience is None else self._reply.patience.idle_seconds
        while True:
            seconds = min(idle_seconds, self._ends_mono - monotonic_seconds())
            try:
                async with asyncio.timeout(None if seconds == math.inf else seconds):
                    chunk = await anext(self._incoming.rest, None)
            except TimeoutError:
                if self._reading.is_over:  # all was said, but for the closing of the connection
                    return
                raise self._too_late() from None
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        self._leave()
        await self._close()

    async def _close(self) -> None:
        if self._incoming.response is not None:
            await self._incoming.response.aclose()


class PlainStream(_Stream):
    _iterator: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        """As above."""
        if self._iterator is None:
            self._iterator = self._all()
        return self._iterator

    def _all(self) -> Iterator[bytes]:
        while True:
            try:
                yield from self._pieces()
            except (_Complained, self.trouble) as error:
                self._close()
                mark = self._restart(self._again(self._reply))
                if mark is None:
                    yield _handed_over(error)
                    return
                yield mark
            else:
                return

    def _pieces(self) -> Iterator[bytes]:
        try:
            for event in self._opening.events:
                yield self._handed_on(event)
            for chunk in self._rest():
                for event in self._opening.splitter.feed(chunk):
                    self._listen(event)
                    yield self._handed_on(event)
        except StreamTooLong as error:
            self._broken()
            raise self.broken(str(error)) from None
        except Exception:
            self._broken()
            raise
        self._over()
        if self._opening.splitter.rest:
            yield self._opening.splitter.rest

    def _rest(self) -> Iterator[bytes]:
        for chunk in () if self._incoming.is_over else self._incoming.rest:
            yield chunk
            if monotonic_seconds() > self._ends_mono and not self._reading.is_over:
                raise self._too_late()

    def _handed_on(self, event: Event) -> bytes:
        self._tell(event)
        if self._reading.is_last(event):
            self._reading.is_over = True
            answer = self._ended()
            self._recorder.record_here(self._draft, answer, self._usage())
        return event.raw

    def close(self) -> None:
        self._leave()
        self._close()

    def _close(self) -> None:
        if self._incoming.response is not None:
            self._incoming.response.close()


class CutStream:
    """One that its reader left, given again."""

    def __init__(self, body: bytes, error: type[Exception]) -> None:
        self._body = body
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        time.sleep(READ_AHEAD_SECONDS)
        raise self._read_on()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        await asyncio.sleep(READ_AHEAD_SECONDS)
        raise self._read_on()

    def _read_on(self) -> Exception:
        return self._error(
            "an earlier attempt left this stream here, and what it had read is all that is recorded: let the agent leave it at the "
            "same place, or read it to its end"
        )
