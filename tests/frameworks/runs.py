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
from tests.frameworks.examples import AGENT, QUESTION
from tests.frameworks.killing import Plan
from tests.worker.house import House

NOT_IDEMPOTENT = "refund"


class Run(Struct):
    """What came of a task. `killed` says where its workers were killed; `recorded_at_kills`, of each kill, how often the
    provider had by then been asked for the answers that were recorded.
    """

    task: Task
    effects: list[Effect]
    calls: list[dict]
    deeds: Counter[str]
    killed: Sequence[Plan]
    recorded_at_kills: list[list[int]]

    @property
    def kinds(self) -> list[str]:
        return [effect.kind for effect in self.effects]

    def was_killed(self, number: int, *moments: str) -> bool:
        """Whether a worker was killed at one of these moments of this effect."""
        return any(Plan(moment, number) in self.killed for moment in moments)

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

    async def run(self, *killed: Plan, **task_input: Any) -> Run:
        """Give the agent a task, and let it run: each worker but the last killed by the next plan."""
        self._provider.http.post("/_fake/reset")
        _book().unlink(missing_ok=True)
        task_id = await self._house.submit(self._agent, **{"question": QUESTION, **task_input})
        recorded_at_kills = []
        for plan in killed:
            await self._kill_one(task_id, plan)
            recorded_at_kills.append(await self._asked_and_recorded(task_id))
        worker = await self._nursery.bear(None)
        task = await self._house.finished(task_id, 60)
        await worker.stop()
        effects = [effect for effect in await self._house.ledger.effects.of_task(task_id) if effect.kind != "value"]
        deeds = Counter(_book().read_text().splitlines() if _book().exists() else ())
        return Run(task, effects, self._provider.calls(), deeds, killed, recorded_at_kills)

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

    async def _asked_and_recorded(self, task_id: str) -> list[int]:
        effects = await self._house.ledger.effects.of_task(task_id)
        count = sum(effect.kind == EffectKind.LLM for effect in effects)
        return [call["n_received"] for call in self._provider.calls()[:count]]


def check(run: Run, undisturbed: Run, *, side_by_side: bool = False) -> None:
    """Whatever was killed, it came to the same, and nothing that was recorded was done or paid for again.

    `side_by_side`: beside the effect that a worker was killed amid, others may have been done and not been recorded.
    """
    task, kills = run.task, len(run.killed)
    assert task.status is Status.SUCCEEDED, task.error
    assert (task.losses, task.failures, task.attempt) == (kills, 0, kills + 1)
    assert msgspec.json.decode(task.output) == msgspec.json.decode(undisturbed.task.output)
    assert run.kinds == undisturbed.kinds
    assert {effect.status for effect in run.effects} == {"done"}
    _check_calls(run)
    unsure = kills if side_by_side else sum(plan.moment in {"answered", "committing"} for plan in run.killed)
    _check_deeds(run, undisturbed, again=unsure)


def _check_calls(run: Run) -> None:
    numbers = [number for number, kind in enumerate(run.kinds, start=1) if kind == EffectKind.LLM]
    assert len(run.calls) == len(numbers), "an answer that was not the recorded one would have led to another question"
    assert run.task.usage.llm_calls == len(numbers)
    for asked_by_then in run.recorded_at_kills:
        asked = [call["n_received"] for call in run.calls[: len(asked_by_then)]]
        assert asked == asked_by_then, "what was recorded when its worker was killed was paid for again"
    for number, call in zip(numbers, run.calls, strict=True):
        was_open = run.was_killed(number, "begun", "amid", "answered")
        if run.was_killed(number, "committing") or run.was_killed(number - 1, "committing"):
            assert call["n_received"] <= 3, (run.killed, call)  # it, or the one that followed, or neither
        else:
            assert call["n_received"] == (2 if was_open else 1), (run.killed, number, call)
        assert 1 <= call["n_answered"] <= call["n_received"]


def _check_deeds(run: Run, undisturbed: Run, *, again: int) -> None:
    assert set(run.deeds) == set(undisturbed.deeds)
    for deed, times in run.deeds.items():
        if NOT_IDEMPOTENT in deed:
            assert times == 1, (run.killed, deed)
        else:
            assert undisturbed.deeds[deed] <= times <= undisturbed.deeds[deed] + again, (run.killed, deed)


def _book() -> Path:
    return Path(os.environ["SHOP_BOOK"])
