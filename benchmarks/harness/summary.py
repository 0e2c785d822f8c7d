"""The reports of a results folder as one table, for summary.md and, between two markers, for the docs."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.harness.reporting import Line, Report, load

BEGIN = "<!-- figures: begin (written by `python -m benchmarks --doc`) -->"
END = "<!-- figures: end -->"
HEADER = "| question | case | median | range of the runs | floor | ratio |\n|---|---|---|---|---|---|"


def write_summary(results: Path, names: Sequence[str]) -> Path:
    """Write summary.md of the reports that are there, in the order of the names."""
    results.mkdir(parents=True, exist_ok=True)
    path = results / "summary.md"
    path.write_text(f"# What the benchmarks answered\n\n{table_of(reports_in(results, names))}\n")
    return path


def write_into(document: Path, results: Path, names: Sequence[str]) -> None:
    """Replace what stands between the markers of a document."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no markers {BEGIN} and {END}")
    table = table_of(reports_in(results, names))
    document.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def why_not_published(results: Path, names: Sequence[str]) -> str | None:
    """What keeps these results out of the docs; None if nothing does."""
    there = {report.name: report for report in reports_in(results, names)}
    quick = [name for name, report in there.items() if report.named.get("quick")]
    missing = [name for name in names if name not in there]
    if quick:
        return f"{', '.join(quick)}: quick runs are no figures; ask again without --quick"
    if missing:
        return f"no answer to {', '.join(missing)} in {results}; ask, so that the table stays whole"
    return None


def reports_in(results: Path, names: Sequence[str]) -> list[Report]:
    return [load(path) for name in names if (path := results / f"{name}.json").exists()]


def table_of(reports: Sequence[Report]) -> str:
    """One row a line or curve, what the floors are, and how the machine was."""
    rows = [HEADER]
    for report in reports:
        question = f"**{report.name}**: {report.question}"
        for row in _rows(report):
            rows.append(f"| {question} | {row} |")
            question = ""
    floors = [f"- Floor of *{report.name}*: {report.floor}." for report in reports if report.floor]
    return "\n".join([*rows, "", *floors, *_conditions(reports)]).rstrip()


def _rows(report: Report) -> Iterator[str]:
    for what, lines in groupby(report.lines, key=lambda line: line.what):
        curve = list(lines)
        yield _row(curve[0]) if curve[0].x is None else _curve(what, curve, report.x_label)


def _row(line: Line) -> str:
    floor = "" if line.floor is None else f"{_number(line.floor)} {line.unit}"
    ratio = "" if line.ratio is None else f"{line.ratio:.2g}"
    cells = [
        line.what,
        f"{_number(line.median)} {line.unit}",
        f"{_number(line.low)} to {_number(line.high)}",
        floor,
        ratio,
    ]
    return " | ".join(cells)


def _curve(what: str, curve: Sequence[Line], x_label: str) -> str:
    """A curve's medians in the order of x; as its floor the first, and as its ratio the growth from first to last."""
    where = " / ".join(f"{line.x:,.0f}" for line in curve)
    medians = " / ".join(_number(line.median) for line in curve)
    first, last = curve[0], curve[-1]
    growth = f"{last.median / first.median:.2g}" if first.median else ""
    extent = f"{_number(min(line.low for line in curve))} to {_number(max(line.high for line in curve))}"
    return f"{what}, at {where} {x_label} | {medians} {first.unit} | {extent} | {_number(first.median)} {first.unit} | {growth}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _conditions(reports: Sequence[Report]) -> list[str]:
    """What a reader must know before believing: the machine, and what else it did."""
    if not reports:
        return []
    named = reports[0].named
    lines = [f"- {named['cores']} cores, Python {named['python']}, {named['system']}; {named['measured_at']}."]
    for figure, who in (
        ("foreign_cores", "processes that are no part of it"),
        ("generator_cores", "the load generator"),
    ):
        noted = [(report.named[figure], report.name) for report in reports if report.named.get(figure) is not None]
        if noted:
            most, name = max(noted)
            lines.append(f"- At most {most:.2f} cores went to {who} (in *{name}*).")
    if any(report.named.get("quick") for report in reports):
        lines.append("- **Quick runs: these figures show only that the questions can be asked.**")
    return lines
