"""The order in which one worker's calls want to start: the same rules as among the workers' heads (`_limit_line.lua`).

The higher priority first; within it the tenant that had least (its virtual time); of a tenant, who came first. A priority's point is worth
ten seconds of waiting: the oldest of a lower priority goes first when it has aged beyond all higher ones.

Each tenant's virtual time is told by the plane, which sees what all workers give it; in between it is counted on here.
"""

from collections import deque

from dayshift.llm.limits.asks import Waiter

AGEING_SECONDS = 10.0
LOST_MS = 60_000.0  # the plane's virtual time can fall behind what it said only when it was lost
MAX_TENANTS = 10_000

_Lanes = dict[str, deque[Waiter]]


class OwnLine:
    """Waiters, in order. None of them is gone: who leaves is discarded at once."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lanes] = {}
        self._virtual: dict[str, float] = {}
        self._virtual_now = 0.0
        self.cost_ms = 0.0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, waiter: Waiter) -> None:
        """Join, behind those of the same tenant and priority."""
        self._lane(waiter).append(waiter)
        self._counted(waiter, 1)

    def discard(self, waiter: Waiter) -> None:
        """Leave, wherever it stands."""
        lane = self._lanes.get(waiter.ask.priority, {}).get(waiter.ask.tenant, deque())
        if waiter in lane:
            self._take(waiter)

    def pop(self, now_mono: float) -> Waiter | None:
        """The one whose turn it is; None when nobody waits. Its tenant is charged."""
        found = self._first(now_mono)
        if found is not None:
            self._take(found)
            self._charge(found)
        return found

    def put_back(self, waiter: Waiter) -> None:
        """It could not start: to the front of its lane again, in the reverse order of `pop`."""
        tenant = waiter.ask.tenant
        if waiter.virtual_before is None:
            self._virtual.pop(tenant, None)
        else:
            self._virtual[tenant] = waiter.virtual_before
        if not waiter.future.done():
            self._lane(waiter).appendleft(waiter)
            self._counted(waiter, 1)

    def first(self, now_mono: float) -> Waiter | None:
        """The one whose turn it is, left where it is."""
        return self._first(now_mono)

    def hear(self, waiter: Waiter, virtual: float) -> None:
        """What the plane says that this waiter's tenant has had."""
        if virtual < self._virtual_now - LOST_MS or len(self._virtual) > MAX_TENANTS:
            self._virtual.clear()
            self._virtual_now = 0.0
        self._virtual[waiter.ask.tenant] = virtual
        self._virtual_now = max(self._virtual_now, virtual - waiter.cost_ms / waiter.ask.weight)

    def _first(self, now_mono: float) -> Waiter | None:
        best: Waiter | None = None
        best_class = 0.0
        for priority in sorted(self._lanes, reverse=True):
            lanes = self._lanes[priority]
            oldest = min((lane[0] for lane in lanes.values()), key=_arrival)
            aged = priority + (now_mono - oldest.since_mono) // AGEING_SECONDS
            if best is None:
                best, best_class = self._least_served(lanes), aged
            elif aged > best_class:
                best, best_class = oldest, aged
        return best

    def _least_served(self, lanes: _Lanes) -> Waiter:
        return min((lane[0] for lane in lanes.values()), key=lambda front: (self._start_of(front), front.since_mono))

    def _start_of(self, waiter: Waiter) -> float:
        return max(self._virtual.get(waiter.ask.tenant, 0.0), self._virtual_now)

    def _lane(self, waiter: Waiter) -> deque[Waiter]:
        return self._lanes.setdefault(waiter.ask.priority, {}).setdefault(waiter.ask.tenant, deque())

    def _take(self, waiter: Waiter) -> None:
        ask = waiter.ask
        lanes = self._lanes[ask.priority]
        lanes[ask.tenant].remove(waiter)
        if not lanes[ask.tenant]:
            del lanes[ask.tenant]
        if not lanes:
            del self._lanes[ask.priority]
        self._counted(waiter, -1)

    def _charge(self, waiter: Waiter) -> None:
        tenant = waiter.ask.tenant
        waiter.virtual_before = self._virtual.get(tenant)
        self._virtual[tenant] = self._start_of(waiter) + waiter.cost_ms / waiter.ask.weight

    def _counted(self, waiter: Waiter, number: int) -> None:
        self._count += number
        self.cost_ms = self.cost_ms + number * waiter.cost_ms if self._count else 0.0


def _arrival(waiter: Waiter) -> float:
    return waiter.since_mono
