"""What is pushed to this process: one subscription for all who listen.

A push only makes things faster. Whoever listens must also find out without it: a message may be lost with its connection,
which is why `on_reconnected` asks everybody to look again.
"""

import asyncio
from collections.abc import Callable

from dayshift.domain.events import Fault
from dayshift.hotplane import RECONNECTED, Plane, Subscription
from dayshift.tasks.background import Background
from dayshift.telemetry import emit

Handler = Callable[[bytes], None]


class Pushes:
    """Opened by the first who listens."""

    def __init__(self, plane: Plane, background: Background) -> None:
        self._plane = plane
        self._background = background
        self._subscription: Subscription | None = None
        self._reader: asyncio.Task[None] | None = None
        self._handlers: dict[str, list[Handler]] = {}
        self._reconnected: list[Callable[[], None]] = []

    async def listen(self, channel: str, handler: Handler) -> None:
        """Call `handler` with each payload: all that is published after this returns, if the plane answers."""
        handlers = self._handlers.setdefault(channel, [])
        if handler not in handlers:
            handlers.append(handler)
        await self._opened().add(channel)

    async def leave(self, channel: str, handler: Handler) -> None:
        """Take a handler back; the last one ends the subscription to that channel."""
        handlers = self._handlers.get(channel, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers and self._handlers.pop(channel, None) is not None and self._subscription is not None:
            await self._subscription.remove(channel)

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        """Messages may have been missed: look again."""
        self._reconnected.append(callback)

    async def close(self) -> None:
        """Hear nothing more. Safe to repeat."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None

    def _opened(self) -> Subscription:
        if self._subscription is None:
            self._subscription = self._plane.subscriber()
            self._reader = self._background.spawn(self._read(self._subscription), where="tasks.pushes")
        return self._subscription

    async def _read(self, subscription: Subscription) -> None:
        async for channel, payload in subscription:
            if channel == RECONNECTED:
                for callback in self._reconnected:
                    callback()
            else:
                self._dispatch(channel, payload)

    def _dispatch(self, channel: str, payload: bytes) -> None:
        for handler in list(self._handlers.get(channel, ())):
            try:
                handler(payload)
            except Exception as error:  # noqa: BLE001 - one listener's fault must not deafen the others
                emit(Fault.of("tasks.pushes", error))
