"""The active API keys, held in memory, so that no request waits for a database to be let in.

A process reads all active keys once and again whenever the ledger's key version rises (looked at each second, and at
once after a push), so a revoked key is refused everywhere within a second. While the ledger is away the last known keys
go on to open the door: what a caller may then do, the other rooms decide.
"""

import asyncio
import hmac
from collections.abc import Sequence
from typing import Protocol

from dayshift.domain import api_keys
from dayshift.domain.clock import now
from dayshift.domain.errors import DependencyAway, LedgerAway
from dayshift.domain.events import Fault
from dayshift.gateway.request import Caller
from dayshift.ledger.shapes import ActiveKey, KeyRow
from dayshift.telemetry import emit

SECONDS_BETWEEN_USE_NOTES = 10.0


class KeyLedger(Protocol):
    """What the ring needs of `ledger.keys`."""

    async def active(self) -> Sequence[ActiveKey]:
        """Every key that is neither revoked nor expired."""

    async def list(self, tenant: str | None = None, *, limit: int = 100, after: str | None = None) -> list[KeyRow]:
        """All keys that were ever made, revoked ones included."""

    async def touch(self, key_ids: Sequence[str]) -> None:
        """Note that these keys were used now."""


class KeyRing:
    """`open` before the first request; `refresh` when the key version has risen; `close` at the end."""

    def __init__(self, ledger_keys: KeyLedger) -> None:
        self._ledger_keys = ledger_keys
        self._by_hash: dict[bytes, ActiveKey] = {}
        self._loaded = False
        self._used: set[str] = set()
        self._noting: asyncio.Task[None] | None = None
        self.any_made = False

    async def open(self) -> None:
        await self.refresh()
        self._noting = asyncio.create_task(self._note_uses(), name="note the use of keys")

    async def close(self) -> None:
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.gather(self._noting, return_exceptions=True)
            self._noting = None
            await self._note_use()

    async def refresh(self, _version: int = 0) -> None:
        """Read the active keys again. An error leaves the ring as it was."""
        active = await self._ledger_keys.active()
        self.any_made = self.any_made or bool(active) or bool(await self._ledger_keys.list(limit=1))
        self._by_hash = {key.hash: key for key in active}
        self._loaded = True

    def find(self, secret: str) -> Caller | None:
        """Whose key that is, or None. Notes its use."""
        if not self._loaded:
            raise LedgerAway("the API keys are not loaded yet; try again shortly", retry_after_seconds=1)
        digest = api_keys.hash_of(secret)
        key = self._by_hash.get(digest)
        if key is None or not hmac.compare_digest(key.hash, digest):
            return None
        if key.expires_at is not None and key.expires_at <= now():
            return None
        self._used.add(key.id)
        return Caller(key.tenant, frozenset(key.scopes), key.id)

    async def _note_uses(self) -> None:
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_USE_NOTES)
            await self._note_use()

    async def _note_use(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._ledger_keys.touch(sorted(used))
        except DependencyAway:
            self._used |= used
        except Exception as error:  # noqa: BLE001 - the notes of later uses must not end with this one
            emit(Fault.of("gateway.keyring", error))
