"""The SDK's messages as plain JSON.

The protocol carries every number of a data part as a double, and its library writes 3 as 3.0, which is no `int` to an agent
that asks for one. Whole numbers are written as such, as far as a double knows them exactly.
"""

from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from dayshift.domain.a2a import Json

_EXACT = 2**53


def plain(message: Message) -> Json:
    """A message as the protocol's JSON has it."""
    made: Json = _whole(MessageToDict(message))
    return made


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    return [_whole(part) for part in value] if isinstance(value, list) else value
