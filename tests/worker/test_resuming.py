"""A killed agent goes on where it was: what was answered and recorded is not asked again."""

import asyncio
import signal

import pytest

from dayshift.domain.task import Status
from tests.fakellm.process import fake_provider
from tests.worker.house import until
from tests.worker.test_lost_leases import end_processes, until_listed

TURNS = 5


@pytest.fixture
def provider(monkeypatch):
    with fake_provider("--latency", "0.05") as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        yield provider


@pytest.mark.parametrize("streams", [False, True])
async def test_an_agent_that_is_killed_at_every_call_in_turn_pays_for_each_call_once(house, provider, streams):
    workers = [house.start_process()]
    try:
        await until_listed(house, 1)
        task_id = await house.submit("converses", turns=TURNS, streams=streams)
        finished = asyncio.create_task(house.finished(task_id, 120))
        for calls in range(1, TURNS + 1):
            await until(lambda wanted=calls: _answered(provider) >= wanted or finished.done(), seconds=30)
            await _kill(house, workers[-1])
            workers.append(house.start_process())
        task = await finished
    finally:
        end_processes(workers)
    assert task.status is Status.SUCCEEDED, task.error
    assert task.losses >= 3
    effects = await house.ledger.effects.of_task(task_id)
    llm_calls = [effect for effect in effects if effect.kind == "llm"]
    assert len(llm_calls) == TURNS
    assert (task.usage.llm_calls, task.failures) == (TURNS, 0)
    calls = provider.calls()
    assert len(calls) == TURNS, "an answer that was not the recorded one would have led to another question"
    # a call may have been answered and not yet be recorded when its worker was killed: one for each kill at most
    assert sum(call["n_answered"] for call in calls) - TURNS <= task.losses


def _answered(provider):
    return len([call for call in provider.calls() if call["n_answered"]])


async def _kill(house, worker):
    rows = {row.pid: row.id for row in await house.ledger.workers.list()}
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    if worker.pid in rows:
        await house.services.rescue.rescue_worker(rows[worker.pid], "killed")
