"""Telemetry of one process: started once, early, by whoever wires the process."""

import threading
from pathlib import Path
from typing import Protocol

from dayshift.telemetry.logs import Logs, start_logs
from dayshift.telemetry.rendering import LogFormat


class TelemetryConfig(Protocol):
    """What telemetry needs of the configuration; `dayshift.config.Config` has it."""

    @property
    def log_format(self) -> LogFormat | None: ...

    @property
    def log_level(self) -> str: ...

    @property
    def data_dir(self) -> Path: ...


_running: list[Logs] = []
_changing = threading.Lock()


def setup(config: TelemetryConfig, process_kind: str) -> None:
    """Start log and metrics of this process. `process_kind` (gateway, worker, maintenance, supervisor) is on every line.

    A second call starts anew.
    """
    with _changing:
        _stop()
        _running.append(start_logs(process_kind, config.log_format, config.log_level))


def shut_down() -> None:
    """Write what is left, and let go. Safe to repeat; the interpreter's end does it as well."""
    with _changing:
        _stop()


def _stop() -> None:
    while _running:
        _running.pop().stop()
