"""What commands print: JSON for programs, tables for people."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from dayshift.domain.clock import now

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


def print_json(value: Any) -> None:
    """One JSON document on stdout, indented."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, nothing: str) -> None:
    """A table on stdout, or the sentence `nothing` on stderr. Ids are never cut: people copy them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        is_id = column == "id"
        table.add_column(column, no_wrap=is_id, min_width=len("task_") + 36 if is_id else None, overflow="fold")
    filled = False
    for row in rows:
        filled = True
        table.add_row(*(Text(shown(value)) for value in row))
    if not filled:
        print(nothing, file=sys.stderr)
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 240  # a file or a pipe has no edge to fold at
    console.print(table)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    listed = [(name, shown(value)) for name, value in fields]
    width = max(len(name) for name, _ in listed)
    for name, value in listed:
        print(f"{name:<{width}}  {value}")


def shown(value: Any) -> str:
    """A value as people read it."""
    if value is None or value is msgspec.UNSET:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def ago(moment: datetime | None) -> str:
    """How long ago that was."""
    if moment is None:
        return "-"
    seconds = max(0.0, (now() - moment).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def json_value(text: str, what: str) -> Any:
    """JSON that was given as an argument. Raises `WrongUse` with the cure."""
    from dayshift.domain.errors import WrongUse

    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        hint = f"a text needs its own quotes: '{msgspec.json.encode(text).decode()}'" if _is_bare_word(text) else ""
        raise WrongUse(f"{what} is not JSON ({error}); {hint or 'check it with a JSON tool'}.") from error


def _is_bare_word(text: str) -> bool:
    return 0 < len(text) <= 60 and text.isprintable() and text.strip()[:1] not in tuple('{["')
