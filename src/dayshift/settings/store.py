"""Reads and changes settings: append-only versions with who, when and why, validated as a whole, written by
compare-and-set.

A write validates the document that *results*, and is stored only if that is still built on the newest version; else it is
built and validated again. The caller's own condition (`if_version`) is narrower and friendlier: nothing at, above or
below this path may have changed since that version, so two people who change different settings never collide.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dayshift.domain.errors import Conflict, InvalidInput, NotFound
from dayshift.ledger import Ledger, SettingsEntry, SettingsState
from dayshift.settings.document import (
    MISSING,
    Changes,
    changes_between,
    changes_to_put,
    changes_to_unset,
    document_of,
    leaves,
    value_at,
    with_value,
)
from dayshift.settings.live import understood
from dayshift.settings.paths import Path, canonical, parse
from dayshift.settings.shape import check, default_at, type_at

TRIES = 20
LARGEST_VALUE_BYTES = 262_144
HISTORY_PAGE = 1_000


class PathChange(Struct, frozen=True, kw_only=True):
    """One path's part in a version. `unset`: the path has no value of its own any more."""

    path: str
    value: Any = None
    unset: bool | UnsetType = UNSET


class Change(Struct, frozen=True, kw_only=True):
    """A setting as it is, or as a version made it. `by`, `at` and `why` are null where nobody has ever set it.

    `also` lists what else the same version changed (a rollback changes several paths).
    """

    path: str
    value: Any
    version: int
    by: str | None
    at: datetime | None
    why: str | None
    unset: bool | UnsetType = UNSET
    also: list[PathChange] | UnsetType = UNSET


class Difference(Struct, frozen=True, kw_only=True):
    """One innermost value that differs between two versions; a side without the field has nothing set there."""

    path: str
    before: Any = UNSET
    after: Any = UNSET


class SettingsStore:
    """`written` is told the version of every successful write, so that it can be pushed to other processes."""

    def __init__(self, ledger: Ledger, *, written: Callable[[int], Awaitable[None]] | None = None) -> None:
        self._versions = ledger.settings
        self._written = written

    async def get(self, path: str = "") -> Change:
        """What is set at a path, as it was set; where nothing is set, the default. NotFound for an unknown path."""
        names = parse(path)
        try:
            type_at(names)
        except InvalidInput as error:
            raise NotFound(f"There is no such setting. {error.message}", code="unknown_setting") from error
        state = await self._versions.current()
        document = document_of(state)
        value = value_at(document, names)
        last = await self._last_change(names)
        return Change(
            path=canonical(names),
            value=default_at(names, understood(document)) if value is MISSING else value,
            version=last.version if last else 0,
            by=last.by if last else None,
            at=last.at if last else None,
            why=last.why if last else None,
        )

    async def put(
        self, path: str, value: Any, *, by: str, why: str | None = None, if_version: int | None = None
    ) -> Change:
        """Set a path to a JSON value. InvalidInput with the paths and reasons, or Conflict (`version_mismatch`)."""
        names = parse(path)
        if not names:
            raise InvalidInput("Name the setting to change; the whole document is changed by rollback only.")
        type_at(names)
        _check_size(value, names)

        def build(state: SettingsState) -> Changes:
            check(with_value(document_of(state), names, value))
            return changes_to_put(state, names, value)

        return await self._write(names, build, by=by, why=why, if_version=if_version)

    async def unset(self, path: str, *, by: str, why: str | None = None, if_version: int | None = None) -> Change:
        """Take back what is set at a path and below it, so that the default holds."""
        names = parse(path)
        if not names:
            raise InvalidInput("Name the setting to unset; `rollback 0` unsets all.")
        type_at(names)

        def build(state: SettingsState) -> Changes:
            check(with_value(document_of(state), names, MISSING))
            return changes_to_unset(state, names)

        return await self._write(names, build, by=by, why=why, if_version=if_version)

    async def history(self, *, limit: int = 20, after: int | None = None) -> list[Change]:
        """Versions, newest first; `after` is the last version seen."""
        changes: list[Change] = []
        below = after
        while len(changes) < limit:
            rows = await self._versions.history(limit=HISTORY_PAGE, below=below)
            page = _by_version(rows)
            if len(rows) == HISTORY_PAGE and len(page) > 1:
                page.pop()  # its other rows may lie on the next page
            changes += [_version_change(entries) for entries in page]
            if len(rows) < HISTORY_PAGE:
                break
            below = changes[-1].version
        return changes[:limit]

    async def diff(self, from_version: int, to_version: int | None = None) -> list[Difference]:
        """What differs between two versions; without the second, up to now."""
        before = dict(leaves(document_of(await self._at(from_version))))
        after = dict(leaves(document_of(await self._at(to_version))))
        return [
            Difference(path=canonical(path), before=before.get(path, UNSET), after=after.get(path, UNSET))
            for path in sorted(before.keys() | after.keys())
            if before.get(path, UNSET) != after.get(path, UNSET)
        ]

    async def rollback(self, version: int, *, by: str, why: str | None = None) -> Change:
        """Make the settings what they were at a version, as a new version. Nothing is written if they are so already."""
        wanted_state = await self._at(version)
        check(document_of(wanted_state))
        wanted = {path: entry.value for path, entry in wanted_state.entries.items() if entry.value is not None}

        def build(state: SettingsState) -> Changes:
            return changes_between(state.entries, wanted)

        return await self._write((), build, by=by, why=why or f"rollback to version {version}", if_version=None)

    async def _at(self, version: int | None) -> SettingsState:
        newest = await self._versions.current()
        if version is None:
            return newest
        if not 0 <= version <= newest.version:
            raise NotFound(f"There is no settings version {version}; the newest is {newest.version}.")
        return await self._versions.current(at_version=version)

    async def _write(
        self,
        names: Path,
        build: Callable[[SettingsState], Changes],
        *,
        by: str,
        why: str | None,
        if_version: int | None,
    ) -> Change:
        for _ in range(TRIES):
            state = await self._versions.current()
            await self._check_condition(names, if_version, state)
            changes = build(state)
            if not changes:
                return Change(path=canonical(names), value=None, version=state.version, by=None, at=None, why=None)
            try:
                entries = await self._versions.write_many(changes, by=by, why=why, if_version=state.version)
            except Conflict:
                continue  # somebody wrote another setting meanwhile: build upon theirs
            change = _own_change(names, entries)
            if self._written is not None:
                await self._written(change.version)
            return change
        raise Conflict("The settings are being changed by too many at once; try again.", code="version_mismatch")

    async def _last_change(self, names: Path) -> SettingsEntry | None:
        """The newest change of the path, of one that contains it, or of one below it."""
        around = [canonical(names[:depth]) for depth in range(1, len(names) + 1)]
        return await self._versions.last_change_around(around, canonical(names) + "." if names else "")

    async def _check_condition(self, names: Path, if_version: int | None, state: SettingsState) -> None:
        if if_version is None:
            return
        if if_version > state.version:
            raise Conflict(
                f"There is no settings version {if_version}; the newest is {state.version}.", code="version_mismatch"
            )
        last = await self._last_change(names)
        if last is not None and last.version > if_version:
            raise Conflict(
                f"{canonical(names)} was changed since version {if_version}: {last.by} made version {last.version} "
                f"at {last.at:%Y-%m-%d %H:%M:%S} UTC. Read it again, and repeat the change if it is still right.",
                code="version_mismatch",
            )


