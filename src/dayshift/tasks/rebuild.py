"""Rebuild: the hot plane was lost, and is made again from the ledger, under load.

A plane is lost when its marker is absent or names another epoch than the ledger, or when its run id has changed (it was
restarted, or another server was promoted: what it still has may be old). Whoever notices wakes maintenance; any of its
processes may come here, and a lock in the ledger, held by the transaction of one connection, lets one through.

    state of the world          marker       what the others see
    ------------------          ------       -------------------
    1 lost                      absent/old   NOT_READY, or an old epoch's state, which can only propose
    2 epoch raised (ledger)     absent/old   whoever reads the ledger names the new epoch: NOT_READY
    3 policy, running sets,     absent/old   the same; this process alone writes, into keys of the new epoch
      heads of lanes written
    4 marker written            new          ready; the push `epoch N` reaches all, their poll finds it anyway
    5 delayed tasks announced   new          whole
    6 old epochs' keys dropped  new

Why each race is harmless:

- *It dies anywhere in between.* The lock goes with its connection. The marker still differs from the ledger's epoch, so
  the next one raises the epoch again and starts over; half-written keys belong to an epoch that nobody will name. After
  the marker only delayed tasks can be missing: the delayed loader brings them, and the announcer those that are due.
- *Two rebuild at once* (the lock's connection broke and its holder does not know). Raising the epoch is a compare-and-set:
  each builds under a number of its own, the marker never goes back, and the one that was overtaken is told NOT_READY.
- *A task is accepted after its lane was read.* Its nudge was answered NOT_READY and is repeated for some seconds; beyond
  that the announcer finds it as a row that is ready and not in the plane.
- *A task is started after its lane was read* (claimed before the loss). It stands in a lane and runs: whoever claims it is
  refused by the ledger and acks it away. Its worker's beat shows that it holds the task, which notes it as held.
- *A task is finished after the running sets were read.* Its ack was answered NOT_READY and is repeated until answered.
  An ack that was answered before the loss followed a commit, which the running sets, read later, have seen.
- *A worker dies meanwhile.* It was restored as live; its lease runs out in both planes like any other. What a dead worker
  had is announced by the rescuer, which repeats it for as long as the ledger shows it as running there.
- *The old server is still there and takes writes* (a partition). Both planes propose; every start is decided in the ledger.

Only the heads of lanes are brought, so that a rebuild takes as long with a million queued tasks as with some thousand;
the boundary of each lane is marked cold, and refills bring the rest. Every lane has its head before the marker is there:
a task that is accepted behind it would otherwise overtake the older ones of a lane that looks empty.
"""

from msgspec import Struct

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.events import PlaneLost, PlaneRebuilt
from dayshift.hotplane import Plane, PlaneState
from dayshift.ledger import Ledger, PlaneStateRow
from dayshift.tasks.announce import Announce
from dayshift.tasks.lane_heads import all_lanes, fair_share, heads_of
from dayshift.tasks.policy import Policy
from dayshift.telemetry import emit

HEADS_A_LANE = 256
HEADS_IN_ALL = 4_000


class Rebuild:
    """One per maintenance process."""

    def __init__(self, ledger: Ledger, plane: Plane, policy: Policy, announce: Announce) -> None:
        self._ledger = ledger
        self._plane = plane
        self._policy = policy
        self._announce = announce

    async def rebuild_if_lost(self) -> bool:
        """Look, and rebuild if it is this process's turn. True: the plane was rebuilt. Raises `DependencyAway`."""
        if not await self._loss():
            return False
        async with self._ledger.plane_state.rebuild_lock() as is_mine:
            loss = await self._loss() if is_mine else None  # another may have rebuilt it before the lock was ours
            if loss is None:
                return False
            await self._rebuild(loss)
            return True

    async def _loss(self) -> "_Loss | None":
        seen = await self._plane.state()
        known = await self._ledger.plane_state.get()
        self._plane.epoch = max(self._plane.epoch, known.epoch)
        reason = _reason(seen, known)
        return _Loss(reason, seen.run_id, known.epoch) if reason is not None else None

    async def _rebuild(self, loss: "_Loss") -> None:
        started_at = monotonic_seconds()
        epoch = await self._ledger.plane_state.raise_epoch(loss.epoch, loss.run_id)
        if epoch is None:
            return  # another raised it first and rebuilds
        emit(PlaneLost(reason=loss.reason, epoch=epoch))
        self._plane.epoch = epoch
        await self._policy.restore()
        running = await self._restore_running()
        ready = await self._restore_heads()
        await self._plane.write_marker()
        elapsed_seconds = monotonic_seconds() - started_at
        delayed = await self._announce.delayed(since_seconds=elapsed_seconds)  # what became due behind the heads, too
        emit(
            PlaneRebuilt(
                epoch=epoch,
                ready=ready,
                delayed=delayed,
                running=running,
                duration_seconds=monotonic_seconds() - started_at,
            )
        )
        await self._plane.drop_old_epochs()

    async def _restore_running(self) -> int:
        held = await self._ledger.tasks.running_by_live_workers()
        await self._plane.restore_running(held)
        return len(held)

    async def _restore_heads(self) -> int:
        lanes = await all_lanes(self._ledger)
        share = fair_share(len(lanes), a_lane=HEADS_A_LANE, in_all=HEADS_IN_ALL)
        restored = 0
        async for heads in heads_of(self._ledger, lanes, share):
            await self._plane.enqueue(heads.places, rebuilding=True)
            await self._plane.mark_cold(heads.cold, rebuilding=True)
            restored += len(heads.places)
        return restored


class _Loss(Struct, frozen=True):
    reason: str
    run_id: str
    epoch: int


def _reason(seen: PlaneState, known: PlaneStateRow) -> str | None:
    if seen.marker_epoch is None:
        return "the marker is absent: the plane is empty"
    if seen.marker_epoch != known.epoch:
        return f"the plane is at epoch {seen.marker_epoch}, the ledger at {known.epoch}"
    if seen.run_id != known.run_id:
        return "the server was restarted or replaced"
    return None
