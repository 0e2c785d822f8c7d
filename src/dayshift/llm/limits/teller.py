"""What is told to the plane in the background: of all lines in one pipeline, and repeated until the plane has answered.

Confirmations can wait a moment, as a grant may be confirmed within a second: they go with what is told next.
Everything may be told twice (`limit_tell.lua`), so a lost answer only costs a repetition.
"""

import asyncio
from collections.abc import Mapping
from contextvars import Context
from typing import Protocol

from dayshift.domain.errors import PlaneAway
from dayshift.hotplane.limits import LimitTelling

CONFIRM_WITHIN_SECONDS = 0.3
AGAIN_SECONDS = 0.5
MAX_A_CALL = 500
MAX_KEPT = 20_000
_ENDS = frozenset({"s", "b", "f"})


class Hearer(Protocol):
    """The plane, as far as it is told."""

    async def limit_tell(self, line: str, tellings: list[LimitTelling]) -> int: ...


class Teller:
    """Collects, and tells."""

    def __init__(self, plane: Hearer) -> None:
        self._plane = plane
        self._untold: dict[str, list[LimitTelling]] = {}
        self._confirmations: dict[str, dict[str, float]] = {}
        self._telling: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False

    def tell(self, line: str, telling: LimitTelling, *, within_seconds: float = 0.0) -> None:
        """Tell it as soon as that; what is told sooner takes it along. What ends a reservation needs no confirmation before it."""
        if telling.op in _ENDS:
            self._confirmations.get(line, {}).pop(telling.name, None)
        untold = self._untold.setdefault(line, [])
        untold.append(telling)
        if len(untold) > MAX_KEPT:  # the plane is away for long: what is oldest lapses there by itself
            del untold[0]
        self._begin_within(within_seconds)

    def confirm(self, line: str, reservation: str, lapse_ms: float) -> None:
        """Tell within a moment that a grant has arrived, or is still used."""
        self._confirmations.setdefault(line, {})[reservation] = lapse_ms
        self._begin_within(CONFIRM_WITHIN_SECONDS)

    async def close(self) -> None:
        """Tell what is left, once."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._begin()
        if self._telling is not None:
            await self._telling

    def _begin_within(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if seconds <= 0 or self._is_closing:
            self._begin()
        elif self._timer is None or self._timer.when() > loop.time() + seconds:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_later(seconds, self._begin, context=Context())

    def _begin(self) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), name="limit-teller", context=Context())

    async def _tell_all(self) -> None:
        while batches := self._batches():
            told = await asyncio.gather(*(self._told(line, batch) for line, batch in batches.items()))
            if not all(told):
                if self._is_closing:
                    return
                await asyncio.sleep(AGAIN_SECONDS)

    def _batches(self) -> Mapping[str, list[LimitTelling]]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for line, confirmations in self._confirmations.items():
            if confirmations:
                confirmed = [LimitTelling("c", name, lapse_ms) for name, lapse_ms in confirmations.items()]
                self._untold[line] = confirmed + self._untold.get(line, [])
                confirmations.clear()
        batches, self._untold = self._untold, {}
        return batches

    async def _told(self, line: str, batch: list[LimitTelling]) -> bool:
        for start in range(0, len(batch), MAX_A_CALL):
            try:
                await self._plane.limit_tell(line, batch[start : start + MAX_A_CALL])
            except PlaneAway:
                self._untold[line] = batch[start:] + self._untold.get(line, [])
                return False
        return True
