"""The scripts against the model, through whatever hypothesis thinks of: lost replies, repeats, caps, weights, deaths."""

import asyncio
from itertools import count

import pytest
from audit import audit
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from model import Model, lane_of

from dayshift.domain import ids
from dayshift.domain.pins import agent_in
from dayshift.domain.task import Place
from dayshift.hotplane import Ack, Claim, HotBound, Lane, Plane, digest

AGENTS = ("x", "x@v1", "y:1")
TENANTS = ("a", "b:b", "c")
PRIORITIES = (0, 5, 9)
LANES = st.tuples(st.sampled_from(AGENTS), st.sampled_from(PRIORITIES), st.sampled_from(TENANTS))
FAR_MS = 1 << 45
SMALL = HotBound(agent_ready=6, lane_floor=2, low_water=4, page=3)

_epochs = count(1)


class Promise(RuleBasedStateMachine):
    """One plane, three workers, and a ledger that is always right."""

    url = ""
    bound = HotBound()

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.plane = Plane(self.url, hot_bound=self.bound)
        self.model = Model()
        self.workers = [ids.new(ids.WORKER) for _ in range(3)]
        self.seq = count(1)
        self.version = count(1)
        self.pages: list[tuple[Lane, list[Place], int | None]] = []

    @initialize()
    def begin(self):
        self.run(self.plane.open())
        self.plane.epoch = next(_epochs)
        self.run(self.plane.write_marker())

    def teardown(self):
        try:
            if self.plane.epoch:
                self.run(audit(self.plane))
                self.run(self.drain())
        finally:
            self.run(self.plane.close())
            self.runner.close()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    def announce(self, places):
        for place, answer in zip(places, self.run(self.plane.enqueue(places)), strict=True):
            self.model.announced(place, answer, due=place.run_at_ms == 0)

    @rule(
        lanes=st.lists(LANES, min_size=1, max_size=12), delayed=st.booleans(), told=st.sampled_from([True, True, False])
    )
    def accept(self, lanes, delayed, told):
        due_ms = FAR_MS if delayed and len(lanes) < 4 else 0
        new = [Place(ids.new(ids.TASK), *lane, next(self.seq), due_ms) for lane in lanes]
        self.model.places |= {place.id: place for place in new}
        if told:
            self.announce(new)

    @precondition(lambda self: self.model.places)
    @rule(data=st.data(), due=st.booleans())
    def say_again(self, data, due):
        place = data.draw(st.sampled_from(list(self.model.places.values())))
        if place.id not in self.model.holder:
            place = Place(*lane_of_first(place), place.seq, 0 if due else FAR_MS)
            self.model.places[place.id] = place
        self.announce([place])

    @rule(
        worker=st.integers(0, 2),
        wish=st.tuples(
            st.sets(st.sampled_from(AGENTS), min_size=1), st.sampled_from([-1, -1, 0, 2]), st.integers(1, 12)
        ),
        repeated=st.booleans(),
        answer_lost=st.sampled_from([False, False, False, True]),
    )
    def claim(self, worker, wish, repeated, answer_lost):
        agents, cap, number = wish
        named = {agent: cap if agent_in(agent) == "x" else -1 for agent in agents}
        request = ids.new("request_")
        claim = self.run(self.plane.claim(self.workers[worker], request, list(named.items()), number))
        self.model.claimed(self.workers[worker], named, number, claim.task_ids)
        if repeated:
            again = self.run(self.plane.claim(self.workers[worker], request, list(named.items()), number))
            assert again.task_ids == claim.task_ids
        if answer_lost:
            self.forget(self.workers[worker], claim.task_ids)
        self.read_pages(claim.refill)

    def forget(self, worker, lost):
        """The worker never saw these: two comparisons give them back."""
        knows = [task_id for task_id in self.model.held_by(worker) if task_id not in lost]
        same = self.run(self.plane.beat(worker, len(knows), digest(knows))) == "same"
        assert same == (not lost)
        assert self.run(self.plane.reconcile(worker, knows)).requeued == []
        assert set(self.run(self.plane.reconcile(worker, knows)).requeued) == set(lost)
        for task_id in lost:
            self.model.given_back(task_id)
        assert self.run(self.plane.beat(worker, len(knows), digest(knows))) == "same"

    @precondition(lambda self: self.model.holder)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 0.01, 2.0]), end=st.sampled_from(["final", "now", "later"]))
    def finish(self, data, seconds, end):
        task_id = data.draw(st.sampled_from(list(self.model.holder)))
        worker, place = self.model.holder[task_id], self.model.places[task_id]
        again = None if end == "final" else Place(*lane_of_first(place), place.seq, FAR_MS if end == "later" else 0)
        for _ in range(data.draw(st.integers(1, 2))):
            self.run(self.plane.ack(worker, [Ack(task_id, seconds, again)]))
        del self.model.holder[task_id]
        if again is None:
            self.model.finished(task_id)
        else:
            self.model.places[task_id] = again
            del self.model.where[task_id]
            self.announce([again])

    @precondition(lambda self: self.model.holder)
    @rule(data=st.data())
    def superseded_worker_changes_nothing(self, data):
        task_id = data.draw(st.sampled_from(list(self.model.holder)))
        other = next(worker for worker in self.workers if worker != self.model.holder[task_id])
        self.run(self.plane.ack(other, [Ack(task_id, 1.0)]))
        self.run(self.plane.release(other, [task_id]))
        self.run(self.plane.reconcile(other, [*self.model.held_by(other), task_id], [self.model.places[task_id]]))

    @precondition(lambda self: self.model.holder)
    @rule(data=st.data())
    def give_back(self, data):
        task_id = data.draw(st.sampled_from(list(self.model.holder)))
        worker = self.model.holder[task_id]
        for _ in range(data.draw(st.integers(1, 2))):
            self.run(self.plane.release(worker, [task_id]))
        self.model.given_back(task_id)

    @rule(worker=st.integers(0, 2))
    def a_worker_dies(self, worker):
        held = self.model.held_by(self.workers[worker])
        assert set(self.run(self.plane.release_worker(self.workers[worker]))) == set(held)
        for task_id in held:
            self.model.given_back(task_id)
        self.workers[worker] = ids.new(ids.WORKER)

    @rule(
        weights=st.dictionaries(st.sampled_from(TENANTS), st.sampled_from([0.5, 1.0, 3.0])),
        caps=st.dictionaries(st.sampled_from((*TENANTS, "*")), st.sampled_from([None, 0, 1, 3])),
    )
    def change_policy(self, weights, caps):
        self.run(self.plane.apply_policy(next(self.version), weights, caps))
        self.model.caps = caps

    @rule(worker=st.integers(0, 2))
    def beat(self, worker):
        held = self.model.held_by(self.workers[worker])
        assert self.run(self.plane.beat(self.workers[worker], len(held), digest(held))) == "same"

    @precondition(lambda self: self.pages)
    @rule()
    def write_a_page(self):
        """Time has passed between reading the ledger and this."""
        lane, page, more = self.pages.pop(0)
        self.run(self.plane.refill(lane, page, more))
        self.look_again(page)

    @rule()
    def look_around(self):
        self.run(audit(self.plane))

    def read_pages(self, lanes):
        for lane in lanes:
            assert lane.room > 0
            page, more = self.model.lane_page((lane.agent, lane.priority, lane.tenant), lane.from_seq, lane.room)
            self.pages.append((lane, page, more))

    def look_again(self, page):
        """A refill may bring what was cold, or never told, or has been finished since; the ledger refuses the last."""
        for place in page:
            now = self.model.places.get(place.id)
            if now is None or now != place:
                self.announce_or_sweep(place)
            elif place.id not in self.model.holder:
                self.model.where[place.id] = "delayed" if place.run_at_ms else "ready"

    def announce_or_sweep(self, place):
        """A stale page brought a place as it was: the worker that gets it is refused, and tells the plane the truth."""
        now = self.model.places.get(place.id)
        if now is not None:
            self.model.where.pop(place.id, None) if now.id not in self.model.holder else None
            self.announce([now])
            return
        sweeper = ids.new(ids.WORKER)
        self.run(self.plane.restore_running([(sweeper, place)]))
        self.run(self.plane.ack(sweeper, [Ack(place.id, 0.0)]))

    async def drain(self):
        """Whatever happened: in the end every task that the ledger has queued comes out, and none is stranded."""
        while self.pages:
            lane, page, more = self.pages.pop()
            await self.plane.refill(lane, page, more)
        await self.plane.apply_policy(next(self.version), {}, {})
        for worker in self.workers:
            await self.plane.release_worker(worker)
        untold = [
            place for place in self.model.places.values() if self.model.where.get(place.id, "delayed") == "delayed"
        ]
        await self.plane.enqueue([Place(*lane_of_first(place), place.seq, 0) for place in untold])
        left = set(self.model.places)
        worker = ids.new(ids.WORKER)
        while True:
            claim = await self.plane.claim(worker, ids.new("request_"), [(agent, -1) for agent in AGENTS], 5)
            left -= set(claim.task_ids)
            await self.plane.ack(worker, [Ack(task_id, 0.01) for task_id in claim.task_ids])
            for task_id in claim.task_ids:
                self.model.places.pop(task_id, None)
            for lane in claim.refill:
                page, more = self.model.lane_page((lane.agent, lane.priority, lane.tenant), lane.from_seq, lane.room)
                page = [Place(*lane_of_first(place), place.seq, 0) for place in page]
                assert await self.plane.refill(lane, page, more)
            if not claim.task_ids and not claim.refill and not await self._refill_is_guarded(claim):
                break
        assert not left, "stranded"
        await audit(self.plane)

    async def _refill_is_guarded(self, claim: Claim) -> bool:
        """Whether a refill was given to somebody who lost it; then wait, as a worker does, until it is given out again."""
        if claim.next_due_ms is None or claim.next_due_ms >= FAR_MS:
            return False
        while await self.plane.now_us() < claim.next_due_ms * 1_000:
            await asyncio.sleep(0.05)
        return True


def lane_of_first(place: Place) -> tuple[str, str, int, str]:
    """Everything of a place but its turn and time."""
    agent, priority, tenant = lane_of(place)
    return place.id, agent, priority, tenant


@pytest.mark.parametrize("bound", [HotBound(), SMALL], ids=["hot", "cold-tails"])
def test_the_scripts_hold_the_promise(valkey_url, bound):
    class Here(Promise):
        pass

    Here.url, Here.bound = valkey_url, bound
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=30,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
