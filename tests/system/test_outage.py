"""A provider that goes away under load and comes back: what the settings say of that, over real processes and real HTTP."""

import asyncio
import contextlib
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakellm.process import FakeProvider, fake_provider
from tests.system.house import House

pytestmark = pytest.mark.system

QUICK = {
    "timeouts": {"connect": 1, "first_token": 1, "idle": 1, "total": 3},
    "breaker": {"min_calls": 5, "window": 5, "open": 1.5},
    "max_attempts": 2,
}
IS_LONG = (
    "DAYSHIFT_TEST_OUTAGE" in os.environ
)  # then every fault lasts so many seconds; else some are short, as each takes ten seconds in all
OUTAGE_SECONDS = float(os.environ.get("DAYSHIFT_TEST_OUTAGE", "2.5"))
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "529": {"status": 529},
    "hangs": {"fault": "hang"},
    "breaks streams": {"fault": "reset", "fault_after_tokens": 0},
}


@contextlib.asynccontextmanager
async def two_providers(house: House, **model: Any) -> AsyncIterator[tuple[FakeProvider, FakeProvider]]:
    with fake_provider("--latency", "0.02") as primary, fake_provider("--latency", "0.02") as backup:
        house.environment["OPENAI_BASE_URL"] = f"{primary.url}/v1"
        await house.serve(workers=2)
        for name, provider in (("primary", primary), ("backup", backup)):
            told = {"format": "openai", "base_url": f"{provider.url}/v1", **QUICK}
            await house.configure(f"providers.{name}", told)
        await house.configure("models.smart", {"targets": ["primary/large", "backup/small"], **model})
        await asyncio.sleep(1.0)  # a setting is in force everywhere within a second
        yield primary, backup


async def load(
    house: House,
    seconds: float,
    *,
    per_second: float = 20,
    stream: bool = False,
    agent: str = "asks",
    question: str = "",
) -> list[str]:
    """Tasks at a steady rate; their ids. Each has a question of its own, if none is given."""
    ids, until = [], time.monotonic() + seconds
    for number in itertools.count():
        value = question or {"question": f"{until} {number}?", "stream": stream}
        ids.append((await house.submit(agent, value))["id"])
        if time.monotonic() > until:
            return ids
        await asyncio.sleep(1 / per_second)
    raise AssertionError


async def served(house: House, ids: list[str]) -> Counter[str]:
    """By which target each task was answered; all of them must have been."""
    tasks = await house.all_ended(ids)
    assert Counter(task["status"] for task in tasks) == {"succeeded": len(ids)}, [task["error"] for task in tasks]
    return Counter(task["output"] for task in tasks)


async def test_a_fallback_carries_outages_and_hands_back_when_they_are_over(house: House) -> None:
    async with two_providers(house) as (primary, backup):
        assert set(await served(house, await load(house, 1.0))) == {"primary/large"}
        for name in FAULTS if IS_LONG else ("500", "breaks streams"):
            await carry(house, primary, backup, name)


async def carry(house: House, primary: FakeProvider, backup: FakeProvider, name: str) -> None:
    """Through one outage, from the first fault until the primary is used again."""
    stream, opened = name == "breaks streams", openings(house)
    tasks_before = await count_of_tasks(house)
    received_before = primary.stats()["received"] + backup.stats()["received"]
    primary.faults(FAULTS[name])
    breaking = await load(house, 2.0, stream=stream)
    await house.until(lambda: is_open(house, opened), "the breaker open")
    asked_before = primary.stats()["received"]
    during = await load(house, OUTAGE_SECONDS, stream=stream)
    asked = primary.stats()["received"] - asked_before
    primary.faults()
    assert set(await served(house, during)) == {"backup/small"}
    assert asked <= OUTAGE_SECONDS + 1, "while it is open the whole fleet asks less than once a second"
    assert {"backup/small"} <= set(await served(house, breaking)) <= {"primary/large", "backup/small"}
    await house.until(lambda: _is_answered_by(house, "primary/large", stream), "the primary used again", seconds=10)
    tasks = await count_of_tasks(house) - tasks_before
    calls = primary.stats()["received"] + backup.stats()["received"] - received_before
    print(f"{name}: {tasks} tasks, {calls} calls, {asked} at the broken provider while its breaker was open")
    assert calls <= 1.1 * tasks + len(breaking), "those that broke the breaker are asked for once more"
    await house.until(lambda: all_answered_by(house, "primary/large"), "the breaker closed", seconds=20)


