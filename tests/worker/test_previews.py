"""Previews of a running worker's effects, by the setting as it is when each of them begins."""

from msgspec.structs import replace

from dayshift.domain.settings import JournalSettings
from tests.worker.house import working


async def previews_of(house, task_id: str) -> list[str | None]:
    await house.finished(task_id)
    return [effect.preview for effect in await house.ledger.effects.list(task_id, limit=20)]


async def test_a_worker_goes_by_the_setting_of_the_moment(house):
    async with working(house):
        before = await previews_of(house, await house.submit("calls_others", texts=["a"]))
        house.settings = replace(house.settings, journal=JournalSettings(preview_characters=60))
        asked = await previews_of(house, await house.submit("calls_others", texts=["key sk-abcdefghijkl", "b" * 200]))
        house.settings = replace(house.settings, journal=JournalSettings())
        after = await previews_of(house, await house.submit("calls_others", texts=["a"]))
    assert before == after == [None]
    assert set(asked) == {'{"text":"key sk-[redacted]"}', f'{{"text":"{"b" * 51}'}
