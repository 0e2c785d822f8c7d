"""Random lives of tasks, step by step beside a model that is small enough to be believed."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from ledger_builders import new_task, new_worker, outcome_of, reason, sql

from dayshift.domain.errors import Conflict
from dayshift.domain.task import Started, Status
from dayshift.ledger import Ledger, Outcome, StartWish

CONVERSATIONS = [None, "c1", "c2"]
FINAL = {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED}


ENDS = [outcome for outcome in Outcome if outcome is not Outcome.PARKED]  # parks have tests of their own


@dataclass
class Believed:
    """What the model knows of a task."""

    conversation: str | None
    order: int
    status: Status = Status.QUEUED
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    in_a_row: int = 0
    worker: str | None = None
    cancelling: bool = False


class Lives(RuleBasedStateMachine):
    url = ""
    tasks = Bundle("tasks")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.ledger = Ledger(self.url, pool_size=2)
        self.do(self.ledger.open())
        self.do(sql(self.url, "DELETE FROM tasks"))
        self.do(sql(self.url, "DELETE FROM conversations"))
        self.model: dict[str, Believed] = {}
        self.holder: dict[str, str] = {}
        self.workers = [self.do(new_worker(self.ledger)) for _ in range(2)]
        self.dead: set[str] = set()
        self.clock = 0

    def do(self, work):
        return self.runner.run(work)

    async def look(self, statement):
        async with self.ledger._db.connection() as connection:
            return await connection.fetch(statement)

    def teardown(self) -> None:
        self.do(self.ledger.close())
        self.runner.close()

    def next_order(self) -> int:
        self.clock += 1
        return self.clock

    def release_conversation(self, task_id: str) -> None:
        conversation = self.model[task_id].conversation
        if conversation and self.holder.get(conversation) == task_id:
            del self.holder[conversation]

    def end(self, task_id: str, status: Status) -> None:
        believed = self.model[task_id]
        believed.status, believed.worker, believed.in_a_row = status, None, 0
        if status in FINAL:
            self.release_conversation(task_id)

    def expected_start(self, task_id: str, quarantine: bool) -> str:
        believed = self.model[task_id]
        if believed.status in FINAL:
            return "final"
        lost = believed.status == Status.RUNNING
        if lost and believed.worker not in self.dead:
            return "running"
        if lost and believed.cancelling:
            return "cancelled"
        if believed.in_a_row + lost >= 2 and not quarantine:
            return "quarantine"
        held_by = self.holder.get(believed.conversation or "")
        before = [
            other
            for other in self.model.values()
            if believed.conversation
            and other.conversation == believed.conversation
            and other.order < believed.order
            and other.status == Status.QUEUED
        ]
        if held_by != task_id and (held_by or before):
            return "conversation_busy"
        return "started"

    @rule(target=tasks, conversations=st.lists(st.sampled_from(CONVERSATIONS), min_size=1, max_size=3))
    def accept(self, conversations):
        wishes = [new_task(conversation=conversation) for conversation in conversations]
        answers = self.do(self.ledger.tasks.accept(wishes))
        assert self.do(self.ledger.tasks.accept(wishes)) == answers
        for wish, answer in zip(wishes, answers, strict=True):
            alone = not any(
                other.conversation == wish.conversation and other.status not in FINAL for other in self.model.values()
            )
            assert answer.is_head == (wish.conversation is None or alone)
            self.model[wish.id] = Believed(wish.conversation, self.next_order())
        return multiple(*[wish.id for wish in wishes])

    @rule(target=attempts, task_id=tasks, which=st.integers(0, 1), quarantine=st.booleans(), repeat=st.booleans())
    def start(self, task_id, which, quarantine, repeat):
        worker, believed = self.workers[which], self.model[task_id]
        expected = self.expected_start(task_id, quarantine)
        wish = StartWish(task_id=task_id, worker_id=worker, quarantine=quarantine)
        (answer,) = self.do(self.ledger.tasks.start([wish]))
        assert reason(answer) == expected
        if repeat and expected in {"started", "cancelled"}:
            (again,) = self.do(self.ledger.tasks.start([wish]))
            assert reason(again) == expected
            assert not isinstance(answer, Started) or again.attempt == answer.attempt
        lost = believed.status == Status.RUNNING
        if expected == "cancelled":
            believed.losses += 1
            self.end(task_id, Status.CANCELLED)
        if not isinstance(answer, Started):
            return multiple()
        believed.losses += lost
        believed.in_a_row += lost
        believed.attempt += 1
        believed.status, believed.worker = Status.RUNNING, worker
        if believed.conversation:
            self.holder[believed.conversation] = task_id
        assert (answer.attempt, answer.losses, answer.failures) == (
            believed.attempt,
            believed.losses,
            believed.failures,
        )
        return multiple((answer, worker))

    @rule(attempt=consumes(attempts), outcome=st.sampled_from(ENDS), twice=st.booleans())
    def finish(self, attempt, outcome, twice):
        started, worker = attempt
        believed = self.model[started.id]
        mine = (believed.status, believed.attempt, believed.worker) == (Status.RUNNING, started.attempt, worker)
        finish = outcome_of(started, worker, outcome)
        (answer,) = self.do(self.ledger.tasks.finish([finish]))
        assert answer.accepted == mine
        if twice and mine:
            assert self.do(self.ledger.tasks.finish([finish])) == [answer]
        if not mine:
            return
        believed.failures += outcome in {Outcome.RETRY, Outcome.FAILED}
        in_a_row = believed.in_a_row
        if outcome in {Outcome.RETRY, Outcome.GIVEN_BACK}:
            self.end(started.id, Status.CANCELLED if believed.cancelling else Status.QUEUED)
            if outcome == Outcome.GIVEN_BACK:
                believed.in_a_row = in_a_row
        else:
            self.end(started.id, Status(outcome.value))
        unfinished = [
            other
            for other in self.model.values()
            if believed.conversation and other.conversation == believed.conversation and other.status not in FINAL
        ]
        assert answer.conversation_has_next == (believed.status in FINAL and bool(unfinished))

    @rule(task_id=tasks)
    def cancel(self, task_id):
        believed = self.model[task_id]
        result = self.do(self.ledger.tasks.cancel("acme", task_id))
        assert result.was == believed.status
        if believed.status == Status.RUNNING:
            believed.cancelling = True
        elif believed.status == Status.QUEUED:
            self.end(task_id, Status.CANCELLED)

    @rule(task_id=tasks)
    def retry(self, task_id):
        believed = self.model[task_id]
        if believed.status != Status.FAILED:
            with pytest.raises(Conflict):
                self.do(self.ledger.tasks.retry("acme", task_id))
            return
        self.do(self.ledger.tasks.retry("acme", task_id))
        believed.status, believed.failures, believed.in_a_row = Status.QUEUED, 0, 0
        believed.cancelling, believed.order = False, self.next_order()

    @rule(which=st.integers(0, 1))
    def worker_dies(self, which):
        worker = self.workers[which]
        assert self.do(self.ledger.workers.release(worker, "died"))
        self.dead.add(worker)
        self.workers[which] = self.do(new_worker(self.ledger))

    @invariant()
    def the_ledger_is_as_believed(self):
        rows = self.do(self.look("SELECT id, status, attempt, failures, losses, poison_losses, worker_id FROM tasks"))
        seen = {
            f"task_{row['id']}": (row["status"], row["attempt"], row["failures"], row["losses"], row["worker_id"])
            for row in rows
        }
        for task_id, believed in self.model.items():
            *facts, worker = seen[task_id]
            assert facts == [believed.status, believed.attempt, believed.failures, believed.losses]
            assert (f"worker_{worker}" if worker else None) == believed.worker

    @invariant()
    def conversations_are_as_believed(self):
        rows = self.do(self.look("SELECT name, holder, unfinished FROM conversations"))
        for row in rows:
            assert (f"task_{row['holder']}" if row["holder"] else None) == self.holder.get(row["name"])
            members = [one for one in self.model.values() if one.conversation == row["name"]]
            assert row["unfinished"] == sum(one.status not in FINAL for one in members)


def test_lives_of_tasks(migrated_url):
    machine = type("LivesHere", (Lives,), {"url": migrated_url})
    machine.TestCase.settings = settings(
        max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine.TestCase("runTest").runTest()
