"""The claimer alone, with a plane that is commanded: what it asks, how often, and when."""

import asyncio

from dayshift.agents import load
from dayshift.domain.errors import PlaneAway, PlaneNotReady
from dayshift.domain.settings import AgentSettings, QueueSettings, Settings
from dayshift.hotplane import Claim
from dayshift.worker.attempt import Attempt
from dayshift.worker.claimer import NO_CAP, Claimer
from dayshift.worker.lease import Lease
from dayshift.worker.slots import Slots
from tests.worker.house import AGENTS

NOTHING = Claim([], [], None)


class CommandedPlane:
    """Answers claims from a list; an exception in it is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []
        self.called = asyncio.Event()
        self.stopped = []

    async def stop_claiming(self, worker_id):
        self.stopped.append(worker_id)

    async def claim(self, worker_id, request_id, agents, count):
        self.calls.append((request_id, dict(agents), count))
        self.called.set()
        answer = self.answers.pop(0) if self.answers else NOTHING
        if isinstance(answer, Exception):
            raise answer
        return answer


def claimer(plane, *, slots=None, settings=None, lease=None, may_claim=(True,), pins=None):
    taken = []
    slots = slots or Slots(10)
    one = lease or Lease("worker_1")

    def take(lease, claim):
        for task_id in claim.task_ids:
            taken.append(task_id)
            slots.take(Attempt(task_id, lease))

    made = Claimer(
        plane=plane,
        slots=slots,
        agents=load(str(AGENTS)).agents,
        pins=pins or {},
        settings=lambda: settings or Settings(),
        lease=lambda: one,
        may_claim=lambda: may_claim[0],
        take=take,
    )
    return made, taken


async def test_a_lost_reply_is_asked_for_again_with_the_same_request_id():
    plane = CommandedPlane(PlaneAway("no answer"), PlaneNotReady("not ready"), Claim(["task_1"], [], None))
    made, taken = claimer(plane)
    await made.run_once()
    assert taken == ["task_1"]
    assert len(plane.calls) == 3
    assert len({request_id for request_id, _, _ in plane.calls}) == 1
    await made.run_once()
    assert plane.calls[3][0] != plane.calls[0][0]
    assert plane.calls[3][2] == 9


async def test_it_looks_again_at_once_after_a_repeat_whose_answer_may_be_old():
    plane = CommandedPlane(PlaneAway("no answer"), NOTHING)
    made, _ = claimer(plane)
    assert await made.run_once() == 0
    assert await made.run_once() > 1
    first, repeated, fresh = (request_id for request_id, _, _ in plane.calls)
    assert first == repeated != fresh


async def test_it_looks_again_at_once_after_a_full_claim_and_later_after_a_short_one():
    plane = CommandedPlane(Claim(["task_1", "task_2"], [], None), Claim(["task_3"], [], None))
    made, _ = claimer(plane, slots=Slots(2))
    assert await made.run_once() == 0
    made, _ = claimer(plane, slots=Slots(2))
    assert await made.run_once() > 1


async def test_a_pinned_agent_is_claimed_by_its_version_as_well():
    settings = Settings(agents={"echo": AgentSettings(enabled=False), "plain": AgentSettings(concurrency=3)})
    plane = CommandedPlane()
    made, _ = claimer(plane, settings=settings, pins={"plain": "plain@v1", "echo": "echo@v1"})
    await made.run_once()
    agents = plane.calls[0][1]
    assert {name: cap for name, cap in agents.items() if name.startswith(("plain", "echo"))} == {
        "plain": 3,
        "plain@v1": 3,
    }
    assert "naps@v1" not in agents


async def test_paused_queues_and_disabled_agents_are_left_out_and_caps_are_passed():
    settings = Settings(agents={"echo": AgentSettings(enabled=False), "plain": AgentSettings(concurrency=3)})
    plane = CommandedPlane()
    await claimer(plane, settings=settings)[0].run_once()
    agents = plane.calls[0][1]
    assert "echo" not in agents
    assert agents["plain"] == 3
    assert agents["naps"] == NO_CAP
    await claimer(plane, settings=Settings(queues={"default": QueueSettings(paused=True)}))[0].run_once()
    assert len(plane.calls) == 1


async def test_it_claims_nothing_without_a_lease_or_while_results_cannot_be_written():
    plane = CommandedPlane()
    lease = Lease("worker_1")
    lease.lose("gone")
    await claimer(plane, lease=lease)[0].run_once()
    await claimer(plane, may_claim=(False,))[0].run_once()
    assert plane.calls == []


async def test_a_wake_makes_it_look_and_a_stop_ends_it():
    plane = CommandedPlane()
    made, _ = claimer(plane)
    running = asyncio.create_task(made.run())
    await plane.called.wait()
    plane.called.clear()
    made.wake()
    await asyncio.wait_for(plane.called.wait(), 2)
    made.stop()
    await asyncio.wait_for(running, 2)


async def test_it_waits_for_a_slot_and_a_stop_ends_that_too():
    plane = CommandedPlane(Claim(["task_1"], [], None))
    slots = Slots(1)
    made, _ = claimer(plane, slots=slots)
    running = asyncio.create_task(made.run())
    await plane.called.wait()
    plane.called.clear()
    made.wake()
    await asyncio.sleep(0)
    assert not plane.called.is_set()
    slots.leave(slots.held()[0])
    await asyncio.wait_for(plane.called.wait(), 2)
    made.stop()
    await asyncio.wait_for(running, 2)


async def test_a_fault_of_the_plane_does_not_end_the_claiming(monkeypatch):
    monkeypatch.setattr("dayshift.worker.claimer.FAULT_SECONDS", 0.01)
    plane = CommandedPlane(RuntimeError("a bug"), Claim(["task_1"], [], None))
    made, taken = claimer(plane)
    running = asyncio.create_task(made.run())
    async with asyncio.timeout(2):
        while not taken:
            await asyncio.sleep(0.01)
    made.stop()
    await running


async def test_many_slots_are_filled_by_several_claims_in_a_row():
    plane = CommandedPlane(Claim([f"task_{number}" for number in range(100)], [], None))
    made, _ = claimer(plane, slots=Slots(400))
    assert await made.run_once() == 0
    await made.run_once()
    assert [count for _, _, count in plane.calls] == [100, 100]


async def test_a_worker_that_may_not_claim_has_its_wake_ups_passed_on_once():
    plane, allowed = CommandedPlane(), [False]
    made, _ = claimer(plane, may_claim=allowed)
    for _ in range(3):
        await made.run_once()
    assert (plane.stopped, plane.calls) == (["worker_1"], [])
    allowed[0] = True
    await made.run_once()
    allowed[0] = False
    await made.run_once()
    assert plane.stopped == ["worker_1"] * 2
