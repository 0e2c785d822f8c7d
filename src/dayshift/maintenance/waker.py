"""Makes good the wake-ups that were lost: of parked tasks whose time is over, and of parents whose children have ended."""

from dayshift.domain.clock import monotonic_seconds
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services


class Waker(Loop):
    """Several at once share the work: each queues rows that no other has locked."""

    name = "waker"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.wake_interval)
        self._services = services

    async def run_once(self) -> None:
        await self._services.waking.wake_late()


class FamilyKeeper(Loop):
    """Tells parents every time, and now and then ends what nobody waits for."""

    name = "family"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.family_interval)
        self._services = services
        self._orphans_interval_seconds = config.lost_children_interval
        self._orphans_at = float("-inf")

    async def run_once(self) -> None:
        await self._services.family.tell_parents()
        if monotonic_seconds() - self._orphans_at >= self._orphans_interval_seconds:
            await self._services.family.cancel_orphans()
            self._orphans_at = monotonic_seconds()
