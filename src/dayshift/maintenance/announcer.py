"""Announces queued tasks that the hot plane may not know: lost nudges, and lanes that nobody moves."""

from dayshift.domain.clock import monotonic_seconds
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services


class Announcer(Loop):
    """The young every two seconds, the heads of all lanes now and then."""

    name = "announcer"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.announce_interval)
        self._services = services
        self._heads_interval_seconds = config.heads_interval
        self._heads_at = float("-inf")

    async def run_once(self) -> None:
        await self._services.announce.young()
        if monotonic_seconds() - self._heads_at >= self._heads_interval_seconds:
            await self._services.announce.heads()
            self._heads_at = monotonic_seconds()


class DelayedLoader(Loop):
    """Brings delayed tasks into the hot plane some minutes before they are due."""

    name = "delayed_loader"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.delayed_interval)
        self._services = services

    async def run_once(self) -> None:
        await self._services.announce.delayed()
