"""The example with the time in its prompt: what it pays again is told in the log, counted, and named by `dayshift explain`."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.fakellm.process import fake_provider
from tests.system.house import House

pytestmark = pytest.mark.system
EXAMPLE = Path(__file__).parents[2] / "examples" / "time_in_prompt.py"
CALLS = 4


@pytest.fixture
def provider(house: House):
    with fake_provider("--latency", "0.3") as provider:
        house.environment["OPENAI_BASE_URL"] = f"{provider.url}/v1"
        yield provider


async def killed_amid_its_third_call(house: House, provider, agent: str) -> str:
    """A task whose worker was killed when two answers were recorded; it has ended since."""
    await house.serve(workers=1, file=EXAMPLE)
    house.environment["DAYSHIFT_API_KEY"] = house.http.headers["authorization"].removeprefix("Bearer ")
    task = await house.submit(agent, "Paris")

    async def asks_the_third() -> bool:
        effects = (await house.get(f"/v1/tasks/{task['id']}/effects"))["data"]
        return sum(effect["kind"] == "llm" for effect in effects) == 2 and provider.stats()["open"] == 1

    await house.until(asks_the_third, "two calls are recorded")
    [worker] = await house.workers()
    os.kill(worker["pid"], signal.SIGKILL)
    ended = await house.ended(task["id"])
    assert (ended["status"], ended["attempt"], ended["losses"]) == ("succeeded", 2, 1)
    return task["id"]


async def test_the_time_in_a_prompt_is_named_as_what_differs(house: House, provider) -> None:
    task_id = await killed_amid_its_third_call(house, provider, "briefing")
    explained = await house.cli("explain", task_id)
    print(explained)
    assert "2 done again because of a difference" in explained
    assert (
        "llm chat smollm2 of attempt 2 was not found: its messages[0] differs from what attempt 1 had recorded"
        in explained
    )
    assert "2 effects, " in explained
    assert "4 effects, " in explained
    assert explained.count("not asked for again") == 2
    told = house.log_events("effect.diverged")
    assert [(event["kind"], event["part"]) for event in told] == [("llm", "messages[0]")] * 2
    metrics = (await house.http.get("/metrics")).text
    assert re.search(r'^dayshift_divergences_total\{kind="llm"\} 2(\.0)?$', metrics, re.MULTILINE)
    assert sum(call["n_answered"] for call in provider.calls()) == 2 + CALLS


async def test_the_time_of_the_context_is_the_cure(house: House, provider) -> None:
    task_id = await killed_amid_its_third_call(house, provider, "cured_briefing")
    explained = json.loads(await house.cli("explain", task_id, "--json"))
    assert explained["divergences"] == []
    assert {effect["fate"] for effect in explained["effects"]} == {"replayed", "performed"}
    first, second = explained["attempts"]
    assert (first["performed"], second["performed"], second["replayed"]) == (3, 2, 3), "the time is an effect as well"
    assert (first["ended"], second["ended"]) == (
        "no word of its end: its worker was lost, or gave it back",
        "succeeded",
    )
    assert house.log_events("effect.diverged") == []
    assert sum(call["n_answered"] for call in provider.calls()) == CALLS
