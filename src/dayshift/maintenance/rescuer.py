"""Finds dead workers and has their tasks queued again.

A worker is dead when both planes say so: its row was not renewed for ten seconds by the ledger's clock, and the hot plane
answers, is ready, and knows no lease of it. While the plane is away nobody is declared dead: a worker that the ledger does
not hear of may be well and only cut off from it, and then the plane's lease is the word that counts.
"""

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DependencyAway
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services


class Rescuer(Loop):
    """Silent workers, those released lately or still shown as running something, and what the plane alone remembers."""

    name = "rescuer"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.rescue_interval)
        self._services = services
        self._config = config
        self._rescued_at: dict[str, float] = {}
        self._orphans_at = float("-inf")

    async def run_once(self) -> None:
        """Rescue whoever is due for it."""
        try:
            await self._rescue_suspects()
        except DependencyAway:
            self._orphans_at = float("-inf")  # what was cut short is looked for as soon as both planes answer again
            raise
        if monotonic_seconds() - self._orphans_at >= self._config.orphans_interval:
            await self._release_orphans()
            self._orphans_at = monotonic_seconds()

    async def _rescue_suspects(self) -> None:
        suspects = await self._services.ledger.workers.silent(self._config.silent_after)
        self._rescued_at = {worker_id: at for worker_id, at in self._rescued_at.items() if worker_id in suspects}
        if suspects:
            unreleased = {row.id for row in await self._services.ledger.workers.list()}
            for worker_id in suspects:
                await self._rescue(worker_id, is_released=worker_id not in unreleased)

    async def _rescue(self, worker_id: str, *, is_released: bool) -> None:
        since = monotonic_seconds() - self._rescued_at.get(worker_id, float("-inf"))
        if since < self._config.rescue_again_after:
            return
        if not is_released and not await self._services.plane.lease_is_gone(worker_id):
            return
        await self._services.rescue.rescue_worker(
            worker_id,
            f"no beat for {self._config.silent_after:g} s in either plane",
            only_if_silent_seconds=self._config.silent_after,
        )
        self._rescued_at[worker_id] = monotonic_seconds()

    async def _release_orphans(self) -> None:
        """Free what the plane holds for workers that the ledger does not know as alive.

        That is left over when a rescue died between the planes: tasks claimed and never started, which only the plane
        remembers. The plane is read first: whoever claims has registered before.
        """
        holders = await self._services.plane.holders()
        unreleased = {row.id for row in await self._services.ledger.workers.list()} if holders else set()
        for worker_id in holders:
            if worker_id not in unreleased:
                await self._services.plane.release_worker(worker_id)
