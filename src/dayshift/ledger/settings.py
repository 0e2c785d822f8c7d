"""`ledger.settings`: append-only versions. What a path means and whether a value is right is decided above."""

from collections.abc import Mapping, Sequence

import asyncpg

from dayshift.domain.errors import Conflict
from dayshift.ledger.database import Database
from dayshift.ledger.shapes import SettingsEntry, SettingsState

_NEWEST = 2**62


class SettingsVersions:
    """Changes of settings. `if_version` names the newest version of *all* settings that the writer has seen: so what
    was validated together is what is stored together.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    async def current(self, at_version: int | None = None) -> SettingsState:
        """All paths that are set, now or as of an older version."""
        rows = await self._db.fetch("current_settings", at_version)
        version = (rows[0]["newest"] if rows else 0) if at_version is None else at_version
        entries = [_to_entry(row) for row in rows]
        return SettingsState(version=version, entries={one.path: one for one in entries if one.value is not None})

    async def write(
        self, path: str, value: bytes | None, *, by: str, why: str | None = None, if_version: int | None = None
    ) -> SettingsEntry:
        """Set a path, or unset it (None), as the next version; Conflict when `if_version` is not the newest."""
        return (await self.write_many({path: value}, by=by, why=why, if_version=if_version))[0]

    async def write_many(
        self, changes: Mapping[str, bytes | None], *, by: str, why: str | None = None, if_version: int | None = None
    ) -> list[SettingsEntry]:
        """Change several paths as one version."""
        paths, values = list(changes), list(changes.values())
        rows = await self._db.fetch("write_settings", paths, values, by, why, if_version)
        if not rows:
            raise Conflict(
                f"The settings have changed since version {if_version}. Read them again, and repeat the change if it is still right.",
                code="settings_changed",
            )
        return [_to_entry(row) for row in rows]

    async def history(
        self, path: str | None = None, *, limit: int = 100, below: int | None = None
    ) -> list[SettingsEntry]:
        """Changes of one path, or of all, newest first; `below` is the last version seen."""
        rows = await self._db.fetch("settings_history", path, _NEWEST if below is None else below, limit)
        return [_to_entry(row) for row in rows]

    async def last_change_around(self, paths: Sequence[str], beginning: str) -> SettingsEntry | None:
        """The newest change of one of the paths, or of any path that begins so; None if there never was one."""
        row = await self._db.fetch_one("last_settings_change_around", paths, beginning)
        return None if row is None else _to_entry(row)


def _to_entry(row: asyncpg.Record) -> SettingsEntry:
    return SettingsEntry(
        version=row["version"], path=row["path"], value=row["value"], by=row["by_whom"], why=row["why"], at=row["at"]
    )
