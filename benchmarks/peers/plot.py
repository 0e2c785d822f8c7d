"""Draw the record: four small bar charts, one for each question."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, THEIRS, FLOOR = "#c2410c", "#64748b", "#cbd5e1"


def draw(recorded: dict[str, Any], path: Path) -> None:
    """One picture of 2 x 2."""
    figure, panels = plt.subplots(2, 2, figsize=(11, 7), constrained_layout=True)
    _bars(panels[0][0], "no-op tasks/s, one worker process", _of(recorded, "drain", "tasks_per_second"))
    _bars(panels[0][1], "submit to result at 50/s, p99 ms", _of(recorded, "latency", "p99_ms"))
    agents = _of(recorded, "agents", "seconds")
    _bars(panels[1][0], "1,000 agents of three 1-s calls, s (light: bare asyncio)", agents)
    _bars(panels[1][0], "", _of(recorded, "agents", "bare_seconds"), floor=True)
    _recovery(panels[1][1], recorded)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _of(recorded: dict[str, Any], label: str, key: str) -> dict[str, float]:
    medians = {name: entry["answers"].get(label, {}).get("median", {}) for name, entry in recorded.items()}
    return {name: median[key] for name, median in medians.items() if key in median}


def _bars(panel: Any, title: str, values: dict[str, float], *, floor: bool = False) -> None:
    if not values:
        panel.set_axis_off()
        return
    names = list(values)
    colors = [FLOOR if floor else OURS if name == "dayshift" else THEIRS for name in names]
    bars = panel.barh(names, list(values.values()), color=colors, height=0.35 if floor else 0.7)
    if title:
        panel.set_title(title, fontsize=10, loc="left")
        panel.bar_label(bars, labels=[f"{value:,.4g}" for value in values.values()], padding=3, fontsize=8)
        panel.invert_yaxis()
        panel.margins(x=0.12)


def _recovery(panel: Any, recorded: dict[str, Any]) -> None:
    values, labels = {}, []
    for name, entry in recorded.items():
        for variant in entry["recovery"]:
            median = entry["answers"].get(f"kill, {variant}", {}).get("median")
            if median:
                values[f"{name}, {variant}"] = median["seconds"]
                lost = " never" if median["unfinished"] else ""
                labels.append(f"{median['seconds']:.0f} s{lost}, {median['calls_answered_again']:.0f} paid again")
    colors = [OURS if name.startswith("dayshift") else THEIRS for name in values]
    bars = panel.barh(list(values), list(values.values()), color=colors)
    panel.bar_label(bars, labels=labels, padding=3, fontsize=8)
    panel.set_title("kill -9 with 100 agents of five calls: s to the end", fontsize=10, loc="left")
    panel.invert_yaxis()
    panel.margins(x=0.5)
