"""Repeats and medians; CPU time by kind of process; memory; and how busy the machine was with other things.

Wall-clock figures say what a machine gave; CPU time a task says what the work costs, and hardly changes when the machine is
busy. So every run reports both, with the load generator's own share and that of everything that is not ours.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psutil

from benchmarks.harness.serving import Served

Figures = dict[str, float]
KINDS = ("gateway", "worker", "maintenance", "serve")


@dataclass(frozen=True)
class Effort:
    """How much to do: `quick` is for seeing that a question can be asked, and its figures mean little."""

    quick: bool = False
    repeats: int = 3

    def of(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True)
class Case:
    """The runs of one case of a question; every run has the same figures, named with their units."""

    runs: list[Figures] = field(default_factory=list)

    def median(self, figure: str) -> float:
        return statistics.median(run[figure] for run in self.runs)

    def range(self, figure: str) -> tuple[float, float]:
        values = [run[figure] for run in self.runs]
        return min(values), max(values)

    def as_json(self) -> dict[str, Any]:
        return summary_of(self.runs)


def repeat(effort: Effort, cases: Mapping[str, Callable[[], Figures]]) -> dict[str, Case]:
    """Run all cases in turn, several times over, so that none has the better part of the time to itself."""
    measured: dict[str, Case] = {name: Case() for name in cases}
    for _ in range(effort.repeats):
        for name, measure in cases.items():
            measured[name].runs.append(measure())
    return measured


def summary_of(runs: Sequence[Figures]) -> dict[str, Any]:
    """The median of each figure, and every run."""
    medians = {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}
    return {"median": medians, "runs": [{name: round(value, 6) for name, value in run.items()} for run in runs]}


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Meter:
    """CPU seconds of a running dayshift by kind of process, of this process, and of all others, from `with` to its end."""

    def __init__(self, served: Served | None, **others: int) -> None:
        """`others` names further processes by pid that belong to the run, as `provider=1234`."""
        self._roots = served.roots if served else []
        self._named = others
        self.seconds = 0.0
        self.cpu_seconds: dict[str, float] = {}
        self.foreign_cores = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._busy_before = _machine_busy_seconds()
        self._before = self._look()
        return self

    def __exit__(self, *_: object) -> None:
        after = self._look()
        busy = _machine_busy_seconds() - self._busy_before
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = {kind: max(0.0, used - self._before.get(kind, 0.0)) for kind, used in after.items()}
        self.foreign_cores = max(0.0, busy - sum(self.cpu_seconds.values())) / self.seconds

    def figures(self, tasks: int) -> Figures:
        """CPU microseconds a task by kind, and cores taken by the load generator and by what is not ours."""
        named = {f"{kind}_cpu_us": used * 1e6 / tasks for kind, used in self.cpu_seconds.items() if kind != "generator"}
        shares = {"generator_cores": self.cpu_seconds["generator"] / self.seconds, "foreign_cores": self.foreign_cores}
        return named | shares

    def _look(self) -> dict[str, float]:
        used = dict.fromkeys(("gateway", "worker", "maintenance", "postgres", "valkey"), 0.0) if self._roots else {}
        for process, kind in _tree(self._roots):
            used[kind] = used.get(kind, 0.0) + cpu_seconds_of(process, with_children=kind == "postgres")
        for kind, pid in self._named.items():
            used[kind] = cpu_seconds_of(psutil.Process(pid))
        used["generator"] = cpu_seconds_of(psutil.Process())
        return used


def cpu_seconds_of(process: psutil.Process, *, with_children: bool = False) -> float:
    """User and system time; with that of its children that have ended, if asked."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    ended: float = times.children_user + times.children_system if with_children else 0.0
    used: float = times.user + times.system
    return used + ended


def private_bytes(pid: int) -> int:
    """What would be freed if the process ended."""
    size: int = psutil.Process(pid).memory_full_info().uss
    return size


def pid_of(served: Served, kind: str) -> int:
    """The process of a kind, where there is one of it."""
    return next(process.pid for process, found in _tree(served.roots) if found == kind)


def _tree(roots: Sequence[int]) -> list[tuple[psutil.Process, str]]:
    found: dict[int, psutil.Process] = {}
    for root in roots:
        process = psutil.Process(root)
        found |= {one.pid: one for one in [process, *process.children(recursive=True)]}
    kinds = []
    for process in found.values():
        try:
            kinds.append((process, _kind_of(process)))
        except psutil.NoSuchProcess:
            continue
    return kinds


def _kind_of(process: psutil.Process) -> str:
    name = process.name()
    if name.startswith("postgres"):
        return "postgres"
    if name.startswith("valkey"):
        return "valkey"
    words = process.cmdline()
    kind = next((kind for kind in KINDS if kind in words), "serve")
    return "supervisor" if kind == "serve" else kind


def _machine_busy_seconds() -> float:
    times = psutil.cpu_times()
    busy: float = times.user + times.system + times.nice + times.irq + times.softirq + times.steal
    return busy
