"""Faults of the ways: between a lone process and an engine, and between the clients and the lone gateway.

Data that a cut-off way holds back arrives when it is healed: late claims, late beats, late commits.
"""

from tests.faults.proxy import Proxy
from tests.verifier.fleet import Fleet
from tests.verifier.menu.card import Made, fault
from tests.verifier.menu.processes import LONE
from tests.verifier.plan import Planned
from tests.verifier.record import LEDGER, PLANE, Hit

LONG = (6.0, 15.0)
SHORT = (0.5, 4.0)
WORKER_REPLIES = ("claim", "ack", "beat", "append", "start_tasks", "finish_tasks", "beat_worker", "reconcile")
GATEWAY_REPLIES = ("accept_tasks", "enqueue", "append", "read", "cancel_task", "task_by_id")
DOOR_REPLIES = ("POST /v1/tasks", "POST /v1/tasks/batch")


@fault("lone-worker.cut-off-ledger", "lone worker", weight=2, lasts=LONG)
async def worker_cut_off_ledger(fleet: Fleet, planned: Planned) -> Made:
    """The other plane still hears it: nothing that it runs may be lost."""
    fleet.worker_ledger.partition()
    yield Hit(pids=(fleet.lone_worker.pid,), cuts=(LEDGER,))
    fleet.worker_ledger.heal()


@fault("lone-worker.cut-off-plane", "lone worker", weight=2, lasts=LONG)
async def worker_cut_off_plane(fleet: Fleet, planned: Planned) -> Made:
    fleet.worker_plane.partition()
    yield Hit(pids=(fleet.lone_worker.pid,), cuts=(PLANE,))
    fleet.worker_plane.heal()


@fault("lone-worker.cut-off", "lone worker", weight=3, lasts=(11.0, 16.0), rest=6)
async def worker_cut_off(fleet: Fleet, planned: Planned) -> Made:
    """From both planes, past its lease, while it works on."""
    fleet.worker_ledger.partition()
    fleet.worker_plane.partition()
    yield Hit(pids=(fleet.lone_worker.pid,))
    fleet.worker_plane.heal()
    fleet.worker_ledger.heal()


@fault("lone-worker.replies-lost", "lone worker", weight=8, lasts=SHORT, rest=1)
async def worker_replies_lost(fleet: Fleet, planned: Planned) -> Made:
    detail = _lose(WORKER_REPLIES, planned, fleet.worker_ledger, fleet.worker_plane)
    yield Hit(detail=detail)
    fleet.worker_ledger.heal()
    fleet.worker_plane.heal()


@fault("lone-worker.slow", "lone worker", weight=2, lasts=SHORT, rest=1)
async def worker_slow(fleet: Fleet, planned: Planned) -> Made:
    for way in (fleet.worker_ledger, fleet.worker_plane):
        way.delay(planned.choice * 0.6)
    yield Hit()
    for way in (fleet.worker_ledger, fleet.worker_plane):
        way.heal()


@fault("lone-gateway.replies-lost", "lone gateway", weight=6, lasts=SHORT, rest=1)
async def gateway_replies_lost(fleet: Fleet, planned: Planned) -> Made:
    detail = _lose(GATEWAY_REPLIES, planned, fleet.gateway_ledger, fleet.gateway_plane)
    yield Hit(detail=detail)
    fleet.gateway_ledger.heal()
    fleet.gateway_plane.heal()


@fault("lone-gateway.cut-off-plane", "lone gateway", weight=2, lasts=LONG)
async def gateway_cut_off_plane(fleet: Fleet, planned: Planned) -> Made:
    """It accepts, and its nudges are not heard."""
    fleet.gateway_plane.partition()
    yield Hit()
    fleet.gateway_plane.heal()


@fault("lone-gateway.cut-off-ledger", "lone gateway", weight=1, lasts=LONG)
async def gateway_cut_off_ledger(fleet: Fleet, planned: Planned) -> Made:
    fleet.gateway_ledger.partition()
    yield Hit()
    fleet.gateway_ledger.heal()


@fault("maintenance.cut-off", "maintenance", weight=2, lasts=LONG)
async def maintenance_cut_off(fleet: Fleet, planned: Planned) -> Made:
    """In the middle of whatever it repairs, which another must take up."""
    ways = [fleet.maintenance_ledger, fleet.maintenance_plane]
    for way in ways[: 1 + int(planned.choice * 2)]:
        way.partition()
    yield Hit()
    for way in ways:
        way.heal()


@fault("door.answers-lost", "door", weight=6, lasts=SHORT, rest=1)
async def door_answers_lost(fleet: Fleet, planned: Planned) -> Made:
    """It was done, and the client does not hear of it."""
    detail = _lose(DOOR_REPLIES, planned, fleet.door)
    yield Hit(doors=(LONE,), detail=detail)
    fleet.door.heal()


@fault("door.cut", "door", weight=4, rest=1)
async def door_cut(fleet: Fleet, planned: Planned) -> Made:
    """Every connection is reset: submits, long-polls and streams."""
    fleet.door.cut()
    yield Hit(doors=(LONE,))


def _lose(names: tuple[str, ...], planned: Planned, *ways: Proxy) -> str:
    """Lose the next replies to one kind of request: by a cut, or by silence on a connection that stays."""
    name = names[int(planned.choice * len(names))]
    cut = planned.number % 3 != 0
    for way in ways:
        way.lose_reply(name, times=1 + planned.number % 3, cut=cut)
    return f"{name}, {'cut' if cut else 'silent'}"
