"""What a worker tells the ledger about itself: its agents with their schemas, which outlive it, and its own row."""

import os
import socket

from dayshift.agents import LoadedAgents
from dayshift.ledger import AgentRow, Ledger, WorkerRow
from dayshift.worker.lease import Lease


class Registration:
    """Written before anything is claimed. A row that was released once is never taken up again."""

    def __init__(self, ledger: Ledger, loaded: LoadedAgents, slots_total: int) -> None:
        self._ledger = ledger
        self._loaded = loaded
        self._slots_total = slots_total

    async def register_agents(self) -> None:
        """The newest schema of each agent is what doors validate by."""
        await self._ledger.registry.register(
            [
                AgentRow(
                    name=agent.name,
                    version=self._loaded.version,
                    queue=agent.queue,
                    input_schema=agent.signature.input_schema,
                    output_schema=agent.signature.output_schema,
                    options=agent.options,
                )
                for agent in self._loaded.agents.values()
            ]
        )

    async def register_worker(self, lease: Lease) -> None:
        """The row that heartbeats keep young."""
        await self._ledger.workers.register(
            WorkerRow(
                id=lease.worker_id,
                pid=os.getpid(),
                host=socket.gethostname(),
                version=self._loaded.version,
                agents=sorted(self._loaded.agents),
                slots=self._slots_total,
            )
        )
