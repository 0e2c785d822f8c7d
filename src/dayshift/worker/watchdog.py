"""Notices that the event loop does not turn, and shows what blocks it.

A thread asks the loop to answer and counts the seconds until it does. While it does not, the loop's thread is somewhere
in code that does not await: its stack is taken from outside. Code that holds the interpreter lock holds this thread up
as well; it is reported when it lets go, with the stack as it is then.
"""

import asyncio
import sys
import threading
import traceback

from dayshift.domain import clock
from dayshift.domain.events import LoopBlocked, LoopLag
from dayshift.telemetry import emit

LOOK_SECONDS = 0.25
BLOCKED_SECONDS = 1.0
LAG_REPORT_SECONDS = 5.0


class Watchdog:
    """Created in the loop that it watches. `lag_seconds` is the longest delay of the last few seconds."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loops_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dayshift-watchdog", daemon=True)
        self.lag_seconds = 0.0
        self._longest_seconds = 0.0
        self._reported_mono = clock.monotonic_seconds()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the watch; the thread ends by itself. Safe to repeat."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self._measure()
            self._report_lag()

    def _measure(self) -> None:
        answered, asked_mono = threading.Event(), clock.monotonic_seconds()
        if self._loop.is_closed():
            self._stopped.set()
            return
        self._loop.call_soon_threadsafe(answered.set)
        report_at_seconds = BLOCKED_SECONDS
        while not answered.wait(max(0.0, asked_mono + report_at_seconds - clock.monotonic_seconds())):
            if self._stopped.is_set():
                return
            self._report_blocked(clock.monotonic_seconds() - asked_mono)
            report_at_seconds *= 2  # said again less and less often, with the stack of that moment
        self._longest_seconds = max(self._longest_seconds, clock.monotonic_seconds() - asked_mono)

    def _report_blocked(self, blocked_seconds: float) -> None:
        frame = sys._current_frames().get(self._loops_thread)  # noqa: SLF001 - the documented way to see another thread
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        self.lag_seconds = max(self.lag_seconds, blocked_seconds)
        emit(LoopBlocked(blocked_seconds=blocked_seconds, stack=stack))

    def _report_lag(self) -> None:
        now_mono = clock.monotonic_seconds()
        if now_mono - self._reported_mono >= LAG_REPORT_SECONDS:
            self.lag_seconds, self._longest_seconds, self._reported_mono = self._longest_seconds, 0.0, now_mono
            emit(LoopLag(lag_seconds=self.lag_seconds))
