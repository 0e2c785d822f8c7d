"""The board: an array of numbers in shared memory, where one process counts and all others may read.

    worker-4711-6f….board   32,768 doubles, mapped into the process's memory
    worker-4711-6f….keys    one JSON line a series: [first slot, metric, [label values], width]

To count is to add to a number in memory (well below a microsecond), and what was counted outlives the process, even one
that is killed: the pages belong to the file, not to the process. The process holds a lock (flock) on its board for as
long as it lives, and no longer than that, so nobody has to guess whether a pid is still the same process.

A board is made under another name, locked, and only then renamed, so that nobody takes a new one for a dead one's. Its
space is allocated at once: writing into a hole of a mapped file on a full disk would kill the process (SIGBUS).
"""

import contextlib
import fcntl
import mmap
import os
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from dayshift.domain import ids
from dayshift.telemetry.metrics.table import Metric

SLOTS = 32_768
SLOT_BYTES = 8
BOARD = ".board"
KEYS = ".keys"

Labels: TypeAlias = tuple[str, ...]
Numbers: TypeAlias = "memoryview[float]"


class Board:
    """Where one process counts. `values[slot] += x` is one step for the interpreter, so that threads may share it."""

    def __init__(self, values: Numbers, write_key: Callable[[bytes], object], release: Callable[[], None]) -> None:
        self.values = values
        self._write_key = write_key
        self._release = release
        self._next = 0
        self._series: list[tuple[int, str, Labels, int]] = []

    @classmethod
    def in_folder(cls, folder: Path, process_kind: str) -> "Board":
        """A board that others can read. OSError when there is no room or no right to write."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{process_kind}-{os.getpid()}-{ids.new('')}"
        fresh = folder / f"{name}.new"
        board = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(board, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _allocate(board, SLOTS * SLOT_BYTES)
            memory = mmap.mmap(board, SLOTS * SLOT_BYTES)
            keys = os.open(
                folder / (name + KEYS), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            fresh.rename(folder / (name + BOARD))
        except OSError:
            os.close(board)
            fresh.unlink(missing_ok=True)
            raise

        def release() -> None:
            os.close(keys)
            fcntl.flock(board, fcntl.LOCK_UN)  # closing is not enough: the mapping holds the file open
            os.close(board)

        return cls(memoryview(memory).cast("d"), lambda line: os.write(keys, line), release)

    @classmethod
    def in_memory(cls) -> "Board":
        """A board that nobody else can read."""
        return cls(memoryview(bytearray(SLOTS * SLOT_BYTES)).cast("d"), lambda _line: None, lambda: None)

    def slot(self, metric: Metric, labels: Labels) -> int | None:
        """The first slot of a new series; None when the board is full. Ask once a series, and keep the answer."""
        first = self._next
        if first + metric.width > SLOTS:
            return None
        self._next = first + metric.width
        self._series.append((first, metric.name, labels, metric.width))
        self._write_key(msgspec.json.encode([first, metric.name, labels, metric.width]) + b"\n")
        return first

    def series(self) -> dict[tuple[str, Labels], list[float]]:
        """What was counted here so far."""
        return {
            (name, labels): list(self.values[first : first + width]) for first, name, labels, width in self._series[:]
        }

    def release(self) -> None:
        """Give the board to whoever adds up the dead. What is counted later is lost."""
        release, self._release = self._release, lambda: None
        release()


class Counter:
    """Adds to the series of one metric, by its label values."""

    def __init__(self, board: Board, metric: Metric, dropped: Callable[[], None]) -> None:
        self._board = board
        self._values = board.values
        self._metric = metric
        self._dropped = dropped
        self._slots: dict[Labels, int] = {}

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        slot = self._slots.get(labels)
        if slot is None and (slot := self._new_slot(labels)) is None:
            return
        self._values[slot] += amount

    def _new_slot(self, labels: Labels) -> int | None:
        slot = self._board.slot(self._metric, labels)
        if slot is None:
            self._dropped()
        else:
            self._slots[labels] = slot
        return slot


class Gauge(Counter):
    """Holds a value; of a `latest` metric also when it was measured."""

    def set(self, labels: Labels, value: float, measured_at: float = 0.0) -> None:
        slot = self._slots.get(labels)
        if slot is None and (slot := self._new_slot(labels)) is None:
            return
        self._values[slot] = value
        if self._metric.kind == "latest":
            self._values[slot + 1] = measured_at


class Histogram(Counter):
    """Counts values into buckets, and sums them up."""

    def observe(self, labels: Labels, value: float) -> None:
        slot = self._slots.get(labels)
        if slot is None and (slot := self._new_slot(labels)) is None:
            return
        bounds = self._metric.bounds
        self._values[slot + bisect_left(bounds, value)] += 1.0
        self._values[slot + len(bounds) + 1] += value


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
        os.write(descriptor, bytes(size))
