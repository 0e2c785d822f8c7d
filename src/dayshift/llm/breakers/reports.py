"""How calls went, on its way from this process to the plane: successes in batches, a failure at once with all that was counted."""

import asyncio
from collections.abc import Callable

from dayshift.domain.clock import monotonic_seconds
from dayshift.domain.errors import DayshiftError
from dayshift.hotplane import Plane
from dayshift.llm.breakers.view import BreakerView

FLUSH_SECONDS = 0.15


class BreakerReports:
    """`on_away` is called when the plane does not answer; what was to be told then is forgotten, as it would be old news later."""

    def __init__(self, plane: Plane, on_away: Callable[[], None]) -> None:
        self._plane = plane
        self._on_away = on_away
        self._views: set[BreakerView] = set()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def count(self, view: BreakerView, era: int, *, failed: bool) -> None:
        """Take note of a call that was made in that era."""
        if view.alone is not None or not view.count(era, failed=failed):
            return
        self._views.add(view)
        if failed:
            self._due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._due.set)

    async def keep_reporting(self) -> None:
        """Tell it, for ever."""
        try:
            while True:
                await self._due.wait()
                self._be_due_later()
                await self._report()
        finally:
            self._be_due_later()

    def _be_due_later(self) -> None:
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _report(self) -> None:
        views = [view for view in self._views if view.has_counted]
        self._views.clear()
        if not views:
            return
        asked_at_mono = monotonic_seconds()
        try:
            replies = await self._plane.report_calls([view.counted() for view in views])
        except DayshiftError:
            self._on_away()
        else:
            for view, seen in zip(views, replies, strict=True):
                view.hear(seen, asked_at_mono=asked_at_mono)
