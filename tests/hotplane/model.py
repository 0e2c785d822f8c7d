"""The PROMISE of the dispatch in plain Python: what may happen, not how it is done.

The model knows what the ledger would know (every unfinished task and its place) and what the plane has said about each.
It does not predict a claim; it checks that the claim was allowed: slot by slot, the task was the first of its line, its
tenant and its agent were below their caps, its priority was the highest that had anything to give, or, every eighth
slot, a lower one; and a claim that came back short left nothing that could have been given.
"""

from dataclasses import dataclass, field
from typing import Literal

from dayshift.domain.pins import agent_in
from dayshift.domain.task import Place

AGED_SLOT = 8

Where = Literal["ready", "delayed", "held", "cold"]
LaneName = tuple[str, int, str]


def lane_of(place: Place) -> LaneName:
    return place.agent, place.priority, place.tenant


@dataclass
class Model:
    places: dict[str, Place] = field(default_factory=dict)  # every task that the ledger calls unfinished
    where: dict[str, Where] = field(default_factory=dict)  # of those that were announced
    holder: dict[str, str] = field(default_factory=dict)
    caps: dict[str, int | None] = field(default_factory=dict)
    slots: dict[frozenset[str], int] = field(default_factory=dict)

    def held_by(self, worker: str) -> list[str]:
        return [task_id for task_id, holder in self.holder.items() if holder == worker]

    def among(self, where: Where) -> list[str]:
        return [task_id for task_id, place in self.where.items() if place == where]

    def announced(self, place: Place, answer: Where, *, due: bool) -> None:
        before = self.where.get(place.id)
        if before == "held":
            assert answer == "held"
            return
        assert answer in (("ready", "cold") if due else ("delayed",))
        self.where[place.id] = answer

    def claimed(self, worker: str, agents: dict[str, int], count: int, task_ids: list[str]) -> None:
        assert len(task_ids) <= count
        assert len(set(task_ids)) == len(task_ids)
        for task_id in task_ids:
            self._one_slot(worker, agents, task_id)
        if len(task_ids) < count:
            assert not self._heads(agents), "the claim came back short although there was work"

    def _one_slot(self, worker: str, agents: dict[str, int], task_id: str) -> None:
        heads = self._heads(agents)
        place = self.places[task_id]
        assert heads.get(lane_of(place)) == task_id, "not the first of a line that may be served"
        highest = max(priority for _, priority, _ in heads)
        slot = self.slots.get(frozenset(agents), 0) + 1
        self.slots[frozenset(agents)] = slot
        has_lower = any(priority < highest for _, priority, _ in heads)
        if slot % AGED_SLOT == 0 and has_lower:
            assert place.priority < highest, "the aged slot belongs to a lower priority"
        else:
            assert place.priority == highest, "a lower priority was served before a higher one"
        self.where[task_id] = "held"
        self.holder[task_id] = worker

    def _heads(self, agents: dict[str, int]) -> dict[LaneName, str]:
        """The first task of every lane that may be served to a worker of these agents."""
        heads: dict[LaneName, str] = {}
        for task_id, where in self.where.items():
            place = self.places[task_id]
            lane = lane_of(place)
            if where == "ready" and self._is_open(place, agents):
                first = heads.get(lane)
                if first is None or place.seq < self.places[first].seq:
                    heads[lane] = task_id
        return heads

    def _is_open(self, place: Place, agents: dict[str, int]) -> bool:
        if place.agent not in agents:
            return False
        agent_cap = agents[place.agent]
        tenant_cap = self.caps.get(place.tenant, self.caps.get("*"))
        running_agent = sum(agent_in(self.places[held].agent) == agent_in(place.agent) for held in self.holder)
        running_tenant = sum(self.places[held].tenant == place.tenant for held in self.holder)
        return (agent_cap < 0 or running_agent < agent_cap) and (tenant_cap is None or running_tenant < tenant_cap)

    def given_back(self, task_id: str) -> None:
        del self.holder[task_id]
        self.where[task_id] = "ready"

    def finished(self, task_id: str) -> None:
        for known in (self.holder, self.where, self.places):
            known.pop(task_id, None)

    def lane_page(self, lane: LaneName, from_seq: int, limit: int) -> tuple[list[Place], int | None]:
        """What the ledger answers: unfinished places of a lane in order, and where the next page begins."""
        queued = sorted(
            (place for task_id, place in self.places.items() if lane_of(place) == lane and place.seq >= from_seq),
            key=lambda place: place.seq,
        )
        page, rest = queued[:limit], queued[limit:]
        return page, rest[0].seq if rest else None
