"""The settings that are in force in this process: an immutable snapshot, swapped whole."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from dayshift.domain.events import Fault, SettingsChanged
from dayshift.domain.settings import Settings
from dayshift.ledger import Ledger
from dayshift.settings.document import MISSING, document_of, with_value
from dayshift.settings.shape import located_faults
from dayshift.telemetry import emit

OnChange: TypeAlias = Callable[[Settings], Awaitable[None] | None]


class LiveSettings:
    """Readers take `current` and hold it for as long as one decision lasts; it never changes in their hands.

    Until `load` has been called the defaults are in force.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._callbacks: list[OnChange] = []
        self._loading = asyncio.Lock()
        self.current = Settings()
        self.version = -1

    def on_change(self, callback: OnChange) -> None:
        """Call back with the new settings after every swap, the first load included; coroutines are awaited in turn."""
        self._callbacks.append(callback)

    async def load(self) -> Settings:
        """Read the newest settings, whatever version is held."""
        async with self._loading:
            await self._load()
        return self.current

    async def refresh_if(self, version: int) -> None:
        """Read again if `version`, as it was polled, is newer than what is held. Safe to call at every poll."""
        if version > self.version:
            async with self._loading:
                if version > self.version:
                    await self._load()

    async def _load(self) -> None:
        state = await self._ledger.settings.current()
        if state.version <= self.version:
            return
        is_first = self.version < 0
        self.current, self.version = understood(document_of(state)), state.version
        if not is_first:
            newest = max(state.entries.values(), key=lambda entry: entry.version, default=None)
            told = newest if newest is not None and newest.version == state.version else None
            emit(SettingsChanged(version=state.version, path=told.path if told else None, by=told.by if told else None))
        await self._tell()

    async def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                answer = callback(self.current)
                if inspect.isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001 - one listener that fails must not keep the others at the old settings
                emit(Fault.of("settings.on_change", error))


def understood(document: dict[str, Any]) -> Settings:
    """The document as settings. What this code does not know (a newer release may have set it) is left out and told:
    stored settings were valid to the code that stored them, and must not keep this one from starting.
    """
    while faults := list(located_faults(document)):  # what is left out may be what another piece needs
        for path, error in faults:
            message = f"left out: {error.path} {error.message}"
            emit(Fault(where="settings.load", error_type="InvalidInput", message=message))
            document = with_value(document, path, MISSING)
    return msgspec.convert(document, Settings)
