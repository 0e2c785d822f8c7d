"""Notices that the hot plane was lost, and rebuilds it (`tasks/rebuild.py` says how, and why that is safe)."""

from dayshift.hotplane import channels
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services


class Rebuilder(Loop):
    """Looks every second, and at once when a process was answered NOT_READY."""

    name = "rebuilder"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.rebuild_interval)
        self._services = services

    async def listen(self) -> None:
        """Be woken by whoever finds the plane not ready."""
        await self._services.pushes.listen(channels.MAINTENANCE, lambda _: self.kick())

    async def run_once(self) -> None:
        await self._services.rebuild.rebuild_if_lost()
