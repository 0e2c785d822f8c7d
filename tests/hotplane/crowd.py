"""Tasks, workers and a little arithmetic for the plane's tests."""

from collections import Counter
from collections.abc import Sequence
from itertools import count

from dayshift.domain import ids
from dayshift.domain.task import Place
from dayshift.hotplane import Ack, Plane, Reconciled, channels

__all__ = ["Ack", "Place", "Reconciled", "channels", "claim", "ids", "places", "run_through", "worker"]

_seq = count(1)


def places(
    number: int, *, tenant: str = "a", agent: str = "agent", priority: int = 5, run_at_ms: int = 0
) -> list[Place]:
    """New tasks in order of acceptance."""
    return [Place(ids.new(ids.TASK), agent, priority, tenant, next(_seq), run_at_ms) for _ in range(number)]


def worker() -> str:
    return ids.new(ids.WORKER)


async def claim(
    plane: Plane, worker_id: str, number: int, agents: Sequence[str | tuple[str, int]] = ("agent",)
) -> list[str]:
    """Claim with a new request id; the ids of the tasks."""
    named = [agent if isinstance(agent, tuple) else (agent, -1) for agent in agents]
    return (await plane.claim(worker_id, ids.new("request_"), named, number)).task_ids


async def run_through(
    plane: Plane, tenant_of: dict[str, str], *, slots: int, tasks: int, slot_seconds: float = 0.01, batch: int = 10
) -> Counter[str]:
    """Keep `slots` tasks held, finishing the oldest, until `tasks` were claimed; how many of each tenant."""
    worker_id = worker()
    shares: Counter[str] = Counter()
    held: list[str] = []
    while shares.total() < tasks:
        claimed = await claim(plane, worker_id, min(batch, slots - len(held)) or batch)
        assert claimed, "the backlogs of this test must not run dry"
        held += claimed
        shares.update(tenant_of[task_id] for task_id in claimed)
        if len(held) >= slots:
            done, held = held[:batch], held[batch:]
            await plane.ack(worker_id, [Ack(task_id, slot_seconds) for task_id in done])
    return shares
