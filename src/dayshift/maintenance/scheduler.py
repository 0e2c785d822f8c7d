"""Makes the tasks of schedules whose time has come (`tasks/schedules/scheduling.py` says how several at once make each of them once)."""

from collections.abc import Callable
from datetime import datetime

from dayshift.domain.clock import now
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services


class Scheduler(Loop):
    """Looks each second, and at once again while there is much to make good. `clock` says what time it is."""

    name = "scheduler"

    def __init__(self, services: Services, config: MaintenanceConfig, clock: Callable[[], datetime] = now) -> None:
        super().__init__(config.schedule_interval)
        self._services = services
        self._clock = clock

    async def run_once(self) -> None:
        if not await self._services.scheduling.make_due(self._clock()):
            self.kick()
