"""Settings that change under load: seen by all processes within a second, and no task fails of it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakellm.process import FakeProvider
from tests.system.house import House
from tests.system.test_outage import two_providers

pytestmark = pytest.mark.system

PER_SECOND = 20
MANY, FEW = {"requests_per_minute": 60_000}, {"requests_per_minute": 60}


class Load:
    """Tasks at a steady rate, until it is stopped."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ids: list[str] = []
        self._is_over = False
        self._going = asyncio.create_task(self._go())

    async def _go(self) -> None:
        while not self._is_over:
            task = await self._house.submit("asks_flagged", {"question": f"number {len(self._ids)}?"})
            self._ids.append(task["id"])
            await asyncio.sleep(1 / PER_SECOND)

    async def stop(self) -> list[dict[str, Any]]:
        """All of them, ended."""
        self._is_over = True
        await self._going
        return await self._house.all_ended(self._ids)


async def change(house: House, path: str, value: Any) -> datetime:
    """Change a setting under load, and wait until it must be in force everywhere; since when."""
    await house.configure(path, value)
    await asyncio.sleep(1.0)
    return datetime.now(UTC)


def seen(tasks: list[dict[str, Any]], what: str, since: datetime, until: datetime | None = None) -> set[str]:
    """What tasks that started in that time were answered with."""
    return {
        task["output"][what]
        for task in tasks
        if since < datetime.fromisoformat(task["started_at"]) < (until or datetime.max.replace(tzinfo=UTC))
    }


async def received(provider: FakeProvider, seconds: float) -> int:
    """How many calls reach it in that time."""
    before = provider.stats()["received"]
    await asyncio.sleep(seconds)
    return provider.stats()["received"] - before


async def test_targets_limits_and_flags_change_under_load(house: House) -> None:
    async with two_providers(house) as (primary, backup):
        begun, load = datetime.now(UTC), Load(house)
        await asyncio.sleep(1.0)
        other_target = await change(house, "models.smart.targets", ["backup/small"])
        flagged = await change(house, "flags.tone", {"value": "kind"})
        await asyncio.sleep(0.5)
        assert await received(backup, 1.0) > PER_SECOND / 3
        await change(house, "providers.backup.limits", FEW)
        assert await received(backup, 2.0) <= 2 + 2, "two seconds of the limit, its bucket, and one that was in hand"
        await change(house, "providers.backup.limits", MANY)
        assert await received(backup, 1.0) > PER_SECOND / 3
        versions = [entry["version"] for entry in (await house.get("/v1/settings/history"))["data"][:5]]
        before = datetime.now(UTC)
        await bad_values_change_nothing(house)
        await house.cli("config", "rollback", str(versions[4]))
        await asyncio.sleep(1.0)
        rolled_back = datetime.now(UTC)
        await asyncio.sleep(0.5)
        await house.configure("flags.tone", {"value": "plain"})
        await one_of_two_writers_wins(house)
        tasks = await load.stop()
        assert primary.stats()["received"] + backup.stats()["received"] == len(tasks)
    assert {task["status"] for task in tasks} == {"succeeded"}
    assert "primary/large" in seen(tasks, "target", begun)
    assert seen(tasks, "target", other_target, before) == {"backup/small"}
    assert seen(tasks, "tone", flagged, before) == {"kind"}
    assert seen(tasks, "target", rolled_back) == {"primary/large"}
    assert seen(tasks, "tone", rolled_back) == {"plain"}


async def bad_values_change_nothing(house: House) -> None:
    kept = await house.get("/v1/settings/flags.tone")
    for path, bad, where in (
        ("models.smart.targets", ["nobody/x"], "models.smart"),
        ("providers.openai.limits.requests_per_minute", -1, "providers.openai.limits.requests_per_minute"),
        ("flags.tone.percent", 101, "flags.tone.percent"),
    ):
        answer = await house.http.put(f"/v1/settings/{path}", json={"value": bad})
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, where)
    assert await house.get("/v1/settings/flags.tone") == kept


async def one_of_two_writers_wins(house: House) -> None:
    kept = await house.get("/v1/settings/flags.tone")
    if_match = {"If-Match": str(kept["version"])}
    answers = await asyncio.gather(
        *(
            house.http.put(
                "/v1/settings/flags.tone", json={"value": {"value": "plain", "percent": share}}, headers=if_match
            )
            for share in (40, 60)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    (loser,) = (answer.json() for answer in answers if answer.status_code == 412)
    assert loser["code"] == "version_mismatch"
    (winner,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert (await house.get("/v1/settings/flags.tone"))["value"] == winner["value"]
