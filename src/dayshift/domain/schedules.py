"""Schedules: when tasks are due, which, and what becomes of due times that were missed."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

CatchUp = Literal["skip", "one", "all"]

UTC_ZONE = "UTC"


class Times(Struct, frozen=True, kw_only=True):
    """When: exactly one of `cron` (in `time_zone`), `every` (seconds, counted from `start_at`) and `at` (once)."""

    cron: str | None = None
    time_zone: str | None = None
    every: int | None = None
    start_at: datetime | None = None
    at: datetime | None = None


class Schedule(Struct, frozen=True, kw_only=True):
    """A schedule as its row says. `next_at` is the first due time that nothing was decided about; None: paused, or none is left.

    `revision` rises with every change, by people or by maintenance: whoever changes it names the one that the change builds on.
    `task` is JSON. `retry_at`: not before then is a due time tried again that was refused; `skipped_*`: those that were skipped last.
    """

    id: str
    tenant: str
    name: str
    times: Times
    catch_up: CatchUp
    task: bytes
    created_at: datetime
    updated_at: datetime
    revision: int = 0
    paused_at: datetime | None = None
    next_at: datetime | None = None
    retry_at: datetime | None = None
    last_due_at: datetime | None = None
    last_task: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_at: datetime | None = None
    skipped_from: datetime | None = None
    skipped_until: datetime | None = None

    @property
    def status(self) -> Literal["active", "paused", "ended"]:
        if self.paused_at is not None:
            return "paused"
        return "ended" if self.next_at is None else "active"
