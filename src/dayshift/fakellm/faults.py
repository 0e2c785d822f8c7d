"""What goes wrong on the way out: a finished reply is spoiled as a rule's `fault` says.

Streams are cut after `fault_after_tokens` tokens; a whole answer is cut in its middle.
"""

from typing import Any, Literal

import msgspec

from dayshift.fakellm.exchange import Ending, Reply
from dayshift.fakellm.formats.format import Format, Frames, data_frame, event_frame
from dayshift.fakellm.pace import Moments

FaultName = Literal[
    "hang",
    "hang_midway",
    "reset",
    "end_early",
    "error_event",
    "malformed_json",
    "wrong_content_type",
    "missing_usage",
    "html",
    "error_in_200",
    "huge_body",
]

_NEVER_SECONDS = 30 * 86_400.0
_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_ENDINGS: dict[str, Ending] = {"hang_midway": "hang", "reset": "reset", "end_early": "early"}
_ERROR = "The server had an error while processing your request."


def spoil(reply: Reply, fault: FaultName, dialect: Format, *, after_tokens: int, body_bytes: int) -> None:
    """Change the reply in place."""
    match fault:
        case "hang":
            reply.moments = Moments(_NEVER_SECONDS, _NEVER_SECONDS)
        case "hang_midway" | "reset" | "end_early":
            reply.ending = _ENDINGS[fault]
            _change_frames(reply, lambda frames: Frames(frames.opening, frames.tokens[:after_tokens], b""))
        case "wrong_content_type":
            reply.content_type = "text/plain"
        case "html":
            _replace_body(reply, _HTML, "text/html")
        case "error_in_200":
            _replace_body(reply, msgspec.json.encode(dialect.error(500, _ERROR, None, "req_fake")), None)
        case "huge_body":
            _replace_body(reply, b" " * body_bytes + (reply.body or b"{}"), None)
        case "missing_usage":
            reply.body = _without_usage(reply.body)
            _change_frames(reply, _frames_without_usage)
        case "malformed_json":
            reply.body = reply.body[: len(reply.body) // 2]
            broken = b'data: {"id": "broken\n\n'
            _change_frames(reply, lambda frames: Frames(frames.opening, [*frames.tokens[:after_tokens], broken], b""))
        case "error_event":
            event = _error_event(dialect)
            _change_frames(reply, lambda frames: Frames(frames.opening, frames.tokens[:after_tokens], event))
            reply.body = reply.body and msgspec.json.encode(dialect.error(500, _ERROR, None, "req_fake"))
    reply.paid = reply.paid and fault in ("wrong_content_type", "missing_usage", "huge_body")


def _change_frames(reply: Reply, change: Any) -> None:
    make = reply.make_frames
    if make is not None:
        reply.make_frames = lambda: change(make())


def _replace_body(reply: Reply, body: bytes, content_type: str | None) -> None:
    reply.make_frames = None
    reply.body = body
    reply.content_type = content_type


def _error_event(dialect: Format) -> bytes:
    """As each provider sends one: Anthropic and Responses name it, chat completions puts an error into the data."""
    error = dialect.error(500, _ERROR, None, "req_fake")
    if dialect.family == "anthropic":
        return event_frame(error)
    if dialect.names_events:
        return event_frame(
            {"type": "error", "code": "server_error", "message": _ERROR, "param": None, "sequence_number": 0}
        )
    return data_frame(error)


def _frames_without_usage(frames: Frames) -> Frames:
    """Parsed and written again, frame by frame; only a call with this fault pays for it."""
    tokens = [_event_without_usage(token) for token in frames.tokens]
    return Frames(_event_without_usage(frames.opening), tokens, _event_without_usage(frames.closing))


def _event_without_usage(frame: bytes) -> bytes:
    lines = []
    for line in frame.split(b"\n"):
        data = line.removeprefix(b"data: ")
        lines.append(b"data: " + _without_usage(data) if data.startswith(b"{") else line)
    return b"\n".join(lines)


def _without_usage(body: bytes) -> bytes:
    return msgspec.json.encode(_strip(msgspec.json.decode(body))) if body else body


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _strip(inner) for name, inner in value.items() if name != "usage"}
    return [_strip(inner) for inner in value] if isinstance(value, list) else value
