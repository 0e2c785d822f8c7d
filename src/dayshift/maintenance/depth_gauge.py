"""Counts what is unfinished, for admission, `/v1/queues` and the metrics.

Counting costs time in proportion to the backlog, so it is duty-cycled: after a count that took a second nobody counts for
twenty. When the next one is due stands beside the count, so that all processes keep to it, and whoever reads an old count
knows whether it is the latest there can be. Of several processes the one that comes first counts, the others read what it
wrote. A count that fails after a long time, because the ledger cut it off, is tried again as late as one that succeeded;
until then the last one stands.
"""

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DependencyAway
from dayshift.domain.events import DepthMeasured
from dayshift.ledger import Depth
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services
from dayshift.telemetry import emit


class DepthGauge(Loop):
    """Counts each second, or as often as its share of time allows."""

    name = "depth_gauge"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.depth_interval)
        self._ledger = services.ledger
        self._least_interval_seconds = config.depth_interval
        self._duty_ratio = config.depth_duty_ratio
        self._known_queues: set[str] = set()

    async def run_once(self) -> None:
        depths = await self._ledger.tasks.depths()
        if depths is None or depths.age_seconds >= depths.again_seconds - self._least_interval_seconds / 2:
            await self._count()
            depths = await self._ledger.tasks.depths()
        if depths is not None:
            self._publish(depths.rows)

    async def _count(self) -> None:
        started_at = monotonic_seconds()
        try:
            await self._ledger.tasks.measure_depths(self._least_interval_seconds, self._duty_ratio)
        except DependencyAway:
            took_seconds = monotonic_seconds() - started_at
            await self._ledger.tasks.keep_depths(max(self._least_interval_seconds, took_seconds / self._duty_ratio))
            raise

    def _publish(self, rows: list[Depth]) -> None:
        by_queue: dict[str, list[Depth]] = {queue: [] for queue in self._known_queues}
        for row in rows:
            by_queue.setdefault(row.queue, []).append(row)
        self._known_queues = set(by_queue)
        for queue, parts in by_queue.items():
            emit(
                DepthMeasured(
                    queue=queue,
                    ready=sum(part.ready for part in parts),
                    delayed=sum(part.delayed for part in parts),
                    running=sum(part.running for part in parts),
                    waiting=sum(part.waiting for part in parts),
                    oldest_seconds=max((part.oldest_seconds for part in parts), default=0.0),
                )
            )
