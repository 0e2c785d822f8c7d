"""What passes between HTTP (`wire.py`) and the provider (`provider.py`)."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from dayshift.fakellm.formats.format import Frames
from dayshift.fakellm.meter import Admission
from dayshift.fakellm.pace import Moments
from dayshift.fakellm.tally import OpenCall

Ending = Literal["whole", "hang", "reset", "early"]
"""How a reply ends: as it should, never, with a connection reset, or before its end."""

AT_ONCE = Moments(0.0, 0.0)


class Request(msgspec.Struct):
    """A whole HTTP request; header names in lower case, the query cut off the path."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    query: str = ""


class Reply(msgspec.Struct):
    """What to send and when: a body in one piece, or frames that are made only when the first is due."""

    status: int
    body: bytes = b""
    make_frames: Callable[[], Frames] | None = None
    headers: dict[str, str] = {}
    moments: Moments = AT_ONCE
    call: OpenCall | None = None
    admission: Admission | None = None
    content_type: str | None = None
    ending: Ending = "whole"
    paid: bool = True

    def sent(self) -> None:
        """The last byte is out."""
        if self.call is not None:
            self.call.end(paid=self.status == 200 and self.paid)
        if self.admission is not None:
            self.admission.end(paid=self.status == 200 and self.paid)

    def hung_up(self) -> None:
        """The caller left before the last byte."""
        if self.call is not None:
            self.call.abort()
        if self.admission is not None:
            self.admission.abort()


def json_reply(status: int, data: Any, **headers: str) -> Reply:
    """An answer of plain JSON."""
    return Reply(status, msgspec.json.encode(data), headers=headers)
