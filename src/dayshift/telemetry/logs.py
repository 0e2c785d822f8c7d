"""Wires the log pipeline of one process together: events and other people's lines in, text on stderr out."""

import logging
import os
from collections.abc import Callable

from msgspec import Struct

from dayshift.telemetry.bridges import BridgeHandler, bridge_logging, bridge_structlog
from dayshift.telemetry.event_lines import EventLines, Thinning
from dayshift.telemetry.rendering import LogFormat, renderer
from dayshift.telemetry.writer import LineWriter, stderr_descriptor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Logs(Struct):
    """A running pipeline."""

    writer: LineWriter
    handler: BridgeHandler
    ends: list[Callable[[], None]]

    def stop(self) -> None:
        """Write what is left, and let go of events and of the root logger."""
        for end in self.ends:
            end()
        logging.getLogger().removeHandler(self.handler)
        self.writer.stop()


def start_logs(process_kind: str, log_format: LogFormat | None, level_word: str, descriptor: int | None = None) -> Logs:
    """Begin to log. Without a format: pretty on a terminal, JSON otherwise."""
    target = stderr_descriptor() if descriptor is None else descriptor
    on_a_terminal = os.isatty(target)
    chosen = log_format or ("pretty" if on_a_terminal else "json")
    level = LEVELS[level_word]
    thinning = Thinning()
    render = renderer(chosen, static={"process": process_kind, "pid": os.getpid()}, colors=on_a_terminal)
    writer = LineWriter(render, target, owed=thinning.left_out)
    ends = EventLines(writer.put, level, thinning).subscribe()
    bridge_structlog(writer.put, level)
    return Logs(writer=writer, handler=bridge_logging(writer.put, level), ends=ends)
