"""What a person sees: live bars on a terminal, plain lines elsewhere, and the table at the end."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo_parts.client import FINAL, Task

PLAIN_LINE_EVERY_SECONDS = 2.0
TABLE_WIDTH = 80
WIDE_ENOUGH_FOR_ANSWERS = 110
COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("task", "left"),
    ("tenant", "left"),
    ("prio", "right"),
    ("status", "left"),
    ("attempts", "right"),
    ("losses", "right"),
    ("queued s", "right"),
    ("LLM s", "right"),
    ("tokens", "right"),
    ("worker", "left"),
)
STYLES = {"succeeded": "green", "failed": "bold red", "cancelled": "yellow"}


class Progress:
    """The state of all tasks, shown as it changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
        self._last_line = ""
        self._last_line_mono = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, by_tenant: dict[str, list[Task]], workers: list[dict[str, Any]]) -> None:
        if self._live:
            self._live.update(Group(_bars(by_tenant), _workers_line(workers)))
        else:
            self._print_line(by_tenant, workers)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text)

    def _print_line(self, by_tenant: dict[str, list[Task]], workers: list[dict[str, Any]]) -> None:
        tasks = [task for of_tenant in by_tenant.values() for task in of_tenant]
        counts = Counter(task["status"] for task in tasks)
        line = f"{_ended(tasks)}/{len(tasks)} done, " + ", ".join(
            f"{counts[status]} {status}" for status in ("running", "queued", *FINAL) if counts[status]
        )
        line += f"; {len(workers)} workers"
        now = time.monotonic()
        if line != self._last_line and now - self._last_line_mono >= PLAIN_LINE_EVERY_SECONDS:
            self._console.print(line)
            self._last_line, self._last_line_mono = line, now


def _bars(by_tenant: dict[str, list[Task]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("tenant", "", "done", "running", "queued", "losses"):
        table.add_column(heading, justify="left" if heading in {"tenant", ""} else "right")
    for tenant, tasks in by_tenant.items():
        counts = Counter(task["status"] for task in tasks)
        table.add_row(
            tenant,
            ProgressBar(total=max(1, len(tasks)), completed=_ended(tasks), width=30),
            f"{_ended(tasks)}/{len(tasks)}",
            str(counts["running"]),
            str(counts["queued"]),
            str(sum(task["losses"] for task in tasks)),
        )
    return table


def _workers_line(workers: list[dict[str, Any]]) -> Text:
    seen = (f"{short(worker['id'])} (pid {worker['pid']}, {worker['running']} running)" for worker in workers)
    return Text("workers: " + ", ".join(seen), style="dim")


def _ended(tasks: list[Task]) -> int:
    return sum(task["status"] in FINAL for task in tasks)


def print_results(console: Console, tasks: list[Task], worker_of: Callable[[str], str]) -> None:
    """One row a task: what became of it, and what it took; on a narrow terminal the answers come below."""
    answers_beside = console.width >= WIDE_ENOUGH_FOR_ANSWERS
    table = Table(title="What became of every task", title_justify="left", box=None, header_style="bold")
    table.padding = (0, 1, 0, 0)
    for heading, justify in COLUMNS:
        table.add_column(heading, justify=justify, no_wrap=True)
    if answers_beside:
        table.add_column("answer", no_wrap=True, overflow="ellipsis", width=console.width - TABLE_WIDTH)
    for task in tasks:
        row = _row(task, worker_of)
        table.add_row(*row, Text(first_words(task))) if answers_beside else table.add_row(*row)
    console.print()
    console.print(table)
    if not answers_beside:
        console.print("\n[bold]Answers[/]")
        for task in tasks:
            console.print(Text(f"{short(task['id'])} {first_words(task)}"), no_wrap=True, overflow="ellipsis")


def _row(task: Task, worker_of: Callable[[str], str]) -> list[Text]:
    usage, timing = task.get("usage") or {}, task.get("timing") or {}
    return [
        Text(short(task["id"])),
        Text(task["tenant"]),
        Text(str(task["priority"])),
        Text(task["status"], style=STYLES.get(task["status"], "")),
        Text(str(task["attempt"])),
        Text(str(task["losses"]), style="bold yellow" if task["losses"] else ""),
        Text(f"{timing.get('queued', 0):.2f}"),
        Text(f"{timing.get('llm', 0):.2f}"),
        Text(str(usage.get("input_tokens", 0) + usage.get("output_tokens", 0))),
        Text(worker_of(task["id"])),
    ]


def first_words(task: Task) -> str:
    """The answer in one line, or why there is none."""
    if task["status"] != "succeeded":
        error = task.get("error") or {}
        return f"{error.get('code', '')}: {error.get('message', '')}"
    output = task.get("output") or {}
    return " ".join(f"{output.get('title', '')} · {output.get('answer', '')}".split())


def short(ident: str) -> str:
    """The end of an id: the beginnings of ids made together are alike."""
    return "…" + ident[-6:]
