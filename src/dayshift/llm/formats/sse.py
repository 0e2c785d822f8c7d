"""Server-Sent Events as providers send them (WHATWG HTML, section 9.2), split without being changed.

An event is passed on as the bytes that came, so that whoever reads behind us sees what the provider wrote.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

_EVENT_ENDS = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_END = 4
LONGEST_EVENT_BYTES = 16 * 1024 * 1024
LONGEST_STREAM_BYTES = 256 * 1024 * 1024


class StreamTooLong(ValueError):
    """It has sent more than any answer has, and nobody can say whether it will end."""


class Event(Struct, frozen=True):
    """One event: its bytes with the empty line that ends it, and what they say."""

    raw: bytes
    name: str
    data: bytes


class EventSplitter:
    """Takes bytes as they come, and gives back the events that they complete.

    What was looked through for an end is not looked through again, so that an event of many pieces costs what it is long.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._looked_through = 0
        self._received_bytes = 0

    def feed(self, received: bytes) -> Iterator[Event]:
        """The events that are whole now. Raises StreamTooLong."""
        self._received_bytes += len(received)
        self._rest += received
        events, start = [], 0
        for ending in _EVENT_ENDS.finditer(self._rest, max(0, self._looked_through - _LONGEST_END)):
            events.append(event_of(bytes(self._rest[start : ending.end()])))
            start = ending.end()
        del self._rest[:start]
        self._looked_through = len(self._rest)
        yield from events
        if len(self._rest) > LONGEST_EVENT_BYTES or self._received_bytes > LONGEST_STREAM_BYTES:
            raise StreamTooLong(f"{self._received_bytes} bytes, {len(self._rest)} of them in an event without an end")

    @property
    def rest(self) -> bytes:
        """What has come of an event that is not whole."""
        return bytes(self._rest)


def event_of(raw: bytes) -> Event:
    """Read one event. Fields other than `event` and `data` say nothing to us."""
    name, data = b"message", []
    for line in raw.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return Event(raw, name.decode("utf-8", "replace"), b"\n".join(data))
