"""A provider's stream on its way to its reader, and one that is given again.

    the last event comes        record, then hand it on
    the provider breaks off     not recorded: the reader is told, and asks again
    the reader leaves           recorded as far as it was read, before anything else is done: that is what it works with
                                if the attempt ends by an error before that, it is not: the next attempt reads on

A reader that left comes to the same place in a replay, and leaves. One that wants more is told so: an end that looks like the provider's
would pass half an answer off as a whole one. As some read ahead of what they hand on, they are given a moment to leave.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from dayshift.llm.capture.core import Reading, Recorder
from dayshift.llm.formats import EventSplitter

READ_AHEAD_SECONDS = 1.0


class _Stream:
    def __init__(self, recorder: Recorder, draft: Any, reading: Reading, upstream: Any) -> None:
        self._recorder = recorder
        self._draft = draft
        self._reading = reading
        self._upstream = upstream
        self._splitter = EventSplitter()

    def _leave(self) -> None:
        """The reader closes it; harmless when it has come to its end."""
        if self._reading.has_begun and not self._reading.is_over:
            self._reading.is_over = True
            self._recorder.left(self._draft, self._reading.answer(is_cut=True), self._reading.usage)


class AsyncStream(_Stream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._upstream.aiter_bytes():
                for event in self._splitter.feed(chunk):
                    if self._reading.is_last(event):
                        self._reading.is_over = True
                        await self._recorder.record(self._draft, self._reading.answer(), self._reading.usage)
                    yield event.raw
        except Exception:
            self._reading.is_over = True
            raise
        self._reading.is_over = True  # broken off by the provider, if it was not the end
        if self._splitter.rest:
            yield self._splitter.rest

    async def aclose(self) -> None:
        self._leave()
        await self._upstream.aclose()


class PlainStream(_Stream):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._upstream.iter_bytes():
                for event in self._splitter.feed(chunk):
                    if self._reading.is_last(event):
                        self._reading.is_over = True
                        self._recorder.record_here(self._draft, self._reading.answer(), self._reading.usage)
                    yield event.raw
        except Exception:
            self._reading.is_over = True
            raise
        self._reading.is_over = True
        if self._splitter.rest:
            yield self._splitter.rest

    def close(self) -> None:
        self._leave()
        self._upstream.close()


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
