"""Telemetry of one process: started once, early, by whoever wires the process."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from dayshift.telemetry.metrics.board import Board
from dayshift.telemetry.metrics.counting import Counting

if TYPE_CHECKING:
    from dayshift.telemetry.logs import Logs
    from dayshift.telemetry.rendering import LogFormat

METRICS_FOLDER = "metrics"


class TelemetryConfig(Protocol):
    """What telemetry needs of the configuration; `dayshift.config.Config` has it."""

    @property
    def log_format(self) -> "LogFormat | None": ...

    @property
    def log_level(self) -> str: ...

    @property
    def data_dir(self) -> Path: ...


class _Running(Struct):
    logs: "Logs"
    board: Board
    metrics_folder: Path | None  # None: nobody else can read this board
    ends: list[Callable[[], None]]

    def stop(self) -> None:
        for end in self.ends:
            end()
        self.board.release()
        self.logs.stop()


_running: list[_Running] = []
_changing = threading.Lock()


def setup(config: TelemetryConfig, process_kind: str) -> None:
    """Start log and metrics of this process. `process_kind` (gateway, worker, maintenance, supervisor) is on every line.

    A second call starts anew.
    """
    from dayshift.telemetry.logs import start_logs  # here: structlog takes long to import, and most commands need none

    with _changing:
        _stop()
        logs = start_logs(process_kind, config.log_format, config.log_level)
        folder = (config.data_dir / METRICS_FOLDER).absolute()
        shared = _shared_board(folder, process_kind)
        board = shared or Board.in_memory()
        _running.append(_Running(logs, board, folder if shared else None, Counting(board).subscribe()))


def shut_down() -> None:
    """Write what is left, and let go. Safe to repeat; the interpreter's end does it as well."""
    with _changing:
        _stop()


def render_metrics() -> bytes:
    """The metrics of all processes of this machine that share a data folder, in Prometheus' text format.

    Reads files, some milliseconds: call it in a thread. Counters of ended processes are kept.
    """
    from dayshift.telemetry.metrics import exposition, folder

    with _changing:
        running = _running[-1] if _running else None
    if running is None:
        return exposition.text_of({})
    if running.metrics_folder is None:
        return exposition.text_of(folder.combined([running.board.series()]))
    return exposition.text_of(folder.read(running.metrics_folder))


def _shared_board(folder: Path, process_kind: str) -> Board | None:
    try:
        return Board.in_folder(folder, process_kind)
    except OSError as error:
        logging.getLogger(__name__).warning(
            "metrics of this process are not seen by others: %s cannot be written (%s); make room or set DAYSHIFT_DATA",
            folder,
            error.strerror,
        )
        return None


def _stop() -> None:
    while _running:
        _running.pop().stop()
