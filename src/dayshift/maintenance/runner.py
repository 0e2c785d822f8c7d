"""Runs all loops of one process."""

import asyncio

from dayshift.maintenance.announcer import Announcer, DelayedLoader
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.depth_gauge import DepthGauge
from dayshift.maintenance.expirer import Expirer
from dayshift.maintenance.janitor import Janitor
from dayshift.maintenance.loop import Loop
from dayshift.maintenance.rebuilder import Rebuilder
from dayshift.maintenance.rescuer import Rescuer
from dayshift.maintenance.scheduler import Scheduler
from dayshift.maintenance.stranded_gauge import StrandedGauge
from dayshift.maintenance.waker import FamilyKeeper, Waker
from dayshift.tasks import Services


async def run(services: Services, stop: asyncio.Event, config: MaintenanceConfig | None = None) -> None:
    """Repair and clean until `stop` is set. `services` are open, and stay so until this returns."""
    config = config or MaintenanceConfig()
    rebuilder = Rebuilder(services, config)
    await rebuilder.listen()
    loops: list[Loop] = [
        rebuilder,
        Rescuer(services, config),
        Announcer(services, config),
        DelayedLoader(services, config),
        Expirer(services, config),
        Waker(services, config),
        FamilyKeeper(services, config),
        Scheduler(services, config),
        DepthGauge(services, config),
        StrandedGauge(services, config),
        Janitor(services, config),
    ]
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(loop.run(stop), name=f"maintenance.{loop.name}")
