"""A question's report: its lines (what was asked, in a unit, beside its floor), and every run behind them.

`save` writes NAME.json and NAME.png; everything else (the picture, summary.md, the table in the docs) is made of the JSON.
"""

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness.measuring import Case


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer: a median of runs with their range, and the floor of the same run where there is one."""

    what: str
    unit: str
    median: float
    low: float
    high: float
    floor: float | None = None
    ratio: float | None = None  # of the median to the floor
    x: float | None = None  # lines of one `what` over x are drawn as a curve


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a question answers."""

    name: str
    question: str
    lines: list[Line]
    floor: str = ""  # what the floors are
    x_label: str = ""
    cases: dict[str, Any] = {}
    named: dict[str, Any] = {}

    def with_runs(self, cases: Mapping[str, Case], **named: Any) -> "Report":
        """Keep every run, and name what a reader must know to repeat it."""
        self.cases |= {name: case.as_json() for name, case in cases.items()}
        self.named |= named
        return self


def line(
    what: str,
    unit: str,
    case: Case,
    figure: str,
    *,
    floor: Case | None = None,
    floor_figure: str | None = None,
    x: float | None = None,
    scale: float = 1.0,
) -> Line:
    """A line of a figure of a case, times `scale`; of its floor the figure of the same name, unless another is named."""
    median = case.median(figure) * scale
    low, high = case.range(figure)
    floor_median = floor.median(floor_figure or figure) * scale if floor else None
    return Line(
        what=what,
        unit=unit,
        median=_rounded(median),
        low=_rounded(low * scale),
        high=_rounded(high * scale),
        floor=None if floor_median is None else _rounded(floor_median),
        ratio=None if not floor_median else _rounded(median / floor_median),
        x=x,
    )


def save(report: Report, results: Path, *, quick: bool, seconds: float) -> Path:
    """Write the report's JSON and its picture."""
    from benchmarks.harness.plotting import draw

    report.named |= machine() | {"quick": quick, "took_seconds": round(seconds, 1)}
    report.named["foreign_cores"] = _most(report, "foreign_cores")
    report.named["generator_cores"] = _most(report, "generator_cores")
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{report.name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    draw(report, path.with_suffix(".png"))
    return path


def load(path: Path) -> Report:
    return msgspec.json.decode(path.read_bytes(), type=Report)


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "measured_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def _most(report: Report, figure: str) -> float | None:
    """The highest of a figure in any run: cores that were taken by others, or by the load generator."""
    runs = [run for case in report.cases.values() for run in case["runs"]]
    return max((run[figure] for run in runs if figure in run), default=None)


def _rounded(value: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")
