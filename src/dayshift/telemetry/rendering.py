"""A log line as text: JSON for machines, or a coloured line for people. Runs on the writer's thread."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec

from dayshift.telemetry.redaction import redact

LogFormat = Literal["json", "pretty"]
Line = dict[str, Any]

# What a line begins with, in this order; the rest follows as it was given.
_FIRST = ("timestamp", "level", "event")


def renderer(log_format: LogFormat, *, static: Line, colors: bool) -> Callable[[Line], str]:
    """A function that makes text of a line, without secrets. `static` fields end every line."""
    render = _pretty(colors=colors) if log_format == "pretty" else _json

    def render_line(line: Line) -> str:
        ordered = {name: line[name] for name in _FIRST if name in line}
        clean = redact(None, "", {**ordered, **line})
        return render(clean | static if log_format == "json" else clean)

    return render_line


def _json(line: Any) -> str:
    try:
        return msgspec.json.encode(line).decode()
    except (TypeError, ValueError, UnicodeEncodeError):  # lone surrogates, integers beyond 64 bits
        return json.dumps(line, default=repr)


def _pretty(*, colors: bool) -> Callable[[Any], str]:
    from structlog.dev import ConsoleRenderer, plain_traceback

    console = ConsoleRenderer(colors=colors, exception_formatter=plain_traceback, pad_event_to=24, sort_keys=False)

    def render(line: Any) -> str:
        stamp = line.get("timestamp")
        if isinstance(stamp, datetime):
            line["timestamp"] = stamp.astimezone().strftime("%H:%M:%S.%f")[:-3]
        stack = line.pop("stack", None)
        text = console(None, "", line)
        return f"{text}\n{str(stack).rstrip()}" if stack else str(text)

    return render
