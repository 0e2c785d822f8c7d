"""A task's live stream as Server-Sent Events.

Each event has its number as `id:`, so a browser's EventSource (or anybody who sends `Last-Event-ID`, or `?after=N`) goes
on where it stopped, on any gateway. A silent stream says `: heartbeat` each 15 s, so that nobody between takes the
connection for dead. The stream ends after the final event, and only whoever follows the task can tell which one that is:
a dead letter that was retried goes on after its `task.failed`. A gateway that drains ends it early, with a comment and a
`retry:` that brings the reader back at once. A reader that is too slow to take what is sent is cut off: it holds memory
here, and can resume.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Generic, Protocol, TypeVar, cast

from msgspec import Meta, Struct
from starlette.types import Send

from dayshift.domain.stream import StreamEvent
from dayshift.gateway.headers import last_event_id
from dayshift.gateway.replies import CONNECTION_CLOSE, header
from dayshift.gateway.request import Request
from dayshift.gateway.tasks import named_task, no_such_task
from dayshift.tasks.services import Services

HEARTBEAT_SECONDS = 15.0
SLOWEST_READ_SECONDS = 30.0

EVENT_STREAM = "text/event-stream"
_HEADERS = [
    header("content-type", f"{EVENT_STREAM}; charset=utf-8"),
    header("cache-control", "no-cache, no-transform"),
    header("x-accel-buffering", "no"),
]
_HELLO = b": dayshift\nretry: 1000\n\n"
_HEARTBEAT = b": heartbeat\n\n"
_RESUME = b": this gateway is leaving; resume with Last-Event-ID\nretry: 100\n\n"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class Ending(Protocol):
    """An event of a stream that knows whether it is the last one."""

    @property
    def is_final(self) -> bool: ...


Event = TypeVar("Event", bound=Ending)


class After(Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an event stream."""

    after: Annotated[int, Meta(ge=0, lt=1 << 53, description="Only events with higher numbers.")] = 0


class Events:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def stream(self, request: Request) -> "EventStream":
        """The task's events from where the reader stopped."""
        task_id = named_task(request)
        asked = request.query(After).after
        resumed = last_event_id(request)
        if await self._services.lookup.of_tenant(task_id, request.tenant) is None:
            raise no_such_task(task_id)
        events = self._services.waiters.stream(task_id, request.tenant, asked if resumed is None else resumed)
        return EventStream(events, request)


class LiveStream(ABC, Generic[Event]):
    """An answer that goes on until the final event, the reader's leave, or this gateway's."""

    status = 200
    hello = _HELLO
    resume: bytes | None = _RESUME  # what is said where the end is not the final event; None: the connection is cut

    def __init__(self, events: AsyncIterator[Event], request: Request) -> None:
        request.stay()
        self._events = cast("AsyncGenerator[Event]", events)
        self._request = request
        self._is_at_an_end = False

    @abstractmethod
    def _frame(self, event: Event) -> bytes:
        """An event on the wire."""

    async def send(self, send: Send, *, closing: bool, without_body: bool = False) -> None:  # noqa: ARG002 - a stream is never the answer to HEAD
        headers = [*_HEADERS, CONNECTION_CLOSE] if closing else _HEADERS
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        try:
            async with aclosing(self._frames()) as frames:
                async for frame in frames:
                    async with asyncio.timeout(SLOWEST_READ_SECONDS):
                        await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError:
            return  # an answer that was not ended makes the server cut the connection
        if self.resume is None and not self._is_at_an_end:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _frames(self) -> AsyncGenerator[bytes]:
        yield self.hello
        gone = asyncio.ensure_future(self._request.gone())
        upcoming = _next_of(self._events)
        try:
            while True:
                await asyncio.wait([upcoming, gone], timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if upcoming.done():
                    event = upcoming.result()
                    if event is None:
                        break
                    yield self._frame(event)
                    self._is_at_an_end = event.is_final
                    upcoming = _next_of(self._events)
                elif gone.done():
                    return
                else:
                    yield _HEARTBEAT
            if self.resume is not None and not self._is_at_an_end:
                yield self.resume
        finally:
            gone.cancel()
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
            await self._events.aclose()


class EventStream(LiveStream[StreamEvent]):
    """A task's own stream."""

    def _frame(self, event: StreamEvent) -> bytes:
        return frame_of(event)


def _next_of(events: AsyncIterator[Event]) -> asyncio.Task[Event | None]:
    async def step() -> Event | None:
        return await anext(events, None)

    return asyncio.ensure_future(step())


def frame_of(event: StreamEvent) -> bytes:
    """One event on the wire. Line ends can stand only between JSON's tokens, where a space means the same."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.number, event.type.encode(), event.data.translate(_ONE_LINE))
