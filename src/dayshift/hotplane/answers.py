"""Answers that are kept to be given again. Of no epoch; bounded in bytes, as the server evicts nothing by itself."""

from dayshift.hotplane import keys
from dayshift.hotplane.scripts import SCRIPTS
from dayshift.hotplane.state import State

MOST_BYTES = 64 * 1024 * 1024


class Answers:
    """By names that their keeper makes."""

    _state: State
    most_answer_bytes: int = MOST_BYTES

    async def keep_answer(self, name: str, value: bytes, seconds: float) -> None:
        """Keep it so long, unless younger ones need its room."""
        keep_ms = max(1, round(seconds * 1000))
        await self._state.wire.run(
            SCRIPTS["keep_answer"], [keys.PREFIX], [name, value, keep_ms, self.most_answer_bytes]
        )

    async def kept_answer(self, name: str) -> bytes | None:
        """The answer of that name, if it is still there."""
        found: bytes | None = await self._state.wire.ask(b"GET", keys.answer(name))
        return found
