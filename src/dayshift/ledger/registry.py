"""`ledger.registry`: agents per code version. It outlives workers, so that a gateway can validate while none runs."""

from collections.abc import Sequence

from dayshift.ledger.database import Database, columns
from dayshift.ledger.shapes import AgentRow


class Registry:
    """What agents exist, and with which schemas."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def register(self, agents: Sequence[AgentRow]) -> None:
        """Record agents; the version registered last is the newest, so a rollback counts as new, too."""
        rows = [
            (agent.name, agent.version, agent.queue, agent.input_schema, agent.output_schema, agent.options)
            for agent in agents
        ]
        if rows:
            await self._db.fetch("register_agents", *columns(rows, 6))

    async def all(self) -> list[AgentRow]:
        """Every agent at its newest version, by name, with the names of all its versions."""
        return [
            AgentRow(
                name=row["name"],
                version=row["version"],
                queue=row["queue"],
                input_schema=row["input_schema"],
                output_schema=row["output_schema"],
                options=row["options"],
                versions=row["versions"],
                registered_at=row["registered_at"],
            )
            for row in await self._db.fetch("all_agents")
        ]