def _check_size(value: Any, names: Path) -> None:
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{canonical(names)}: the value is not JSON ({error}).", code="invalid_setting") from error
    if size > LARGEST_VALUE_BYTES:
        raise InvalidInput(
            f"{canonical(names)}: the value has {size} bytes; {LARGEST_VALUE_BYTES} are allowed.",
            code="invalid_setting",
        )


def _own_change(names: Path, entries: list[SettingsEntry]) -> Change:
    """The answer to a write: the path that was asked for, and what else its version changed."""
    path = canonical(names)
    own = next((entry for entry in entries if entry.path == path), None)
    others = [entry for entry in entries if entry.path != path]
    return _change(path, own, others, entries[0])


def _version_change(entries: list[SettingsEntry]) -> Change:
    """A version as the history shows it: under the path that contains all others, or under none (a rollback)."""
    ordered = sorted(entries, key=lambda entry: len(parse(entry.path)))
    top, others = ordered[0], ordered[1:]
    names = parse(top.path)
    if all(parse(entry.path)[: len(names)] == names for entry in others):
        return _change(top.path, top, others, top)
    return _change("", None, ordered, top)


def _change(path: str, own: SettingsEntry | None, others: list[SettingsEntry], stamp: SettingsEntry) -> Change:
    return Change(
        path=path,
        value=_decoded(own.value) if own is not None else None,
        version=stamp.version,
        by=stamp.by,
        at=stamp.at,
        why=stamp.why,
        unset=True if own is not None and own.value is None else UNSET,
        also=[_path_change(entry) for entry in others] or UNSET,
    )


def _path_change(entry: SettingsEntry) -> PathChange:
    return PathChange(path=entry.path, value=_decoded(entry.value), unset=True if entry.value is None else UNSET)


def _by_version(rows: list[SettingsEntry]) -> list[list[SettingsEntry]]:
    groups: dict[int, list[SettingsEntry]] = {}
    for row in rows:
        groups.setdefault(row.version, []).append(row)
    return list(groups.values())


def _decoded(value: bytes | None) -> Any:
    return None if value is None else msgspec.json.decode(value)