async def _is_answered_by(house: House, target: str, stream: bool) -> bool:
    return target in await served(house, await load(house, 0.2, stream=stream))


async def count_of_tasks(house: House) -> int:
    return len(await house.rows("SELECT id FROM tasks"))


def openings(house: House) -> int:
    return len([line for line in house.log_events("llm.breaker") if line.get("state") == "open"])


async def is_open(house: House, opened: int = 0) -> bool:
    return openings(house) > opened


async def all_answered_by(house: House, target: str) -> bool:
    return set(await served(house, await load(house, 0.3))) == {target}


async def test_without_a_fallback_tasks_are_parked_and_finish_when_it_is_over(house: House) -> None:
    async with two_providers(house, targets=["primary/large"], when_unavailable=["park"]) as (primary, _):
        assert set(await served(house, await load(house, 1.0))) == {"primary/large"}
        for name in ("500", "hangs") if IS_LONG else ("hangs",):
            await park(house, primary, name)


async def park(house: House, primary: FakeProvider, name: str) -> None:
    """Through one outage without anybody else to ask."""
    received_before, opened = primary.stats()["received"], openings(house)
    primary.faults(FAULTS[name])
    breaking = await load(house, 2.0)
    await house.until(lambda: is_open(house, opened), "the breaker open")
    asked_before = primary.stats()["received"]
    during = await load(house, OUTAGE_SECONDS)
    asked = primary.stats()["received"] - asked_before
    assert asked <= OUTAGE_SECONDS + 1, "while it is open the whole fleet asks less than once a second"
    parked = [*breaking, *during]

    async def all_wait() -> bool:
        return len(await house.rows("SELECT id FROM tasks WHERE status = 'waiting'")) == len(parked)

    await house.until(all_wait, "all parked")
    assert primary.stats()["open"] <= 1, "nobody waits on a socket, but for the probe"
    await house.until(lambda: slots_are_free(house), "all slots but the prober's given back")
    task = await house.get(f"/v1/tasks/{parked[-1]}")
    assert (task["waiting_for"]["type"], task["waiting_for"]["name"]) == ("provider", "primary")
    assert task["notice"]["code"] == "provider_unavailable"
    assert task["notice"]["retry_at"] is not None
    primary.faults()
    watching = asyncio.create_task(fullest_second(primary))
    await asyncio.sleep(0)
    assert await served(house, parked) == {"primary/large": len(parked)}
    watching.cancel()
    most, calls = await watching, primary.stats()["received"] - received_before
    print(
        f"park, {name}: {len(parked)} tasks, {calls} calls, {asked} while it was open; then {most} in the fullest second"
    )
    assert calls <= 1.1 * len(parked) + 2 * len(breaking), "those that broke the breaker are asked for again"


async def slots_are_free(house: House) -> bool:
    return sum(worker["running"] for worker in await house.workers()) <= 1


async def fullest_second(provider: FakeProvider) -> int:
    """The most calls that it receives within a second, from now on until it is cancelled."""
    most = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            before = provider.stats()["received"]
            await asyncio.sleep(1.0)
            most = max(most, provider.stats()["received"] - before)
    return most


async def test_without_a_fallback_kept_answers_are_given_and_marked(house: House) -> None:
    model = {"targets": ["primary/large"], "when_unavailable": ["cached"], "cache": {"ttl": 0.1}}
    async with two_providers(house, **model) as (primary, _):
        first = await house.submit("asks_for_the_same", "once")
        assert (await house.ended(first["id"]))["output"] == {"text": "hello", "cached": None, "degraded": None}
        primary.faults({"status": 500})
        given = {"text": "hello", "cached": "stale", "degraded": "cached"}
        again = await load(house, OUTAGE_SECONDS, agent="asks_for_the_same", question="why")
        tasks = await house.all_ended(again)
        assert Counter(str(task["output"]) for task in tasks) == {str(given): len(tasks)}
        calls = primary.stats()["received"] - 1
        assert calls <= 10 + OUTAGE_SECONDS, "those that open the breaker, and less than one a second after that"
        primary.faults()

        async def is_used_again() -> bool:
            (task,) = await house.all_ended([(await house.submit("asks_for_the_same", "again"))["id"]])
            return task["output"]["cached"] is None

        await house.until(is_used_again, "the primary used again", seconds=10)
        print(f"cached: {len(tasks)} tasks, {calls} calls at the broken provider")
