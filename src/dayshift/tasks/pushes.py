"""What is pushed to this process: one subscription for all who listen.

A push only makes things faster. Whoever listens must also find out without it: a message may be lost with its connection,
which is why `on_reconnected` asks everybody to look again.
"""

from collections.abc import Callable

from dayshift.domain.events import Fault
from dayshift.hotplane import RECONNECTED, Plane, Subscription
from dayshift.telemetry import emit

Handler = Callable[[bytes], None]


class Pushes:
    """Opened by the first who listens."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._subscription: Subscription | None = None
        self._handlers: dict[str, list[Handler]] = {}
        self._reconnected: list[Callable[[], None]] = []

    async def listen(self, channel: str, handler: Handler) -> None:
        """Call `handler` with each payload: all that is published after this returns, if the plane answers."""
        handlers = self._handlers.setdefault(channel, [])
        if handler not in handlers:
            handlers.append(handler)
        await self._opened().add(channel)

    def leave(self, channel: str, handler: Handler) -> None:
        """Take a handler back; the last one ends the subscription to that channel."""
        handlers = self._handlers.get(channel, [])
        if handler in handlers:
            handlers.remove(handler)
        if not handlers and self._handlers.pop(channel, None) is not None and self._subscription is not None:
            self._subscription.remove(channel)

    def on_reconnected(self, callback: Callable[[], None]) -> None:
        """Messages may have been missed: look again."""
        self._reconnected.append(callback)

    async def close(self) -> None:
        """Hear nothing more. Safe to repeat."""
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None

    def _opened(self) -> Subscription:
        if self._subscription is None:
            self._subscription = self._plane.subscriber(self._take)
        return self._subscription

    def _take(self, channel: str, payload: bytes) -> None:
        if channel == RECONNECTED:
            for callback in self._reconnected:
                _reported(callback)
        else:
            for handler in list(self._handlers.get(channel, ())):
                _reported(handler, payload)


def _reported(listener: Callable[..., None], *said: bytes) -> None:
    try:
        listener(*said)
    except Exception as error:  # noqa: BLE001 - one listener's fault must not deafen the others
        emit(Fault.of("tasks.pushes", error))
