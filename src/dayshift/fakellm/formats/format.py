"""What every dialect can do."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from dayshift.fakellm.answer import Answer
from dayshift.fakellm.prompt import Prompt

_encode = msgspec.json.Encoder().encode


class Frames(msgspec.Struct):
    """A streamed answer as Server-Sent Events: what comes with the first token, a frame for each token, the end."""

    opening: bytes
    tokens: list[bytes]
    closing: bytes


class Format(msgspec.Struct, frozen=True):
    """One provider's dialect, as functions between its JSON and our words."""

    read: Callable[[dict[str, Any]], Prompt]
    whole: Callable[[Answer, Prompt], dict[str, Any]]
    frames: Callable[[Answer, Prompt], Frames] | None
    """None: an answer is never streamed."""
    error: Callable[[int, str, str | None, str], dict[str, Any]]
    """(status, message, param, request id) -> the error's body."""
    request_id_header: str
    family: Literal["openai", "anthropic"] = "openai"
    names_events: bool = True


def data_frame(data: Any) -> bytes:
    """A frame without an event name, as chat completions sends it."""
    return b"data: " + _encode(data) + b"\n\n"


def event_frame(data: dict[str, Any]) -> bytes:
    """A frame whose event is named as the data's own type, as Responses and Anthropic send it."""
    name: str = data["type"]
    return b"event: " + name.encode() + b"\ndata: " + _encode(data) + b"\n\n"
