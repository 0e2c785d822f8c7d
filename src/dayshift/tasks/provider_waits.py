"""Tasks that are parked until a provider is back.

Each looks again by itself when its time has come, so nothing here must be right. A worker that sees the provider's breaker
close wakes them earlier, the longest waiting first and some at a time: what comes back at once would break it again. It looks a second
time a little later, for those who were turned away just before and were being parked meanwhile.
"""

import asyncio

from dayshift.domain.clock import unix_ms
from dayshift.domain.errors import PlaneAway
from dayshift.hotplane import Plane
from dayshift.tasks.background import Background
from dayshift.tasks.waking import Waking

PROVIDER = "provider"
AT_A_TIME = 50
PAUSE_SECONDS = 0.25
SECOND_LOOK_SECONDS = 2.0


class ProviderWaits:
    """Several workers at once share the work: each takes others."""

    def __init__(self, plane: Plane, waking: Waking, background: Background) -> None:
        self._plane = plane
        self._waking = waking
        self._background = background
        self._waking_for: set[str] = set()

    def note(self, provider: str, task_id: str, after_seconds: float) -> None:
        """A task was parked for this provider, and looks again after that time."""
        self._background.spawn(self._note(provider, task_id, after_seconds), where="tasks.provider_waits")

    def is_back(self, provider: str) -> None:
        """Wake those who wait for it."""
        if provider not in self._waking_for:
            self._waking_for.add(provider)
            self._background.spawn(self._wake(provider), where="tasks.provider_waits")

    async def _note(self, provider: str, task_id: str, after_seconds: float) -> None:
        try:
            await self._plane.note_parked(provider, task_id, unix_ms() + round(after_seconds * 1000))
        except PlaneAway:
            return  # it looks again by itself

    async def _wake(self, provider: str) -> None:
        try:
            await self._wake_parked(provider)
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            await self._wake_parked(provider)
        except PlaneAway:
            return  # likewise
        finally:
            self._waking_for.discard(provider)

    async def _wake_parked(self, provider: str) -> None:
        while task_ids := await self._plane.take_parked(provider, AT_A_TIME):
            await self._waking.wake(task_ids)
            await asyncio.sleep(PAUSE_SECONDS)
