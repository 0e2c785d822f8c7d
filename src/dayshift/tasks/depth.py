"""Admission: how deep the queues are, and whether one more task fits.

Maintenance counts all unfinished rows about once a second, and more rarely when they are so many that counting takes
long; every process that admits reads the counts and adds what it accepted itself lately. So a bound is soft by what other
gateways accept between two counts, and costs an accept no query. A count says nothing any more when its successor is long
overdue (three times the interval that it was written with, ten seconds at least): then everything is admitted, because
refusing work over an old number is worse than a queue that is too long for a while.
"""

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from dayshift.domain import webhooks
from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import Refused
from dayshift.domain.settings import Settings
from dayshift.ledger import Depth, Depths, Ledger

STALE_SECONDS = 10.0  # at least
STALE_INTERVALS = 3.0
MOST_SLICES = 30
RETRY_AFTER_SECONDS = 2.0


class QueueDepth(Struct, frozen=True, kw_only=True):
    """One row of `GET /v1/queues`."""

    name: str
    ready: int = 0
    delayed: int = 0
    running: int = 0
    waiting: int = 0
    oldest_seconds: float = 0.0


class Admission:
    """What this process knows of the depths. Reads them only once somebody has asked."""

    def __init__(self, ledger: Ledger, settings: Callable[[], Settings]) -> None:
        self._ledger = ledger
        self._settings = settings
        self._is_used = False
        self._rows: list[Depth] = []
        self._stale_at = float("-inf")
        self._queued_in: Counter[str] = Counter()
        self._queued_by: Counter[str] = Counter()
        self._accepted: list[_Slice] = [_Slice()]

    def admit(self, tenant: str, queue: str) -> None:
        """Count one more task, or raise `Refused` (codes `queue_full`, `tenant_full`, with `retry_after_seconds`)."""
        self._is_used = True
        if self._is_fresh():
            self._check(tenant, queue)
        current = self._accepted[-1]
        current.queues[queue] += 1
        current.tenants[tenant] += 1

    async def refresh(self) -> None:
        """Read the latest counts; called once a second. Raises `LedgerAway`."""
        if not self._is_used:
            return
        closing = self._accepted[-1]
        closing.closed_at = monotonic_seconds()
        self._accepted = [*self._accepted[-MOST_SLICES:], _Slice()]
        asked_at = monotonic_seconds()
        depths = await self._ledger.tasks.depths()
        if depths is not None:
            self._take(depths, asked_at - depths.age_seconds)

    async def look(self) -> None:
        """For who admits rarely: read the counts unless they are fresh. Raises `LedgerAway`."""
        self._is_used = True
        if not self._is_fresh():
            await self.refresh()

    async def queues(self, tenant: str | None = None) -> list[QueueDepth]:
        """The depths by queue as last measured: of all tenants, or only of one."""
        await self.look()
        by_name: dict[str, list[Depth]] = {name: [] for name in self._settings().queues}
        for row in self._rows:
            if tenant is None or row.tenant == tenant:
                by_name.setdefault(row.queue, []).append(row)
        return [_summed(name, rows) for name, rows in sorted(by_name.items())]

    def _is_fresh(self) -> bool:
        return monotonic_seconds() <= self._stale_at

    def _check(self, tenant: str, queue: str) -> None:
        settings = self._settings()
        most_in_queue = settings.queue(queue).max_depth
        if self._queued_in[queue] + sum(part.queues[queue] for part in self._accepted) >= most_in_queue:
            raise Refused(
                f"queue {queue!r} holds {most_in_queue} tasks already; try again later, or raise queues.{queue}.max_depth",
                code="queue_full",
                retry_after_seconds=RETRY_AFTER_SECONDS,
                limit=most_in_queue,
            )
        most_of_tenant = settings.tenant(tenant).max_queued
        if self._queued_by[tenant] + sum(part.tenants[tenant] for part in self._accepted) >= most_of_tenant:
            raise Refused(
                f"this tenant has {most_of_tenant} tasks queued already; try again later, "
                f"or raise tenants.{tenant}.max_queued",
                code="tenant_full",
                retry_after_seconds=RETRY_AFTER_SECONDS,
                limit=most_of_tenant,
            )

    def _take(self, depths: Depths, measured_at: float) -> None:
        self._rows = depths.rows
        self._stale_at = measured_at + max(STALE_SECONDS, STALE_INTERVALS * depths.again_seconds)
        self._queued_in = Counter()
        self._queued_by = Counter()
        for row in depths.rows:
            self._queued_in[row.queue] += row.ready + row.delayed
            if row.queue != webhooks.QUEUE:  # what the house does for a tenant takes no room from its tasks
                self._queued_by[row.tenant] += row.ready + row.delayed
        self._accepted = [part for part in self._accepted if part.closed_at is None or part.closed_at > measured_at]


class _Slice:
    """What was accepted between two refreshes. It counts until a measurement is younger than its end."""

    def __init__(self) -> None:
        self.queues: Counter[str] = Counter()
        self.tenants: Counter[str] = Counter()
        self.closed_at: float | None = None


def _summed(name: str, rows: list[Depth]) -> QueueDepth:
    return QueueDepth(
        name=name,
        ready=sum(row.ready for row in rows),
        delayed=sum(row.delayed for row in rows),
        running=sum(row.running for row in rows),
        waiting=sum(row.waiting for row in rows),
        oldest_seconds=max((row.oldest_seconds for row in rows), default=0.0),
    )
