"""One task of an example, killed at one moment of each of its effects in turn, and what must be true afterwards."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dayshift.domain.effect import Effect, EffectKind
from dayshift.domain.task import Status, Task
from tests.fakellm.process import FakeProvider
from tests.frameworks.births import Nursery
from tests.frameworks.examples import AGENT
from tests.frameworks.killing import Plan
from tests.worker.house import House

QUESTION = "My order A-17 came broken, and B-4 never came at all. Please put that right."
NOT_IDEMPOTENT = "refund"


class Run(Struct):
    """What came of a task. `killed_at` are the numbers of the effects amid which its workers were killed."""

    task: Task
    effects: list[Effect]
    calls: list[dict]
    deeds: Counter[str]
    moment: str
    killed_at: list[int]

    @property
    def kinds(self) -> list[str]:
        return [effect.kind for effect in self.effects]

    @property
    def paid_again(self) -> int:
        """Answers beyond one for each question."""
        return sum(call["n_answered"] - 1 for call in self.calls)


class Stage:
    """A house, a provider and a nursery, for one task after another."""

    def __init__(self, house: House, provider: FakeProvider, nursery: Nursery, agent: str = AGENT) -> None:
        self._agent = agent
        self._house = house
        self._provider = provider
        self._nursery = nursery

    async def open(self) -> None:
        """Make the agent known: a first worker registers it."""
        worker = await self._nursery.bear(None)
        while not await self._house.ledger.workers.list():
            await asyncio.sleep(0.02)
        await worker.stop()

    async def run(self, moment: str = "", killed_at: Sequence[int] = (), **task_input: Any) -> Run:
        """Give the agent a task, and let it run: each worker but the last killed at that moment of the next effect of the list."""
        self._provider.http.post("/_fake/reset")
        _book().unlink(missing_ok=True)
        task_id = await self._house.submit(self._agent, **{"question": QUESTION, **task_input})
        for number in killed_at:
            await self._kill_one(task_id, Plan(moment, number))
        worker = await self._nursery.bear(None)
        task = await self._house.finished(task_id, 60)
        await worker.stop()
        effects = [effect for effect in await self._house.ledger.effects.of_task(task_id) if effect.kind != "value"]
        deeds = Counter(_book().read_text().splitlines() if _book().exists() else ())
        return Run(task, effects, self._provider.calls(), deeds, moment, list(killed_at))

    async def _kill_one(self, task_id: str, plan: Plan) -> None:
        worker = await self._nursery.bear(plan)
        finished = asyncio.create_task(self._house.finished(task_id, 60))
        await asyncio.wait({worker.ended, finished}, return_when=asyncio.FIRST_COMPLETED)
        assert not finished.done(), f"{finished.result().error}: it ended, and {plan} was never reached"
        finished.cancel()
        assert os.waitstatus_to_exitcode(worker.ended.result()) == -signal.SIGKILL, plan
        for row in await self._house.ledger.workers.list():
            if row.pid == worker.pid:
                await self._house.services.rescue.rescue_worker(row.id, "killed")


def check(run: Run, undisturbed: Run) -> None:
    """Whatever was killed, it came to the same, and nothing that was recorded was done or paid for again."""
    task, kills = run.task, len(run.killed_at)
    assert task.status is Status.SUCCEEDED, task.error
    assert (task.losses, task.failures, task.attempt) == (kills, 0, kills + 1)
    assert msgspec.json.decode(task.output) == msgspec.json.decode(undisturbed.task.output)
    assert run.kinds == undisturbed.kinds
    assert {effect.status for effect in run.effects} == {"done"}
    _check_calls(run)
    _check_deeds(run, undisturbed)


def _check_calls(run: Run) -> None:
    numbers = [number for number, kind in enumerate(run.kinds, start=1) if kind == EffectKind.LLM]
    assert len(run.calls) == len(numbers), "an answer that was not the recorded one would have led to another question"
    assert run.task.usage.llm_calls == len(numbers)
    for number, call in zip(numbers, run.calls, strict=True):
        was_open = number in run.killed_at and run.moment in {"begun", "amid", "answered"}
        assert call["n_received"] == (2 if was_open else 1), (run.moment, number, call)
        assert 1 <= call["n_answered"] <= call["n_received"]


def _check_deeds(run: Run, undisturbed: Run) -> None:
    assert set(run.deeds) == set(undisturbed.deeds)
    for deed, times in run.deeds.items():
        if NOT_IDEMPOTENT in deed:
            assert times == 1, (run.moment, deed)
        else:
            again = run.killed_at if run.moment == "answered" else []
            assert undisturbed.deeds[deed] <= times <= undisturbed.deeds[deed] + len(again), (run.moment, deed)


def _book() -> Path:
    return Path(os.environ["SHOP_BOOK"])
