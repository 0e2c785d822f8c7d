"""What there is: agents, queues, workers."""

from collections import Counter
from datetime import datetime

from msgspec import Raw, Struct

from dayshift.domain import api_keys
from dayshift.gateway.pages import Page, by_name, newest_first
from dayshift.gateway.replies import Reply
from dayshift.gateway.request import Caller, Request
from dayshift.ledger.shapes import AgentRow, Depth, WorkerRow
from dayshift.tasks.services import Services


class AgentView(Struct, frozen=True, kw_only=True):
    """A registered agent: its newest schema validates. `workers` counts the live ones that run it."""

    name: str
    queue: str
    versions: list[str]
    input_schema: Raw
    output_schema: Raw
    workers: int


class QueueView(Struct, frozen=True, kw_only=True):
    """What is unfinished in a queue: the caller's own, or everybody's for a key with the scope `admin`."""

    name: str
    ready: int = 0
    delayed: int = 0
    running: int = 0
    waiting: int = 0
    oldest_seconds: float = 0.0


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
        self._ledger = services.ledger

    async def agents(self, request: Request) -> Reply:
        page = request.query(Page)
        rows = await self._ledger.registry.all()
        workers = Counter(agent for worker in await self._live_workers() for agent in worker.agents)
        views = [_agent_view(row, workers[row.name]) for row in rows]
        return by_name(views, lambda view: view.name, page)

    async def queues(self, request: Request) -> Reply:
        page = request.query(Page)
        names = {row.queue for row in await self._ledger.registry.all()}
        depths = await self._ledger.tasks.depths()
        views = _queue_views(
            names, [row for row in (depths.rows if depths is not None else []) if _may_count(request.caller, row)]
        )
        return by_name(views, lambda view: view.name, page)

    async def workers(self, request: Request) -> Reply:
        page = request.query(Page)
        views = [_worker_view(worker) for worker in await self._live_workers()]
        return newest_first(views, lambda view: view.id, page)

    async def _live_workers(self) -> list[WorkerRow]:
        return [worker for worker in await self._ledger.workers.list() if worker.released_at is None]


def _may_count(caller: Caller, row: Depth) -> bool:
    return row.tenant == caller.tenant or caller.may(api_keys.ADMIN)


def _agent_view(row: AgentRow, workers: int) -> AgentView:
    return AgentView(
        name=row.name,
        queue=row.queue,
        versions=row.versions or [row.version],
        input_schema=Raw(row.input_schema),
        output_schema=Raw(row.output_schema),
        workers=workers,
    )


def _queue_views(names: set[str], rows: list[Depth]) -> list[QueueView]:
    views = {name: QueueView(name=name) for name in names}
    for row in rows:
        sofar = views.get(row.queue, QueueView(name=row.queue))
        views[row.queue] = QueueView(
            name=row.queue,
            ready=sofar.ready + row.ready,
            delayed=sofar.delayed + row.delayed,
            running=sofar.running + row.running,
            waiting=sofar.waiting + row.waiting,
            oldest_seconds=max(sofar.oldest_seconds, row.oldest_seconds),
        )
    return list(views.values())


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
