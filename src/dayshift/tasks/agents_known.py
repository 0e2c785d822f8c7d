"""The agents that a request may name: the registry's newest versions, kept in memory."""

import asyncio

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import FieldError, InvalidInput
from dayshift.ledger import AgentRow, Ledger

BUILT_IN = "dayshift."
_LOOK_INTERVAL_SECONDS = 0.1


class AgentsKnown:
    """Read again when the registry's version changes, and once more before a request's agent is called unknown.

    An agent may have been registered a moment ago by a worker that has just started. Direct looks of many requests are
    one query, and there are at most ten a second: guessing names costs the database nothing.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._by_name: dict[str, AgentRow] = {}
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")

    async def find(self, name: str) -> AgentRow:
        """The newest version of the agent. Raises `InvalidInput` (code `unknown_agent`), `LedgerAway`."""
        asked_at = monotonic_seconds()
        row = self._by_name.get(name)
        if row is None:
            await self._look_once_since(asked_at)
            row = self._by_name.get(name)
        if row is None:
            raise self._unknown(name)
        return row

    async def only(self) -> AgentRow | None:
        """The one agent that there is, built-in ones not counted; None if there are more or none. Raises `LedgerAway`."""
        if not self._by_name:
            await self._look_once_since(monotonic_seconds())
        rows = [row for name, row in self._by_name.items() if not name.startswith(BUILT_IN)]
        return rows[0] if len(rows) == 1 else None

    async def refresh(self, _version: int = 0) -> None:
        """Read the registry now."""
        await self._look_once_since(monotonic_seconds())

    async def _look_once_since(self, moment: float) -> None:
        async with self._looking:
            if self._looked_at >= moment:
                return
            wait_seconds = self._looked_at + _LOOK_INTERVAL_SECONDS - monotonic_seconds()
            if wait_seconds > 0:
                await asyncio.sleep(wait_seconds)
            started_at = monotonic_seconds()
            rows = await self._ledger.registry.all()
            self._by_name = {row.name: row for row in rows}
            self._looked_at = started_at

    def _unknown(self, name: str) -> InvalidInput:
        authors = sorted(known for known in self._by_name if not known.startswith(BUILT_IN))
        message = (
            f"no agent is named {name[:100]!r}; registered: {', '.join(authors[:10]) or 'none yet'}. A worker registers the agents "
            "of its file when it is up: start one that has this agent, or try again if it is just starting"
        )
        return InvalidInput(message, [FieldError("agent", message)], code="unknown_agent")
