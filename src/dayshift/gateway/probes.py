"""Probes: is the process alive, may it get requests, and what has it counted."""

import asyncio
from typing import Literal

from msgspec import Struct

from dayshift.domain.errors import DependencyAway
from dayshift.gateway.drain import Drain
from dayshift.gateway.replies import Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.tasks.services import Services
from dayshift.telemetry import render_metrics

LONGEST_LOOK_SECONDS = 1.0

Status = Literal["ready", "starting", "draining", "wrong_schema"]
DependencyState = Literal["ok", "away"]


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether requests may come here. A dependency that is away is told, but is no reason to send requests elsewhere:
    the other gateways miss it too.
    """

    status: Status
    dependencies: dict[str, DependencyState]
    schema: str


_ALIVE = json_reply({"status": "alive"})
_METRICS = [header("content-type", "text/plain; version=0.0.4; charset=utf-8")]


class Probes:
    def __init__(self, services: Services, drain: Drain) -> None:
        self._services = services
        self._drain = drain
        self._schema = "unknown"  # until PostgreSQL has answered once

    async def livez(self, _request: Request) -> Reply:
        """Alive: this process answers. Asks nobody else."""
        return _ALIVE

    async def readyz(self, _request: Request) -> Reply:
        postgresql, valkey = await asyncio.gather(self._look_at_ledger(), self._look_at_plane())
        status: Status = "ready" if self._drain.phase == "serving" else self._drain.phase
        if status == "ready" and self._schema in {"behind", "too_new"}:
            status = "wrong_schema"
        readiness = Readiness(
            status=status, dependencies={"postgresql": postgresql, "valkey": valkey}, schema=self._schema
        )
        return json_reply(readiness, 200 if status == "ready" else 503)

    async def metrics(self, _request: Request) -> Reply:
        return Reply(200, await asyncio.to_thread(render_metrics), _METRICS)

    async def _look_at_ledger(self) -> DependencyState:
        try:
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                self._schema = await self._services.ledger.schema_state()
        except (DependencyAway, TimeoutError):
            return "away"
        return "ok"

    async def _look_at_plane(self) -> DependencyState:
        try:
            async with asyncio.timeout(LONGEST_LOOK_SECONDS):
                await self._services.plane.state()
        except (DependencyAway, TimeoutError):
            return "away"
        return "ok"
