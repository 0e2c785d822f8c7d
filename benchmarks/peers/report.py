"""The record (JSON), the table (Markdown, inside docs/explanation/peers.md) and the plot (PNG)."""

import json
from collections.abc import Callable
from typing import Any

from benchmarks.peers.environments import HERE, ROOT
from benchmarks.peers.peer import Peer

RECORD = HERE / "recorded.json"
PAGE = ROOT / "docs" / "explanation" / "peers.md"
PLOT = PAGE.with_suffix(".png")
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
KILL_LIMIT_SECONDS = 60
BUSY = (
    "**Some of these runs shared the machine with other work**: their seconds and rates say little; CPU for each task and "
    "call, the ratio to bare asyncio in the same run, and calls paid again say what they say. Repeat them on a quiet one."
)

Figures = dict[str, float]


def load() -> dict[str, Any]:
    """What was recorded before, by peer: dayshift first, then by name."""
    recorded: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return dict(sorted(recorded.items(), key=lambda item: (item[0] != "dayshift", item[0])))


def record(peer: type[Peer], label: str, answer: dict[str, Any]) -> None:
    """Keep one answer, with every single run of it; all else stays as it was recorded."""
    recorded = load()
    entry = recorded.setdefault(peer.name, {"answers": {}})
    entry |= {"remembers": peer.remembers, "settings": peer.settings, "recovery": peer.recovery}
    entry["versions"] = answer.pop("versions") or entry.get("versions", {})
    entry["answers"][label] = answer
    RECORD.write_text(json.dumps(recorded, indent=1) + "\n")


def write() -> None:
    """The table into its page, and the plot beside it."""
    text = PAGE.read_text()
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    PAGE.write_text(f"{before}{BEGIN}\n\n{render(load())}\n{after}")
    from benchmarks.peers.plot import draw

    draw(load(), PLOT)


def render(recorded: dict[str, Any]) -> str:
    """All tables; nothing before the first record."""
    if not recorded:
        return ""
    picture = f"![Four bar charts: drain, latency, a thousand agents, recovery]({PLOT.name})\n"
    return "\n".join([picture, _speed(recorded), _recovery(recorded), _settings(recorded), _noise(recorded)])


def _speed(recorded: dict[str, Any]) -> str:
    heads = [
        "",
        "no-ops/s, one worker",
        "two workers",
        "worker CPU us",
        "engines' CPU us",
        "submitted/s",
        "p50 ms at 50/s",
        "p99 ms",
    ]
    heads += ["1,000 agents, s", "x bare", "worker CPU ms/call", "bare", "engines' CPU ms/call"]
    rows = []
    for name, entry in recorded.items():
        drain, two, late, agents = (_median(entry, key) for key in ("drain", "drain by two", "latency", "agents"))
        cells = [_cell(drain, "tasks_per_second", "{:,.0f}"), _two_workers(two)]
        cells += [_cell(drain, f"{who}_cpu_us_per_task", "{:,.0f}") for who in ("worker", "engine")]
        cells += [_cell(drain, "submit_per_second", "{:,.0f}")]
        cells += [_cell(late, "p50_ms", "{:.1f}"), _cell(late, "p99_ms", "{:.1f}"), _cell(agents, "seconds", "{:.1f}")]
        cells += [f"{agents['seconds'] / agents['bare_seconds']:.2f}" if agents else "-"]
        cells += [_cell(agents, key, "{:.2f}") for key in ("worker_cpu_ms_per_call", "bare_cpu_ms_per_call")]
        rows.append([name, *cells, _cell(agents, "engine_cpu_ms_per_call", "{:.2f}")])
    return _table(heads, rows)


def _two_workers(two: Figures) -> str:
    text = _cell(two, "tasks_per_second", "{:,.0f}")
    return f"{text} (one took all)" if two.get("worker_processes") == 1 else text


def _recovery(recorded: dict[str, Any]) -> str:
    heads = ["kill -9, 100 agents of five calls", "what is set", "seconds to the end"]
    heads += ["answered calls paid again", "calls in flight made again"]
    rows = []
    for name, entry in recorded.items():
        for variant, setting in entry["recovery"].items():
            figures = _median(entry, f"kill, {variant}")
            again = figures.get("calls_answered_again", 0)
            in_flight = figures.get("calls_made_again", 0) - again
            cells = [_seconds_of_recovery(figures), f"{again:.0f}", f"{in_flight:.0f}"] if figures else ["-"] * 3
            rows.append([f"{name}, {variant}", setting, *cells])
    return _table(heads, rows)


def _seconds_of_recovery(figures: Figures) -> str:
    if figures["unfinished"]:
        return f"not in {KILL_LIMIT_SECONDS}: {figures['unfinished']:.0f} left"
    return f"{figures['seconds']:.1f}"


def _settings(recorded: dict[str, Any]) -> str:
    rows = []
    for name, entry in recorded.items():
        versions = ", ".join(f"{dist} {version}" for dist, version in entry.get("versions", {}).items())
        rows += [[f"**{name}**", f"{versions}. Keeps {entry['remembers']}."]]
        rows += [[question, setting] for question, setting in entry["settings"].items()]
    return _table(["", "versions and settings"], rows)


def _noise(recorded: dict[str, Any]) -> str:
    answers = [answer for entry in recorded.values() for answer in entry["answers"].values()]
    loads = [run["load_before"] for answer in answers for run in answer["runs"]]
    dates = sorted({answer["measured_at"] for answer in answers})
    errors = [f"{name}, {label}: {error}" for name, entry in recorded.items() for label, error in _errors(entry)]
    line = f"Measured {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}, Python {answers[0]['python']}, "
    line += f"{answers[0]['cores']} cores, medians; load average before a run {min(loads):.1f} to {max(loads):.1f}."
    busy = [BUSY] if max(loads) > answers[0]["cores"] else []
    return "\n\n".join([line, *busy, *errors]) + "\n"


def _errors(entry: dict[str, Any]) -> list[tuple[str, str]]:
    return [(label, error) for label, answer in entry["answers"].items() for error in answer["errors"]]


def _median(entry: dict[str, Any], label: str) -> Figures:
    figures: Figures = entry["answers"].get(label, {}).get("median", {})
    return figures


def _cell(figures: Figures, key: str, form: str) -> str:
    shown: Callable[[float], str] = form.format
    return shown(figures[key]) if key in figures else "-"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
