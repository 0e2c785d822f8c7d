"""Those who are parked for a provider are woken when it is back."""

import asyncio

from dayshift.tasks.background import Background
from dayshift.tasks.provider_waits import ProviderWaits

from .conftest import House, eventually

PROVIDER = "acme"


class Woken:
    def __init__(self) -> None:
        self.task_ids: list[str] = []

    async def wake(self, task_ids: list[str]) -> None:
        self.task_ids += task_ids

    async def are(self, *task_ids: str) -> None:
        async def are_they() -> bool:
            return self.task_ids == [*task_ids]

        await eventually(are_they)


async def test_who_was_being_parked_when_it_came_back_is_woken_as_well(house: House, monkeypatch):
    take_parked, nobody_is_left = house.plane.take_parked, asyncio.Event()

    async def take(provider: str, count: int) -> list[str]:
        if not (taken := await take_parked(provider, count)):
            nobody_is_left.set()
        return taken

    monkeypatch.setattr(house.plane, "take_parked", take)
    woken, background = Woken(), Background()
    waits = ProviderWaits(house.plane, woken, background)
    await house.plane.note_parked(PROVIDER, "task_early", due_ms=1)
    waits.is_back(PROVIDER)
    await woken.are("task_early")
    await nobody_is_left.wait()
    waits.note(PROVIDER, "task_late", after_seconds=600.0)  # it was turned away before
    await woken.are("task_early", "task_late")
    assert await house.plane.count_parked(PROVIDER) == 0
    await background.finish_within(5.0)
