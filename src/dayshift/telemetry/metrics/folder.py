"""The boards of one machine: adds up the living, and folds what the dead counted into one file.

    metrics/*.board, *.keys   one pair a process
    metrics/retired.json      what ended processes counted, and which boards are in it already
    metrics/lock              held by whoever reads: nobody folds while another adds up

A board whose lock can be taken belongs to a process that is gone. Its counters and histograms are added to `retired.json`
(written anew and renamed, together with the board's name, so that a crash in between counts nothing twice), then it is
removed. Its gauges are forgotten.
"""

import contextlib
import fcntl
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from dayshift.domain.clock import now
from dayshift.telemetry.metrics.board import BOARD, KEYS, SLOT_BYTES, SLOTS, Labels
from dayshift.telemetry.metrics.table import BY_NAME, Metric

FRESH_SECONDS = 60.0  # older measurements of depth are no news
TOGETHER_SECONDS = 5.0  # measurements of one round lie this close together

Series = dict[tuple[str, Labels], list[float]]


class _Retired(Struct):
    series: list[tuple[str, list[str], list[float]]] = []
    folded: list[str] = []


def read(folder: Path) -> Series:
    """All series of the machine, each with its numbers."""
    with _locked(folder):
        retired = _load(folder)
        totals: Series = {
            (name, tuple(labels)): numbers for name, labels, numbers in retired.series if _fits(name, len(numbers))
        }
        living: list[Series] = []
        dead: list[Path] = []
        for path in sorted(folder.glob(f"*{BOARD}")):
            with _opened(path) as descriptor:
                if descriptor is None:
                    continue
                series = _read_board(path, descriptor)
                if not _is_dead(descriptor):
                    living.append(series)
                elif path.stem not in retired.folded:
                    dead.append(path)
                    _add(totals, series)
                else:
                    _remove(path)
        if dead:
            _fold(folder, totals, dead)
    return combined(living, totals)


def combined(living: list[Series], retired: Series | None = None) -> Series:
    """Counters and histograms summed, on top of what the dead counted, and the gauges of the living."""
    totals = dict(retired or {})
    for series in living:
        _add(totals, series)
    totals.update(gauges(living))
    return totals


def gauges(living: list[Series]) -> Series:
    """What the gauges of several processes come to."""
    merged: Series = {}
    for series in living:
        for key, numbers in series.items():
            kind = BY_NAME[key[0]].kind
            held = merged.get(key)
            if kind == "sum":
                merged[key] = [numbers[0] + (held[0] if held else 0.0)]
            elif kind == "max":
                merged[key] = [max(numbers[0], held[0] if held else numbers[0])]
            elif kind == "latest" and (held is None or numbers[1] > held[1]):
                merged[key] = numbers
    return _without_stale(merged)


def _without_stale(merged: Series) -> Series:
    """A queue that the newest round of measurements did not mention is empty; an old round says nothing at all."""
    newest: dict[str, float] = {}
    for (name, _labels), numbers in merged.items():
        if BY_NAME[name].kind == "latest":
            newest[name] = max(newest.get(name, 0.0), numbers[1])
    oldest_news = now().timestamp() - FRESH_SECONDS
    fresh: Series = {}
    for key, numbers in merged.items():
        if key[0] not in newest:
            fresh[key] = numbers
        elif newest[key[0]] >= oldest_news:
            fresh[key] = numbers if numbers[1] >= newest[key[0]] - TOGETHER_SECONDS else [0.0, numbers[1]]
    return fresh


def _add(totals: Series, series: Series) -> None:
    """Add counters and histograms."""
    for key, numbers in series.items():
        if BY_NAME[key[0]].outlives_its_process:
            held = totals.get(key)
            totals[key] = numbers if held is None else [a + b for a, b in zip(held, numbers, strict=True)]


def _fold(folder: Path, totals: Series, dead: list[Path]) -> None:
    retired = _Retired(
        series=[(name, list(labels), numbers) for (name, labels), numbers in totals.items()],
        folded=[path.stem for path in dead],
    )
    fresh = folder / "retired.json.new"
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(retired))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / "retired.json")
    for path in dead:
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(KEYS).unlink(missing_ok=True)


def _load(folder: Path) -> _Retired:
    try:
        return msgspec.json.decode((folder / "retired.json").read_bytes(), type=_Retired)
    except (FileNotFoundError, msgspec.DecodeError):
        return _Retired()


def _read_board(path: Path, descriptor: int) -> Series:
    """The series of one board. A series whose key is only half written is read the next time."""
    try:
        lines = path.with_suffix(KEYS).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return {}
    values = array("d", os.pread(descriptor, SLOTS * SLOT_BYTES, 0))
    series: Series = {}
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            first, name, labels, width = msgspec.json.decode(line, type=tuple[int, str, tuple[str, ...], int])
            if _fits(name, width) and first + width <= len(values):
                series[name, labels] = list(values[first : first + width])
    return series


def _fits(name: str, width: int) -> bool:
    """Whether this code knows the metric in that shape; another release's may differ."""
    metric: Metric | None = BY_NAME.get(name)
    return metric is not None and metric.width == width


def _is_dead(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
