"""The pulse of a process: one small query a second that says what has changed."""

from collections.abc import Awaitable, Callable

OnNumber = Callable[[int], Awaitable[None]]
OnIds = Callable[[list[str]], Awaitable[None]]


class Pulse:
    """Callbacks are registered before `open`; each is called when its number rises (and once at the first beat)."""

    ledger_is_away: bool = False

    def on_settings(self, callback: OnNumber) -> None: ...
    def on_keys(self, callback: OnNumber) -> None: ...
    def on_registry(self, callback: OnNumber) -> None: ...
    def on_epoch(self, callback: OnNumber) -> None: ...
    def on_cancels(self, callback: OnIds) -> None:
        """Ids of this worker's running tasks that somebody wants cancelled: at every beat, until they end."""

    def kick(self) -> None:
        """Beat now: somebody pushed that there is news."""
