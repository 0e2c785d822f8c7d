"""`dayshift config`: settings, changed on the machine's own ledger while everything runs."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import App, Parameter
from msgspec import UNSET

from dayshift.cli.groups import OPERATION
from dayshift.cli.machine import change_ledger, on_ledger, who
from dayshift.cli.printing import AsJson, ago, json_value, print_json, print_table

if TYPE_CHECKING:
    from dayshift.settings import Change, SettingsStore

Answer = TypeVar("Answer")

app = App(
    name="config", help="Read and change settings. They are in force everywhere within a second.", group=OPERATION
)

Why = Annotated[str | None, Parameter(help="Why, for the history.")]
IfVersion = Annotated[
    int | None, Parameter(help="Only if nothing at this path changed since that version; else exit status 1.")
]


@app.command
def get(path: str = "", /, *, as_json: AsJson = False) -> None:
    """Print a setting's value as JSON (where nothing is set, its default), or without PATH all that is set."""
    change = _on_store(lambda store: store.get(path))
    print_json(change if as_json else change.value)


@app.command(name="set")
def set_value(
    path: str,
    value: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    why: Why = None,
    if_version: IfVersion = None,
    as_json: AsJson = False,
) -> None:
    """Set PATH to VALUE, which is JSON."""
    wanted = json_value(value, "VALUE")
    _report(_change(lambda store: store.put(path, wanted, by=who(), why=why, if_version=if_version)), as_json=as_json)


@app.command
def unset(path: str, /, *, why: Why = None, if_version: IfVersion = None, as_json: AsJson = False) -> None:
    """Take back what is set at PATH and below it: the default is in force again."""
    _report(_change(lambda store: store.unset(path, by=who(), why=why, if_version=if_version)), as_json=as_json)


@app.command
def history(*, limit: int = 20, after: int | None = None, as_json: AsJson = False) -> None:
    """List versions, newest first: who changed what, when and why."""
    changes = _on_store(lambda store: store.history(limit=limit + 1, after=after))
    if as_json:
        print_json({"object": "list", "data": changes[:limit], "has_more": len(changes) > limit})
        return
    print_table(
        ("version", "path", "value", "by", "when", "why"),
        (
            (change.version, _paths(change), _value(change), change.by, ago(change.at), change.why)
            for change in changes[:limit]
        ),
        nothing="nothing was ever changed",
    )


@app.command
def diff(before: int, after: int | None = None, /, *, as_json: AsJson = False) -> None:
    """Show what differs between version BEFORE and version AFTER, or now."""
    differences = _on_store(lambda store: store.diff(before, after))
    if as_json:
        print_json({"object": "list", "data": differences, "has_more": False})
        return
    print_table(
        ("path", "before", "after"),
        ((one.path, _json(one.before), _json(one.after)) for one in differences),
        nothing="no difference",
    )


@app.command
def rollback(version: int, /, *, why: Why = None, as_json: AsJson = False) -> None:
    """Make the settings what they were at VERSION, as a new version."""
    _report(_change(lambda store: store.rollback(version, by=who(), why=why)), as_json=as_json)


def _on_store(work: "Callable[[SettingsStore], Awaitable[Answer]]") -> Answer:
    from dayshift.settings import SettingsStore

    return on_ledger(lambda ledger: work(SettingsStore(ledger)))


def _change(work: "Callable[[SettingsStore], Awaitable[Answer]]") -> Answer:
    from dayshift.settings import SettingsStore

    return change_ledger(lambda ledger: work(SettingsStore(ledger)))


def _report(change: "Change", *, as_json: bool) -> None:
    if as_json:
        print_json(change)
    elif change.by is None:
        print(f"nothing to change; version {change.version} stays")
    else:
        print(f"version {change.version}: {', '.join(map(' '.join, _pairs(change)))}")


def _pairs(change: "Change") -> "list[tuple[str, str]]":
    """What was changed: each path with its value as it is shown."""
    parts = [change] if change.path or change.also is UNSET else change.also
    return [(part.path, "unset" if part.unset is True else _json(part.value)) for part in parts]


def _paths(change: "Change") -> str:
    return ", ".join(path for path, _ in _pairs(change))


def _value(change: "Change") -> str:
    return ", ".join(value for _, value in _pairs(change))


def _json(value: Any) -> str:
    import msgspec

    return "-" if value is UNSET else msgspec.json.encode(value).decode()
