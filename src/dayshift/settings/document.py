"""The document that the stored paths add up to, and what a change of it means for them.

The ledger keeps, for every path that is set, its last value. A path may be set inside one that is set too
(`queues.a = {...}`, then `queues.a.paused = true`): the deeper one lies over the shallower. So a change of a path also
unsets what is stored below it, and unsetting a path rewrites those above it that contain it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from dayshift.ledger import SettingsEntry, SettingsState
from dayshift.settings.paths import Path, canonical, parse

Changes = dict[str, bytes | None]
MISSING: Any = msgspec.UNSET


def document_of(state: SettingsState) -> dict[str, Any]:
    """All that is set, as one document."""
    document: dict[str, Any] = {}
    for path, entry in sorted(_by_path(state.entries), key=lambda item: len(item[0])):
        assert entry.value is not None, "the ledger answers only paths that are set"
        document = with_value(document, path, msgspec.json.decode(entry.value))
    return document


def value_at(document: Any, path: Path) -> Any:
    """The value at a path, or MISSING."""
    for name in path:
        if not isinstance(document, dict) or name not in document:
            return MISSING
        document = document[name]
    return document


def with_value(document: Any, path: Path, value: Any) -> Any:
    """A copy of the document with that value; MISSING takes the path out, if it is there."""
    if not path:
        return value
    if value is MISSING and value_at(document, path) is MISSING:
        return document
    here = dict(document) if isinstance(document, dict) else {}
    inner = with_value(here.get(path[0]), path[1:], value)
    if inner is MISSING:
        del here[path[0]]
    else:
        here[path[0]] = inner
    return here


def changes_to_put(state: SettingsState, path: Path, value: Any) -> Changes:
    """What to store so that the document holds `value` at `path`."""
    changes: Changes = {canonical(path): _encoded(value)}
    for stored, entry in _by_path(state.entries):
        if _lies_below(stored, path):
            changes[canonical(stored)] = None
        elif _lies_below(path, stored):
            whole, inner = msgspec.json.decode(entry.value or b"null"), path[len(stored) :]
            if not _is_object(whole, inner[:-1]):  # a plain value stands where an object is to be (in a tenant's flags)
                changes[canonical(stored)] = _encoded(with_value(whole, inner, value))
    return changes


def changes_to_unset(state: SettingsState, path: Path) -> Changes:
    """What to store so that nothing is set at `path` or below it."""
    changes: Changes = {canonical(path): None}
    for stored, entry in _by_path(state.entries):
        if _lies_below(stored, path):
            changes[canonical(stored)] = None
        elif _lies_below(path, stored):
            whole, inner = msgspec.json.decode(entry.value or b"null"), path[len(stored) :]
            if value_at(whole, inner) is not MISSING:
                changes[canonical(stored)] = _encoded(with_value(whole, inner, MISSING))
    return changes


def changes_between(now: Mapping[str, SettingsEntry], wanted: Mapping[str, bytes]) -> Changes:
    """What to store so that exactly the wanted paths are set."""
    changes: Changes = {path: None for path in now if path not in wanted}
    changes.update((path, value) for path, value in wanted.items() if path not in now or now[path].value != value)
    return changes


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every innermost value with its path; an empty object counts as one."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif path:
        yield path, value


def _by_path(entries: Mapping[str, SettingsEntry]) -> list[tuple[Path, SettingsEntry]]:
    return [(parse(text), entry) for text, entry in entries.items()]


def _is_object(document: Any, path: Path) -> bool:
    """Whether nothing but objects, or nothing at all, lies on the way to the path and at its end."""
    return all(
        isinstance(found, dict) or found is MISSING
        for found in (value_at(document, path[:depth]) for depth in range(len(path) + 1))
    )


def _lies_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
