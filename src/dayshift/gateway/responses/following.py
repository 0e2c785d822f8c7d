"""A response's events, live: the task's stream from its beginning, told and numbered, from where the reader stopped.

The stream is read from its beginning, whatever the reader has seen: what the next event becomes depends on what was told
before it, and its number on how much that was.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from dayshift.domain.stream import StreamEvent
from dayshift.domain.task import Task
from dayshift.gateway.events import LiveStream
from dayshift.gateway.request import Request
from dayshift.gateway.responses.events import Narrator
from dayshift.gateway.responses.numbers import Numbers

_encode = msgspec.json.Encoder().encode


class ResponseStream(LiveStream[StreamEvent]):
    """The events above `after` (None: all) of the response that a task is. `source` is the task's stream from its beginning.

    `when_delivered` is called once the reader has taken the end. OpenAI's clients take each `id:` and `retry:` for a part of an
    event, so there is none. A gateway that leaves cuts the connection, which is how they know that there is more.
    """

    hello = b": dayshift\n\n"
    resume = None

    def __init__(
        self,
        source: AsyncGenerator[StreamEvent],
        request: Request,
        *,
        task: Task,
        after: int | None,
        when_delivered: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(self._told(source, task, after), request)
        self._when_delivered = when_delivered

    def _frame(self, event: StreamEvent) -> bytes:
        return b"event: %s\ndata: %s\n\n" % (event.type.encode(), event.data)

    async def _told(
        self, source: AsyncGenerator[StreamEvent], task: Task, after: int | None
    ) -> AsyncGenerator[StreamEvent]:
        narrator, numbers = Narrator(task), Numbers()
        has_ended = False
        async with aclosing(source):
            async for event in source:
                told = narrator.tell(event)
                for number, one in zip(numbers.of(event, len(told)), told, strict=True):
                    if after is None or number > after:
                        data = _encode({"type": one["type"], "sequence_number": number, **one})
                        yield StreamEvent(number, one["type"], data)
                has_ended = event.is_final
        if has_ended:  # the reader has come for more: it has it all
            self._is_at_an_end = True
            await self._when_delivered()
