"""`ledger.webhooks`: who listens, and what a delivery needs to know. Deliveries are made where tasks end (queries/parts/deliveries.sql)."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from dayshift.domain import ids, webhooks
from dayshift.domain.errors import NotFound
from dayshift.domain.task import DEFAULT_PRIORITY, Place, Task
from dayshift.domain.webhooks import Endpoint
from dayshift.ledger.database import Database
from dayshift.ledger.rows import HIGHEST_UUID, bare, bare_or_missing, task_id, to_place, to_task


class DeliveryFacts(Struct, frozen=True, kw_only=True):
    """`task`: what is told of, as its row is now; None: it is gone. `url`: the address that it came with. `push`: that of an A2A client."""

    failures: int
    age_seconds: float
    task: Task | None
    url: str | None
    push: webhooks.Push | None


class Webhooks:
    """A tenant's endpoints. Those of another do not exist."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def create(
        self, endpoint_id: str, tenant: str, *, name: str, url: str, event_types: Sequence[str], secret: str, most: int
    ) -> Endpoint | None:
        """Make an endpoint; None: the tenant has as many as it may."""
        row = await self._db.fetch_one(
            "create_webhook_endpoint", bare(endpoint_id), tenant, name, url, list(event_types), secret, most
        )
        return None if row is None else _to_endpoint(row)

    async def list(self, tenant: str, *, limit: int, after: str | None = None) -> list[Endpoint]:
        """A tenant's endpoints, newest first."""
        below = HIGHEST_UUID if after is None else _bare(after)
        return [_to_endpoint(row) for row in await self._db.fetch("list_webhook_endpoints", tenant, below, limit)]

    async def get(self, tenant: str, endpoint_id: str) -> Endpoint:
        """One endpoint. Raises NotFound."""
        return _found(await self._db.fetch_one("get_webhook_endpoint", tenant, _bare(endpoint_id)), endpoint_id)

    async def update(
        self,
        tenant: str,
        endpoint_id: str,
        *,
        name: str | None,
        url: str | None,
        event_types: Sequence[str] | None,
        enabled: bool | None,
    ) -> Endpoint:
        """Change what is given. Raises NotFound."""
        types = None if event_types is None else list(event_types)
        row = await self._db.fetch_one("update_webhook_endpoint", tenant, _bare(endpoint_id), name, url, types, enabled)
        return _found(row, endpoint_id)

    async def delete(self, tenant: str, endpoint_id: str) -> None:
        """Make nothing for it any more. Raises NotFound."""
        if await self._db.fetch_one("delete_webhook_endpoint", tenant, _bare(endpoint_id)) is None:
            raise _no_such(endpoint_id)

    async def disable(self, endpoint: Endpoint, why: str) -> None:
        """Its receiver is gone; not if it got another address meanwhile."""
        await self._db.fetch("disable_webhook_endpoint", bare(endpoint.id), why, endpoint.url)

    async def rotate(self, endpoint: Endpoint, secret: str, *, keep_old_seconds: float) -> Endpoint:
        """Sign with another secret from now on, and for a while with the old one, too. Raises NotFound."""
        row = await self._db.fetch_one(
            "rotate_webhook_secret", endpoint.tenant, bare(endpoint.id), secret, keep_old_seconds
        )
        if row is None:  # a repeat of what was written, or deleted meanwhile
            row = await self._db.fetch_one(
                "get_webhook_endpoint", endpoint.tenant, bare(endpoint.id) if endpoint.url is not None else None
            )
        return _found(row, endpoint.id)

    async def default(self, tenant: str) -> Endpoint:
        """What signs for the addresses of a tenant's tasks; made when it is first asked for."""
        row = await self._db.fetch_one(
            "default_webhook_secret", tenant, bare(ids.new(ids.WEBHOOK)), webhooks.make_secret()
        )
        assert row is not None, "it is made or found"
        return _to_endpoint(row)

    async def facts(self, delivery_id: str) -> DeliveryFacts:
        """What a delivery must know of itself, and what it tells of."""
        row = await self._db.fetch_one("delivery_of", bare(delivery_id))
        assert row is not None, "who asks is the delivery's own attempt, so its row is there"
        return DeliveryFacts(
            failures=row["delivery_failures"],
            age_seconds=row["age_seconds"],
            task=None if row["id"] is None else to_task(row),
            url=row["webhook_url"],
            push=None if row["push"] is None else msgspec.json.decode(row["push"], type=webhooks.Push),
        )

    async def make_test(self, delivery_id: str, tenant: str, delivery: bytes, trace_id: str) -> Place | None:
        """A delivery that tells of nothing; None: it was made before."""
        row = await self._db.fetch_one("test_delivery", bare(delivery_id), tenant, delivery, trace_id)
        return None if row is None else to_place(row)


def places_of(row: asyncpg.Record, tenant: str) -> list[Place]:
    """Where the deliveries stand that a statement made."""
    made = zip(row["delivery_ids"] or (), row["delivery_seqs"] or (), strict=True)
    return [Place(task_id(one), webhooks.AGENT, DEFAULT_PRIORITY, tenant, seq) for one, seq in made]


def _bare(endpoint_id: str) -> str:
    return bare_or_missing(ids.WEBHOOK, endpoint_id, "webhook endpoint")


def _found(row: asyncpg.Record | None, endpoint_id: str) -> Endpoint:
    if row is None:
        raise _no_such(endpoint_id)
    return _to_endpoint(row)


def _no_such(endpoint_id: str) -> NotFound:
    return NotFound(f"There is no webhook endpoint {endpoint_id!r}.")


def _to_endpoint(row: Any) -> Endpoint:
    columns: dict[str, Any] = dict(row)
    return Endpoint(**{**columns, "id": f"{ids.WEBHOOK}{row['id']}"})
