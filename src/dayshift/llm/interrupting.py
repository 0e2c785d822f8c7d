"""Waiting that something else may make pointless, in the manner of `asyncio.timeout`."""

import asyncio
from types import TracebackType
from typing import Any


class Interrupted(Exception):
    """What was waited for does not matter any more."""


class interrupted_by:  # noqa: N801 - used as a statement, as asyncio.timeout
    """Cancel what is inside as soon as `event` is done, and raise Interrupted instead."""

    def __init__(self, event: "asyncio.Future[Any]") -> None:
        self._event = event
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._is_interrupted = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None, "what awaits runs in a task"
        self._cancelling = self._task.cancelling()
        self._event.add_done_callback(self._interrupt)

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._event.remove_done_callback(self._interrupt)
        if self._is_interrupted and self._task is not None:
            others = self._task.uncancel() > self._cancelling
            if kind is not None and issubclass(kind, asyncio.CancelledError) and not others:
                raise Interrupted from None

    def _interrupt(self, _event: "asyncio.Future[Any]") -> None:
        self._is_interrupted = True
        if self._task is not None:
            self._task.cancel()
