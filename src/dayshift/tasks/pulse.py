"""The pulse of a process: one small query a second that says what has changed.

A push through the hot plane (`kick`) only makes it faster; nothing depends on it. The pulse is also how a process notices
that the ledger is away and back, and by whose clock it goes.
"""

import asyncio
from collections.abc import Awaitable, Callable

from dayshift.domain.clock import follow, monotonic_seconds
from dayshift.domain.errors import DayshiftError, DependencyAway, LedgerAway
from dayshift.domain.events import DependencyBack, DependencyLost, Fault
from dayshift.ledger import Ledger, Poll
from dayshift.tasks.background import Background
from dayshift.telemetry import emit

OnNumber = Callable[[int], Awaitable[None]]
OnIds = Callable[[list[str]], Awaitable[None]]
OnBeat = Callable[[], Awaitable[None]]

INTERVAL_SECONDS = 0.8  # what it finds, a revoked key above all, must be in force within a second
LEAST_SECONDS_BETWEEN = 0.02
PATIENCE_SECONDS = 10.0  # with one listener: longer than any dependency's own time-out


class _Watched:
    """A number of the poll and who wants to know that it has changed."""

    def __init__(self) -> None:
        self.seen: int | None = None
        self.callbacks: list[OnNumber] = []


class Pulse:
    """Callbacks are registered before `open`; each is called when its number changes, and once at the first beat.

    A callback that fails, or hangs, is called again at the next beat.
    """

    def __init__(
        self,
        ledger: Ledger,
        background: Background,
        worker_id: Callable[[], str | None] = lambda: None,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._background = background
        self._worker_id = worker_id
        self._interval_seconds = interval_seconds
        self._patience_seconds = patience_seconds
        self._watched = {name: _Watched() for name in ("settings", "keys", "registry", "epoch")}
        self._on_cancels: list[OnIds] = []
        self._on_beat: list[OnBeat] = []
        self._kicked = asyncio.Event()
        self._away_since: float | None = None
        self._loop: asyncio.Task[None] | None = None

    @property
    def ledger_is_away(self) -> bool:
        """The last beat found no ledger."""
        return self._away_since is not None

    def on_settings(self, callback: OnNumber) -> None:
        self._watched["settings"].callbacks.append(callback)

    def on_keys(self, callback: OnNumber) -> None:
        self._watched["keys"].callbacks.append(callback)

    def on_registry(self, callback: OnNumber) -> None:
        self._watched["registry"].callbacks.append(callback)

    def on_epoch(self, callback: OnNumber) -> None:
        self._watched["epoch"].callbacks.append(callback)

    def on_cancels(self, callback: OnIds) -> None:
        """Ids of this worker's running tasks that somebody wants cancelled: at every beat, until they end."""
        self._on_cancels.append(callback)

    def on_beat(self, callback: OnBeat) -> None:
        """Whatever else this process reads once a second."""
        self._on_beat.append(callback)

    def open(self) -> None:
        """Start to beat."""
        if self._loop is None:
            self._loop = self._background.spawn(self._beat_forever(), where="tasks.pulse")

    async def close(self) -> None:
        """Stop. Safe to repeat."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None

    def kick(self) -> None:
        """Beat now: somebody pushed that there is news."""
        self._kicked.set()

    async def beat(self) -> None:
        """Ask once, and tell who is concerned. Never raises."""
        asked_mono = monotonic_seconds()
        try:
            poll = await self._ledger.poll(self._worker_id())
        except DayshiftError as error:
            self._note_away(error)
            return
        follow(poll.now, monotonic_seconds() - asked_mono)
        self._note_back()
        await self._tell(poll)

    async def _beat_forever(self) -> None:
        while True:
            self._kicked.clear()
            await self.beat()
            await asyncio.sleep(LEAST_SECONDS_BETWEEN)
            try:
                async with asyncio.timeout(self._interval_seconds):
                    await self._kicked.wait()
            except TimeoutError:
                continue

    async def _tell(self, poll: Poll) -> None:
        numbers = {
            "keys": poll.keys_version,  # first: a revocation waits for nobody
            "settings": poll.settings_version,
            "registry": poll.registry_version,
            "epoch": poll.epoch,
        }
        for name, number in numbers.items():
            watched = self._watched[name]
            if number != watched.seen and await self._all_told(watched.callbacks, number):
                watched.seen = number
        if poll.cancels:
            await self._all_told(self._on_cancels, poll.cancels)
        for callback in self._on_beat:
            await self._told(callback())

    async def _all_told(self, callbacks: "list[OnNumber] | list[OnIds]", news: int | list[str]) -> bool:
        results = [await self._told(callback(news)) for callback in callbacks]  # type: ignore[arg-type]  # callers pair them
        return all(results)

    async def _told(self, telling: Awaitable[None]) -> bool:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await telling
        except DependencyAway as error:
            if isinstance(error, LedgerAway):
                self._note_away(error)
            return False
        except Exception as error:  # noqa: BLE001 - the pulse of a process goes on whatever its listeners do
            emit(Fault.of("tasks.pulse", error))
            return False
        return True

    def _note_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = monotonic_seconds()
            emit(DependencyLost(dependency="ledger", error=str(error)))

    def _note_back(self) -> None:
        if self._away_since is not None:
            emit(DependencyBack(dependency="ledger", away_seconds=monotonic_seconds() - self._away_since))
            self._away_since = None
