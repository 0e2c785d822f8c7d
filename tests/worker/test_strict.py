"""A strict agent that would ask a provider something else instead: a dead letter that names the part, and nothing is paid."""

from pathlib import Path

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


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_strict_agent_becomes_a_dead_letter_that_names_the_part(house, provider, swallows):
    house.agents = Path(__file__).with_name("acting_agents.py")
    async with working(house):
        task = await house.finished(await house.submit("strictly", swallows=swallows))
    assert (task.status, task.error.code, task.attempt) == (Status.FAILED, "diverged", 2)
    assert "its messages[0] differs" in task.error.message
    assert [call["n_received"] for call in provider.calls()] == [1]
