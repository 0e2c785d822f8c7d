"""Tasks that are parked until a provider is back: a note of who to wake first. Each wakes by its own time if the note is lost."""

from dayshift.hotplane import keys
from dayshift.hotplane.state import State

KEPT_SECONDS = 86_400


class ParkedForProviders:
    """Of no epoch, as nothing depends on it."""

    _state: State

    async def note_parked(self, provider: str, task_id: str, due_ms: int) -> None:
        """A task waits for this provider, and looks again at that wall time in any case."""
        wire, key = self._state.wire, keys.parked(provider)
        await wire.ask(b"ZADD", key, due_ms, task_id)
        await wire.ask(b"EXPIRE", key, KEPT_SECONDS)

    async def count_parked(self, provider: str) -> int:
        """How many wait for it."""
        return int(await self._state.wire.ask(b"ZCARD", keys.parked(provider)))

    async def take_parked(self, provider: str, count: int) -> list[str]:
        """Those that would look again first; they are noted no more."""
        popped = await self._state.wire.ask(b"ZPOPMIN", keys.parked(provider), count)
        return [name.decode() for name in popped[::2]]
