"""`ledger.keys`: API keys, by their hash."""

from collections.abc import Sequence

import asyncpg

from dayshift.domain import ids
from dayshift.domain.errors import NotFound
from dayshift.ledger.database import Database
from dayshift.ledger.rows import HIGHEST_UUID, bare, bare_or_missing
from dayshift.ledger.shapes import ActiveKey, KeyRow, NewKey


class Keys:
    """Who may come in. Every change counts `versions.keys` up, which each gateway polls."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(self, key: NewKey) -> KeyRow:
        """Record a key."""
        row = await self._db.fetch_one(
            "create_key", bare(key.id), key.hash, key.prefix, key.tenant, key.scopes, key.expires_at
        )
        assert row is not None, "an insert without a conflict clause returns its row"
        return _to_key(row)

    async def list(self, tenant: str | None = None, *, limit: int = 100, after: str | None = None) -> list[KeyRow]:
        """Keys of a tenant, or of all, newest first; revoked ones, too."""
        below = HIGHEST_UUID if after is None else bare_or_missing(ids.KEY, after, "key")
        return [_to_key(row) for row in await self._db.fetch("list_keys", tenant, below, limit)]

    async def active(self) -> Sequence[ActiveKey]:
        """The keys that open a door now."""
        return [
            ActiveKey(
                id=f"{ids.KEY}{row['id']}",
                hash=row["hash"],
                tenant=row["tenant"],
                scopes=row["scopes"],
                expires_at=row["expires_at"],
            )
            for row in await self._db.fetch("active_keys")
        ]

    async def revoke(self, key_id: str, tenant: str | None = None) -> KeyRow:
        """Close a key for good; revoking it again changes nothing."""
        row = await self._db.fetch_one("revoke_key", bare_or_missing(ids.KEY, key_id, "key"), tenant)
        if row is None:
            raise NotFound(f"There is no key {key_id}.")
        return _to_key(row)

    async def touch(self, key_ids: Sequence[str]) -> None:
        """Note that keys were used; `last_used_at` is true to the minute."""
        await self._db.fetch("touch_keys", [bare(one) for one in key_ids])


def _to_key(row: asyncpg.Record) -> KeyRow:
    return KeyRow(
        id=f"{ids.KEY}{row['id']}",
        prefix=row["prefix"],
        tenant=row["tenant"],
        scopes=row["scopes"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
