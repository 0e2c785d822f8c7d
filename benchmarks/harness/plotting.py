"""A report as a picture: a panel for each unit, of bars with the range of the runs, or of curves where lines have an x."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # before pyplot looks for a screen

from matplotlib import pyplot as plt

from benchmarks.harness.reporting import Line, Report

_INK, _FLOOR = "#2a6f97", "#a9a9a9"
_WIDTH_INCHES, _INCHES_A_BAR, _CURVES_INCHES = 9.0, 0.45, 4.0


def draw(report: Report, path: Path) -> None:
    """Write the picture."""
    panels: dict[str, list[Line]] = {}
    for line in report.lines:
        panels.setdefault(line.unit, []).append(line)
    heights = [_height(lines) for lines in panels.values()]
    figure, axes = plt.subplots(
        len(panels), figsize=(_WIDTH_INCHES, sum(heights) + 0.8), height_ratios=heights, squeeze=False
    )
    figure.suptitle(report.question, wrap=True, fontsize=11)
    for axis, (unit, lines) in zip(axes[:, 0], panels.items(), strict=True):
        if lines[0].x is None:
            _bars(axis, unit, lines)
        else:
            _curves(axis, unit, lines, report.x_label)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _height(lines: Sequence[Line]) -> float:
    return _CURVES_INCHES if lines[0].x is not None else 0.9 + _INCHES_A_BAR * len(lines)


def _bars(axis: Any, unit: str, lines: Sequence[Line]) -> None:
    places = range(len(lines))
    medians = [line.median for line in lines]
    ranges = [[line.median - line.low for line in lines], [line.high - line.median for line in lines]]
    axis.barh(places, medians, xerr=ranges, color=_INK, height=0.6, ecolor="black", capsize=3)
    for place, line in zip(places, lines, strict=True):
        if line.floor is not None:
            axis.plot([line.floor] * 2, [place - 0.38, place + 0.38], color=_FLOOR, linewidth=4)
        axis.annotate(f" {line.median:,g}", (line.high, place), va="center", fontsize=8)
    axis.set_yticks(places, [line.what for line in lines], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(unit + (" (grey: floor)" if any(line.floor is not None for line in lines) else ""), fontsize=8)
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)


def _curves(axis: Any, unit: str, lines: Sequence[Line], x_label: str) -> None:
    most = max(line.x or 0.0 for line in lines)
    for what in dict.fromkeys(line.what for line in lines):
        curve = [line for line in lines if line.what == what]
        at = [most if line.x is None else line.x for line in curve]
        marker = "*" if curve[0].x is None else "o"
        axis.plot(at, [line.median for line in curve], marker=marker, markersize=4, label=what)
        axis.fill_between(at, [line.low for line in curve], [line.high for line in curve], alpha=0.15)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel(x_label, fontsize=8)
    axis.set_ylabel(unit, fontsize=8)
    axis.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axis.spines[["top", "right"]].set_visible(False)
