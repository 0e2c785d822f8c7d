"""Two attempts of one task alive at once: a worker that was stopped, taken for dead, and goes on. One completes, the other stops."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from dayshift.domain import clock
from dayshift.domain.task import Status
from dayshift.worker.lease import VALID_SECONDS
from tests.fakellm.process import fake_provider
from tests.worker.acting_agents import TURNS
from tests.worker.house import until, working
from tests.worker.test_lost_leases import end_processes, until_listed

LATENCY_SECONDS = 0.7


@pytest.fixture
def provider(monkeypatch):
    with fake_provider("--latency", str(LATENCY_SECONDS)) as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        yield provider


class Log:
    """What was done, by whom."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def acts(self, pid: int) -> list[str]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [line.split(maxsplit=2)[2] for line in lines if int(line.split()[0]) == pid]


def stops_amid_a_call(log: Log, provider, pid: int) -> bool:
    return "paid 0" in log.acts(pid) and provider.stats()["open"] == 1


def stops_amid_a_step(log: Log, provider, pid: int) -> bool:
    return log.acts(pid)[-1:] == ["begins 1"]


@pytest.mark.parametrize(
    ("is_there", "stopped_seconds", "made_by_both"),
    [
        (stops_amid_a_call, 0.0, 1),
        (stops_amid_a_step, 0.0, 0),
        (stops_amid_a_call, VALID_SECONDS + 0.5, 1),  # its own clock forbids it to act, whatever the ledger says
    ],
)
async def test_the_one_that_was_stopped_acts_no_more(
    house, provider, tmp_path, is_there, stopped_seconds, made_by_both
):
    house.agents, log = Path(__file__).with_name("acting_agents.py"), Log(tmp_path / "log")
    stopped = house.start_process()
    try:
        await until_listed(house, 1)
        task_id = await house.submit("acts", log=str(log.path))
        await until(lambda: is_there(log, provider, stopped.pid))
        [row] = await house.ledger.workers.list()
        stopped.send_signal(signal.SIGSTOP)
        stopped_mono = clock.monotonic_seconds()
        done_before = log.acts(stopped.pid)
        await house.services.rescue.rescue_worker(row.id, "stopped")
        async with working(house):
            await until(lambda: log.acts(os.getpid()), seconds=20)  # the newer attempt is at work
            await asyncio.sleep(max(0.0, stopped_seconds - (clock.monotonic_seconds() - stopped_mono)))
            stopped.send_signal(signal.SIGCONT)
            task = await house.finished(task_id)
        await until_listed(house, 1)  # it has registered anew, so it has let go of all that it held
        assert await house.ledger.tasks.get(task_id, None) == task
    finally:
        end_processes([stopped])
    assert (task.status, task.attempt, task.losses, task.failures) == (Status.SUCCEEDED, 2, 1, 0)
    assert bytes(task.output) == b'"look 2 receipt 2"'
    acts_after = log.acts(stopped.pid)[len(done_before) :]
    assert acts_after in ([], ["looked 1"]), "the step that it was in came to its end; nothing was begun after that"
    paid = [act for pid in (stopped.pid, os.getpid()) for act in log.acts(pid) if act.startswith("paid")]
    assert sorted(paid) == [f"paid {turn}" for turn in range(TURNS)]
    calls = provider.calls()
    assert len(calls) == TURNS
    assert sum(call["n_received"] for call in calls) == TURNS + made_by_both
    assert {effect.attempt for effect in await house.ledger.effects.of_task(task_id)} == {1, 2}
