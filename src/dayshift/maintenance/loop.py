"""What all loops of maintenance share: they look again and again, survive every error, and stop when asked."""

import asyncio
from abc import ABC, abstractmethod

from dayshift.domain.errors import DependencyAway
from dayshift.domain.events import Fault
from dayshift.domain.jitter import full_jitter
from dayshift.telemetry import emit

BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 10.0
JITTER_RATIO = 0.2


class Loop(ABC):
    """One loop. Any number of processes may run the same at once; `run_once` must bear that."""

    name: str

    def __init__(self, interval_seconds: float) -> None:
        self.interval_seconds = interval_seconds
        self._kicked = asyncio.Event()

    @abstractmethod
    async def run_once(self) -> None:
        """Look, and do what is due now. May raise: the loop reports it and tries again later."""

    def kick(self) -> None:
        """Look now."""
        self._kicked.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        failures = 0
        while not stop.is_set():
            self._kicked.clear()
            try:
                await self.run_once()
                failures = 0
            except Exception as error:  # noqa: BLE001 - a loop that ends is worse than any error it meets
                failures += 1
                self._report(error, failures)
            await self._pause(stop, failures)

    def _report(self, error: Exception, failures: int) -> None:
        """An outage is reported once, anything else each time."""
        if failures == 1 or not isinstance(error, DependencyAway):
            emit(Fault.of(f"maintenance.{self.name}", error))

    async def _pause(self, stop: asyncio.Event, failures: int) -> None:
        """Wait out the interval, spread a little so that processes do not march in step; a kick or a stop ends it."""
        spread = JITTER_RATIO * self.interval_seconds
        seconds = self.interval_seconds - spread / 2 + full_jitter(spread, spread, 1)
        if failures:
            seconds += full_jitter(BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, failures)
        endings = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._kicked.wait())]
        try:
            await asyncio.wait(endings, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ending in endings:
                ending.cancel()
