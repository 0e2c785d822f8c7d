"""Plain agents that ask a model, step and use tools, from threads or on a loop of their own: in a later attempt nothing is done again."""

from pathlib import Path

import msgspec
import pytest

from dayshift.domain.task import Status
from tests.fakellm.process import fake_provider
from tests.worker.house import working


@pytest.fixture
def provider(monkeypatch):
    with fake_provider() as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
        yield provider


@pytest.mark.parametrize("way", ["threads", "loop"])
async def test_a_plain_agent_is_given_again_what_it_did(house, provider, tmp_path, way):
    house.agents, log = Path(__file__).with_name("acting_agents.py"), tmp_path / "log"
    async with working(house):
        task = await house.finished(await house.submit("plainly", log=str(log), way=way))
    assert (task.status, task.attempt, task.failures) == (Status.SUCCEEDED, 2, 1), task.error
    output = msgspec.json.decode(bytes(task.output))
    assert len(output) == 5
    assert output[-2:] == ["look 0", "receipt 0"]
    assert all(output)
    assert [(call["n_received"], call["n_answered"]) for call in provider.calls()] == [(1, 1)] * 3
    assert (task.usage.llm_calls, task.usage.replayed_calls) == (3, 3)
    acts = [line.split(maxsplit=2)[1:] for line in log.read_text().splitlines()]
    assert {attempt for attempt, _ in acts} == {"1"}
    assert sorted(act for _, act in acts if not act.startswith("begins")) == ["looked 0", "paid 0"]
    effects = await house.ledger.effects.of_task(task.id)
    assert len(effects) == 5
    assert {effect.replayed_by for effect in effects} == {2}
