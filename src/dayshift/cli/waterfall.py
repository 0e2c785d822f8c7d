"""An explanation on a terminal: for each attempt its effects on a time axis of its own.

One axis for the whole task would show nothing: hours may lie between two attempts that took a second each.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from dayshift.cli.explanation import AttemptStory, Divergence, Explanation, Row
from dayshift.domain import ids
from dayshift.domain.effect import EffectKind
from dayshift.domain.task import Timing, Usage

BAR_WIDTH = 24


def print_waterfall(task: Any, explanation: Explanation) -> None:
    """Print it, with the divergences at the end."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 240  # a file or a pipe has no edge to fold at
    for line in _summary(task, explanation):
        console.print(line)
    for story in explanation.attempts:
        _print_attempt(console, story, explanation)
    _print_divergences(console, explanation.divergences)


def _summary(task: Any, explanation: Explanation) -> list[str]:
    usage = msgspec.convert(task.get("usage") or {}, Usage)
    words = (("attempt", task["attempt"]), ("failure", task["failures"]), ("loss", task["losses"]))
    counts = [_counted(count, word) for word, count in words]
    lines = [f"{task['id']}  {task['agent']}  {task['status']}", f"  {', '.join(counts)}"]
    timing = msgspec.convert(task.get("timing") or {}, Timing)
    parts = [f"{name} {value:.2f} s" for name, value in msgspec.structs.asdict(timing).items() if value]
    if parts:
        lines.append(f"  time: {', '.join(parts)}")
    if usage.llm_calls:
        calls = _counted(usage.llm_calls, "LLM call")
        replays = f"answers replayed {_counted(usage.replayed_calls, 'time')}; " if usage.replayed_calls else ""
        lines.append(f"  {calls} paid for; {replays}{_paid(usage)}")
    if task.get("error"):
        lines.append(f"  {task['error']['code']}: {task['error']['message']}")
    if not explanation.effects:
        lines.append("  no effects are recorded")
    return lines


def _print_attempt(console: Any, story: AttemptStory, explanation: Explanation) -> None:
    rows = [row for row in explanation.effects if row.attempt == story.attempt]
    diverged = {one.effect for one in explanation.divergences}
    console.print(f"\nattempt {story.attempt}: {', '.join(_counts(story))}")
    if story.worker is not None:
        console.print(f"  version {story.version} on {story.worker}")
    if story.ended is not None:
        console.print(f"  {story.ended}")
    if rows:
        console.print(_table(rows, story, diverged, mark="█" if (console.encoding or "").startswith("utf") else "#"))


def _counts(story: AttemptStory) -> list[str]:
    counts = [_counted(story.performed, "effect")]
    if story.replayed:
        counts.append(f"{story.replayed} replayed to it")
    if story.usage.llm_calls:
        counts.append(_paid(story.usage))
    return counts


def _table(rows: Sequence[Row], story: AttemptStory, diverged: Collection[str], *, mark: str) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    begin = min([row.started_at for row in rows] + ([story.started_at] if story.started_at else []))
    end = max(row.finished_at or row.started_at for row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("from", justify="right", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column(" " * BAR_WIDTH, no_wrap=True)
    table.add_column("effect", overflow="fold")
    table.add_column("since", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for row in rows:
        cells = (
            f"{(row.started_at - begin).total_seconds():.2f} s",
            "-" if row.finished_at is None else f"{row.seconds:.2f} s",
            _bar(row, begin, end, mark),
            "  " * _depth(row) + _called(row),
            _state(row, diverged),
            "" if row.usage is None else f"{row.usage.input_tokens} + {row.usage.output_tokens}",
            f"${row.cost_usd:.4f}" if row.cost_usd else "",
        )
        table.add_row(*(Text(cell) for cell in cells))
        if row.preview:
            previewed = Text("  " * (_depth(row) + 1) + row.preview, style="dim", no_wrap=True, overflow="ellipsis")
            table.add_row("", "", "", previewed)
    return table


def _state(row: Row, diverged: Collection[str]) -> str:
    """What became of it, and what the latest attempt makes of it."""
    outcome = "" if row.status == "done" else row.status
    fate = {
        "performed": "",
        "replayed": f"replayed to attempt {row.replayed_by}",
        "within": "inside of what was replayed",
        "left": "not asked for again",
        "recorded": "",
    }[row.fate]
    return ", ".join(word for word in (outcome, fate, "≠ see below" if row.id in diverged else "") if word)


def _bar(row: Row, begin: datetime, end: datetime, mark: str) -> str:
    span = (end - begin).total_seconds() or 1.0
    at = min(int((row.started_at - begin).total_seconds() / span * BAR_WIDTH), BAR_WIDTH - 1)
    length = max(1, round(row.seconds / span * BAR_WIDTH))
    return " " * at + mark * min(length, BAR_WIDTH - at)


def _called(row: Row) -> str:
    """A child has the id of the effect that called it, so it can be explained in turn."""
    child = f" {ids.TASK}{row.id.removeprefix(ids.EFFECT)}" if row.kind == EffectKind.CHILD else ""
    return f"{row.kind} {row.name}{child}"


def _depth(row: Row) -> int:
    """How many steps, tools and branches it was done inside of."""
    return row.scope.count("/")


def _paid(usage: Usage) -> str:
    cost = f", ${usage.cost_usd:.4f}" if usage.cost_usd else ""
    unpriced = f" ({usage.unpriced_calls} unpriced)" if usage.unpriced_calls else ""
    return f"{usage.input_tokens} + {usage.output_tokens} tokens{cost}{unpriced}"


def _print_divergences(console: Any, divergences: Sequence[Divergence]) -> None:
    if not divergences:
        return
    console.print(f"\n{len(divergences)} done again because of a difference:")
    for one in divergences:
        console.print(f"  ≠ {one.line}\n    {one.effect} instead of {one.instead_of}")
    console.print(
        "Take what changes from run to run from ctx.now(), ctx.random(), ctx.uuid(), or from a step; or forbid it: @agent(strict=True)."
    )


def _counted(count: int, word: str) -> str:
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count} {word if count == 1 else plural}"
