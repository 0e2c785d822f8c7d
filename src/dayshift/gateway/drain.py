"""Where this gateway is in its life: starting, serving, draining.

Draining is how a gateway leaves without a failed request: it goes on to serve, but each answer says `Connection: close`,
so that clients come back on another gateway; waits and streams end with a hint how to resume; then it stops.
"""

from collections.abc import Callable
from typing import Literal

Phase = Literal["starting", "serving", "draining"]


class Drain:
    def __init__(self) -> None:
        self.phase: Phase = "starting"
        self._on_begin: list[Callable[[], None]] = []

    @property
    def is_draining(self) -> bool:
        return self.phase == "draining"

    def ready(self) -> None:
        """Everything that a request needs is there."""
        if self.phase == "starting":
            self.phase = "serving"

    def begin(self) -> None:
        """Start to leave. Calling it twice is safe."""
        self.phase = "draining"
        while self._on_begin:
            self._on_begin.pop()()

    def on_begin(self, call: Callable[[], None]) -> None:
        """Call when the gateway starts to leave."""
        self._on_begin.append(call)
