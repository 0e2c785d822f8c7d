"""What there is: agents, queues, workers."""

from collections import Counter
from datetime import datetime

from msgspec import Raw, Struct

from dayshift.domain import api_keys
from dayshift.gateway.pages import Page, by_name, newest_first
from dayshift.gateway.replies import Reply
from dayshift.gateway.request import Request
from dayshift.ledger.shapes import AgentRow, WorkerRow
from dayshift.tasks.depth import QueueDepth
from dayshift.tasks.services import Services


class AgentView(Struct, frozen=True, kw_only=True):
    """A registered agent: its newest schema validates. `workers` counts the live ones that run it."""

    name: str
    queue: str
    versions: list[str]
    input_schema: Raw
    output_schema: Raw
    workers: int


class WorkerView(Struct, frozen=True, kw_only=True):
    """A live worker process."""

    id: str
    pid: int
    host: str
    version: str | None
    agents: list[str]
    slots: int
    running: int
    draining: bool
    seen_at: datetime | None
    loop_lag_seconds: float


class Lists:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def agents(self, request: Request) -> Reply:
        page = request.query(Page)
        rows = await self._services.ledger.registry.all()
        workers = Counter(agent for worker in await self._live_workers() for agent in worker.agents)
        views = [_agent_view(row, workers[row.name]) for row in rows]
        return by_name(views, lambda view: view.name, page)

    async def queues(self, request: Request) -> Reply:
        """What is unfinished in each queue: the caller's own, or everybody's for a key with the scope `admin`."""
        page = request.query(Page)
        everybody = request.caller.may(api_keys.ADMIN)
        depths = await self._services.admission.queues(None if everybody else request.tenant)
        known = {depth.name for depth in depths}
        idle = {row.queue for row in await self._services.ledger.registry.all()} - known
        return by_name([*depths, *(QueueDepth(name=name) for name in idle)], lambda depth: depth.name, page)

    async def workers(self, request: Request) -> Reply:
        page = request.query(Page)
        views = [_worker_view(worker) for worker in await self._live_workers()]
        return newest_first(views, lambda view: view.id, page)

    async def _live_workers(self) -> list[WorkerRow]:
        return [worker for worker in await self._services.ledger.workers.list() if worker.released_at is None]


def _agent_view(row: AgentRow, workers: int) -> AgentView:
    return AgentView(
        name=row.name,
        queue=row.queue,
        versions=row.versions or [row.version],
        input_schema=Raw(row.input_schema),
        output_schema=Raw(row.output_schema),
        workers=workers,
    )


def _worker_view(row: WorkerRow) -> WorkerView:
    return WorkerView(
        id=row.id,
        pid=row.pid,
        host=row.host,
        version=row.version,
        agents=row.agents,
        slots=row.slots,
        running=row.running,
        draining=row.draining,
        seen_at=row.seen_at,
        loop_lag_seconds=row.loop_lag_seconds,
    )
