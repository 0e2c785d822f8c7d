"""Leads other people's log lines into the same pipeline: the standard `logging` module, and structlog in author code."""

import logging
import traceback
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from dayshift.domain.clock import now
from dayshift.telemetry.context import bound_ids
from dayshift.telemetry.event_lines import level_name
from dayshift.telemetry.writer import Line

Put = Callable[[Line], None]

# They write a line for every request at INFO, with the whole URL: that is what our own events and metrics are for.
CHATTY_AT_INFO = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "uvicorn.access")

_PLAIN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class BridgeHandler(logging.Handler):
    """Puts records of the standard library's loggers, with the bound ids and what was given as `extra`."""

    def __init__(self, put: Put) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._put(_line_of(record))
        except Exception:  # noqa: BLE001 - the handler's own way to report a record that cannot be formatted
            self.handleError(record)


def _line_of(record: logging.LogRecord) -> Line:
    """Formatted here and now: arguments may have changed by the time the writer's thread would do it."""
    line: Line = {
        "timestamp": now(),
        "level": level_name(record.levelno),
        "event": record.getMessage(),
        "logger": record.name,
        **bound_ids(),
    }
    line.update((name, value) for name, value in vars(record).items() if name not in _PLAIN_ATTRIBUTES)
    if record.exc_info:
        line["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    if record.stack_info:
        line["stack"] = record.stack_info
    return line


def bridge_logging(put: Put, level: int) -> BridgeHandler:
    """Make the root logger write here, and only here."""
    handler = BridgeHandler(put)
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, BridgeHandler) or _writes_to_a_terminal(old):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in CHATTY_AT_INFO:
        logging.getLogger(name).setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    return handler


def _writes_to_a_terminal(handler: logging.Handler) -> bool:
    """What `logging.basicConfig` makes. Handlers that an author added for a file or a service stay."""
    return type(handler) is logging.StreamHandler


def bridge_structlog(put: Put, level: int) -> None:
    """Make `structlog.get_logger()` anywhere in the process write here."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _as_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: _Sink(put),
        cache_logger_on_first_use=False,
    )


def _as_line(_logger: Any, method: str, line: MutableMapping[str, Any]) -> tuple[tuple[Line], dict[str, Any]]:
    level = {"warn": "warning", "exception": "error", "msg": "info", "fatal": "critical"}.get(method, method)
    return ({"timestamp": now(), "level": level, "event": "", **bound_ids(), **line},), {}


class _Sink:
    """The end of structlog's chain: whatever the method's name, the line goes to the writer."""

    def __init__(self, put: Put) -> None:
        self._put = put

    def msg(self, line: Line) -> None:
        self._put(line)

    debug = info = warning = warn = error = critical = fatal = exception = log = msg
