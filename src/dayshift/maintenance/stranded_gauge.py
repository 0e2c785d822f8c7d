"""Counts the tasks that are pinned to a code version which no worker has any more: nobody will go on with them.

Only the tasks of pinned agents that have started and not ended are looked at.
"""

from dayshift.domain.events import TasksStranded
from dayshift.maintenance.config import MaintenanceConfig
from dayshift.maintenance.loop import Loop
from dayshift.tasks import Services
from dayshift.telemetry import emit


class StrandedGauge(Loop):
    """Tells what there is, and once that there is nothing any more."""

    name = "stranded_gauge"

    def __init__(self, services: Services, config: MaintenanceConfig) -> None:
        super().__init__(config.stranded_interval)
        self._ledger = services.ledger
        self._known: set[str] = set()

    async def run_once(self) -> None:
        stranded = await self._ledger.tasks.stranded()
        agents = {one.agent for one in stranded}
        for agent in sorted(self._known | agents):
            its = [one for one in stranded if one.agent == agent]
            tasks = sum(one.tasks for one in its)
            emit(TasksStranded(agent=agent, versions=[one.version for one in its], tasks=tasks))
        self._known = agents
