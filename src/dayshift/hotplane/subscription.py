"""Push messages: one connection a process, with channels that come and go.

It keeps its own connection alive: after a loss it connects again (with backoff), subscribes to everything that is wanted
and then says `RECONNECTED`, since messages may have been missed: whoever waits must look again.

A message is handed on in the very step that reads it: it is what somebody waits for, and a queue in between would cost it
a turn of the event loop. UNSUBSCRIBEs can wait: those of one turn leave together, in the next.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError, PlaneAway
from dayshift.hotplane.address import Address
from dayshift.hotplane.connection import STEADY_SECONDS, PushLine, backoff_seconds

RECONNECTED: Final = "reconnected"
"""In the place of a channel: the connection was lost and is back; messages in between are missing."""


class Subscription:
    """`take(channel, payload)` hears every message and must not raise; without it, iterate: `async for channel, payload`.

    `add` and `remove` at any time. Closed by `close`.
    """

    def __init__(
        self, address: Address, *, timeout_seconds: float, take: Callable[[str, bytes], None] | None = None
    ) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._hand_on = take or self._keep_for_iteration
        self._wanted: set[str] = set()
        self._confirmed: set[str] = set()
        self._unanswered: dict[str, int] = {}  # SUBSCRIBEs on the wire: only the last one's answer confirms
        self._unwanted: set[str] = set()
        self._waiting: dict[str, asyncio.Event] = {}
        self._messages: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self._line: PushLine | None = None
        self._reader: asyncio.Task[None] | None = None
        self._unsubscribing: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Begin to connect, in the background; the first connection is no RECONNECTED."""
        if self._reader is None and not self._closed:
            self._reader = asyncio.create_task(self._keep_reading(), name="hotplane-subscription")

    async def add(self, *channels: str) -> None:
        """Subscribe. Returns when the server has confirmed: what is published after that is received.

        While the server is away it returns after the time-out; the channels are subscribed to before RECONNECTED.
        """
        await self.open()
        new = [channel for channel in channels if channel not in self._wanted]
        self._wanted.update(new)
        self._unwanted.difference_update(new)
        if new and self._line is not None:
            await self._subscribe(self._line, new)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_seconds):
                for channel in channels:
                    while channel in self._wanted and channel not in self._confirmed:
                        await self._waiting.setdefault(channel, asyncio.Event()).wait()

    def remove(self, *channels: str) -> None:
        """Unsubscribe, soon; messages that are under way may still come out."""
        known = [channel for channel in channels if channel in self._wanted]
        self._wanted.difference_update(known)
        self._confirmed.difference_update(known)
        for channel in known:
            waiting = self._waiting.pop(channel, None)
            if waiting is not None:
                waiting.set()
        self._unwanted.update(known)
        if known and (self._unsubscribing is None or self._unsubscribing.done()):
            self._unsubscribing = asyncio.create_task(self._unsubscribe(), name="hotplane-unsubscribe")

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        await self.open()
        while (message := await self._messages.get()) is not None:
            yield message

    async def close(self) -> None:
        """End the connection and every iteration over it; closing twice is safe."""
        self._closed = True
        self._messages.put_nowait(None)
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    def _keep_for_iteration(self, channel: str, payload: bytes) -> None:
        self._messages.put_nowait((channel, payload))

    async def _unsubscribe(self) -> None:
        while self._unwanted and not self._closed:
            unwanted, self._unwanted = self._unwanted, set()
            if self._line is not None:
                with contextlib.suppress(PlaneAway):  # the reader sees the loss as well
                    await self._line.send("UNSUBSCRIBE", *unwanted)

    async def _subscribe(self, line: PushLine, channels: Iterable[str]) -> None:
        for channel in channels:
            self._unanswered[channel] = self._unanswered.get(channel, 0) + 1
        with contextlib.suppress(PlaneAway):  # the reader sees the loss as well, and subscribes to all that is wanted
            await line.send("SUBSCRIBE", *channels)

    async def _keep_reading(self) -> None:
        losses = 0
        connected_before = False
        while True:
            since = monotonic_seconds()
            try:
                async with PushLine.connected(self._address, self._timeout_seconds) as line:
                    self._line = line
                    await self._resubscribe(line)
                    if connected_before:
                        self._hand_on(RECONNECTED, b"")
                    connected_before = True
                    await self._read(line)
            except DayshiftError:  # also a refusal, e.g. of a password that is being changed: it may be accepted again
                losses = 0 if monotonic_seconds() - since > STEADY_SECONDS else losses + 1
            finally:
                self._line = None
                self._confirmed.clear()
                self._unanswered.clear()
            await asyncio.sleep(backoff_seconds(losses))

    async def _resubscribe(self, line: PushLine) -> None:
        if self._wanted:
            await self._subscribe(line, list(self._wanted))
            while not self._wanted <= self._confirmed:
                self._take(await line.receive())

    async def _read(self, line: PushLine) -> None:
        while True:
            self._take(await line.receive())

    def _take(self, message: list[bytes]) -> None:
        kind, channel = message[0], message[1].decode()
        if kind == b"message":
            self._hand_on(channel, message[2])
        elif kind == b"subscribe":
            self._unanswered[channel] = self._unanswered.get(channel, 1) - 1
            if not self._unanswered[channel]:
                del self._unanswered[channel]
                self._confirm(channel)

    def _confirm(self, channel: str) -> None:
        if channel in self._wanted:
            self._confirmed.add(channel)
            waiting = self._waiting.pop(channel, None)
            if waiting is not None:
                waiting.set()
