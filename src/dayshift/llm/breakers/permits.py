"""What a breaker answers to who wants to call."""

import contextlib
from collections.abc import Callable

from msgspec import Struct


class Open(Struct, frozen=True):
    """No call now; after so many seconds it is worth while to ask again."""

    after_seconds: float


class Permit:
    """The right to make one call. To be settled once, from any thread; again is harmless.

    A probe is the only one of the whole fleet, and is renewed for as long as it is not settled: one that was dropped settles
    itself, so that a mistake in a rare path does not keep a provider shut for ever.
    """

    def __init__(self, settle: Callable[[bool | None], None], *, is_probe: bool = False) -> None:
        self.is_probe = is_probe
        self._settle: Callable[[bool | None], None] | None = settle

    def settle(self, failed: bool | None) -> None:
        """How it went. None says nothing about the provider: the call was given up, or refused for a reason of its own."""
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(failed)

    def __del__(self) -> None:
        if self.is_probe and self._settle is not None:
            with contextlib.suppress(RuntimeError):  # there is no loop any more, and no renewing either
                self.settle(None)
