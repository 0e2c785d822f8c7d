"""What a person sees: live bars on a terminal, plain lines elsewhere, and the table at the end."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo_parts.client import FINAL, Task

PLAIN_LINE_EVERY_SECONDS = 2.0
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


def results_table(tasks: list[Task], worker_of: Callable[[str], str]) -> Table:
    """One row a task: what became of it, and what it took."""
    table = Table(title="What became of every task", title_justify="left", expand=False)
    for heading in ("task", "tenant", "prio", "status"):
        table.add_column(heading, no_wrap=True, min_width=len(heading))
    for heading in ("attempts", "losses", "queued s", "LLM s", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    table.add_column("worker", no_wrap=True, min_width=11)
    table.add_column("answer", no_wrap=True, overflow="ellipsis", min_width=12, max_width=48)
    for task in tasks:
        usage, timing = task.get("usage") or {}, task.get("timing") or {}
        table.add_row(
            short(task["id"]),
            task["tenant"],
            str(task["priority"]),
            Text(task["status"], style=STYLES.get(task["status"], "")),
            str(task["attempt"]),
            Text(str(task["losses"]), style="bold yellow" if task["losses"] else ""),
            f"{timing.get('queued', 0):.2f}",
            f"{timing.get('llm', 0):.2f}",
            str(usage.get("input_tokens", 0) + usage.get("output_tokens", 0)),
            worker_of(task["id"]),
            Text(first_words(task)),
        )
    return table


def first_words(task: Task) -> str:
    """The answer in one line, or why there is none."""
    if task["status"] != "succeeded":
        error = task.get("error") or {}
        return f"{error.get('code', '')}: {error.get('message', '')}"
    output = task.get("output") or {}
    return " ".join(f"{output.get('title', '')} · {output.get('answer', '')}".split())


def short(ident: str) -> str:
    """The end of an id: the beginnings of ids made together are alike."""
    return "…" + ident[-8:]
