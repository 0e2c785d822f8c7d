"""What worker processes did, told without a word to any engine: a mapped file of 16 bytes for each process.

`app.py` of every peer calls `enter()` first thing in each task. The benchmark reads the files while the worker runs: no
query disturbs the engine while the figure is being made, and what a killed process did is still there.
"""

import mmap
import os
import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple

_RECORD = struct.Struct("<dQ")


class Seen(NamedTuple):
    """One worker process: when its first task was entered, and tasks entered so far."""

    pid: int
    first_at: float
    entered: int


class _Mine:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._first_at = time.time()
        self._entered = 0
        path = Path(os.environ["WITNESS"]) / str(self.pid)
        path.write_bytes(bytes(_RECORD.size))
        with path.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), _RECORD.size)

    def count(self) -> None:
        with self._lock:
            self._entered += 1
            _RECORD.pack_into(self._mapped, 0, self._first_at, self._entered)


_mine: _Mine | None = None


def enter() -> None:
    """A task's function was entered in this process."""
    global _mine  # noqa: PLW0603 - one record a process, made after the fork that made the process
    if _mine is None or _mine.pid != os.getpid():
        _mine = _Mine()
    _mine.count()


def read(folder: Path) -> list[Seen]:
    """Every process that has entered a task."""
    records = ((int(path.name), path.read_bytes()) for path in folder.iterdir())
    seen = [Seen(pid, *_RECORD.unpack(record)) for pid, record in records if len(record) == _RECORD.size]
    return [one for one in seen if one.entered]
