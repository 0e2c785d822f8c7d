"""Server-Sent Events as providers send them (WHATWG HTML, section 9.2), split without being changed.

An event is passed on as the bytes that came, so that whoever reads behind us sees what the provider wrote.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

_EVENT_ENDS = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Event(Struct, frozen=True):
    """One event: its bytes with the empty line that ends it, and what they say."""

    raw: bytes
    name: str
    data: bytes


class EventSplitter:
    """Takes bytes as they come, and gives back the events that they complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[Event]:
        """The events that are whole now."""
        self._rest += received
        start = 0
        for ending in _EVENT_ENDS.finditer(self._rest):
            yield event_of(self._rest[start : ending.end()])
            start = ending.end()
        self._rest = self._rest[start:]

    @property
    def rest(self) -> bytes:
        """What has come of an event that is not whole."""
        return self._rest


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
