"""Schedules over HTTP: make, look, change, pause, resume, trigger, delete. They belong to the caller's tenant."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Struct

from dayshift.domain import ids
from dayshift.domain.schedules import CatchUp, Schedule
from dayshift.domain.settings import Settings
from dayshift.gateway import headers
from dayshift.gateway.bodies import read_json
from dayshift.gateway.pages import After, Page, after_id, last_id, list_reply
from dayshift.gateway.paths import typed
from dayshift.gateway.rate_headers import rate_headers
from dayshift.gateway.replies import NO_CONTENT, Reply, header, json_reply
from dayshift.gateway.request import Request
from dayshift.gateway.webhooks import check_url
from dayshift.tasks.schedules import ScheduleChange, ScheduledTask, ScheduleRequest
from dayshift.tasks.services import Services

WHERE = "/v1/schedules"


class ScheduleError(Struct, frozen=True):
    """Why the due time at `next_at` became no task yet."""

    code: str
    message: str
    at: datetime
    retry_at: datetime | None


class SkippedTimes(Struct, frozen=True):
    """The first and the last of the due times that were skipped last."""

    first: datetime
    last: datetime


class ScheduleView(Struct, frozen=True, kw_only=True):
    """A schedule. `next_at`: null while it is paused, and when it has ended. `last_task` is that of `last_due_at`."""

    id: str
    name: str
    status: Literal["active", "paused", "ended"]
    cron: str | None
    time_zone: str | None
    every: int | None
    start_at: datetime | None
    at: datetime | None
    catch_up: CatchUp
    task: ScheduledTask
    next_at: datetime | None
    last_due_at: datetime | None
    last_task: str | None
    last_error: ScheduleError | None
    skipped: SkippedTimes | None
    created_at: datetime
    updated_at: datetime


class SchedulePage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the list of schedules."""

    after: Annotated[After, last_id(ids.SCHEDULE)] | None = None


class SchedulesDoor:
    def __init__(self, services: Services, settings: Callable[[], Settings]) -> None:
        self._schedules = services.schedules
        self._settings = settings

    async def create(self, request: Request) -> Reply:
        wanted = typed(await self._body(request), ScheduleRequest)
        self._check_webhook(wanted.task)
        made = await self._schedules.create(request.tenant, wanted)
        return json_reply(_view(made), 201, [header("location", f"{WHERE}/{made.id}")])

    async def list(self, request: Request) -> Reply:
        """Newest first."""
        page = request.query(SchedulePage)
        after = after_id(page.after, ids.SCHEDULE, "a schedule")
        found = await self._schedules.list(request.tenant, limit=page.limit + 1, after=after)
        return list_reply([_view(one) for one in found], page.limit)

    async def get(self, request: Request) -> Reply:
        return json_reply(_view(await self._schedules.get(request.tenant, request.params["id"])))

    async def update(self, request: Request) -> Reply:
        """Change what is given."""
        wanted = typed(await self._body(request), ScheduleChange)
        if wanted.task is not UNSET:
            self._check_webhook(wanted.task)
        return json_reply(_view(await self._schedules.change(request.tenant, request.params["id"], wanted)))

    async def delete(self, request: Request) -> Reply:
        """Its tasks stay."""
        await self._schedules.delete(request.tenant, request.params["id"])
        return NO_CONTENT

    async def pause(self, request: Request) -> Reply:
        return json_reply(_view(await self._schedules.pause(request.tenant, request.params["id"])))

    async def resume(self, request: Request) -> Reply:
        return json_reply(_view(await self._schedules.resume(request.tenant, request.params["id"])))

    async def trigger(self, request: Request) -> Reply:
        """Submit its task now."""
        receipt, quotas = await self._schedules.trigger(
            request.tenant,
            request.params["id"],
            key=headers.idempotency_key(request),
            trace_id=headers.trace_id(request),
        )
        its_headers = [header("location", f"/v1/tasks/{receipt.task.id}"), *rate_headers(quotas)]
        if receipt.replayed:
            its_headers.append(header("idempotent-replayed", "true"))
        return json_reply(receipt.task, 202, its_headers)

    async def _body(self, request: Request) -> bytes:
        return await read_json(request, self._settings().gateway.max_body_bytes)

    def _check_webhook(self, task: ScheduledTask) -> None:
        if task.webhook is not None:
            check_url(task.webhook.url, "task.webhook.url", self._settings())


def _view(schedule: Schedule) -> ScheduleView:
    times = schedule.times
    return ScheduleView(
        id=schedule.id,
        name=schedule.name,
        status=schedule.status,
        cron=times.cron,
        time_zone=times.time_zone,
        every=times.every,
        start_at=times.start_at,
        at=times.at,
        catch_up=schedule.catch_up,
        task=msgspec.json.decode(schedule.task, type=ScheduledTask),
        next_at=schedule.next_at,
        last_due_at=schedule.last_due_at,
        last_task=schedule.last_task,
        last_error=_error(schedule),
        skipped=_skipped(schedule),
        created_at=schedule.created_at,
        updated_at=schedule.updated_at,
    )


def _error(schedule: Schedule) -> ScheduleError | None:
    if schedule.error_code is None or schedule.error_message is None or schedule.error_at is None:
        return None
    return ScheduleError(schedule.error_code, schedule.error_message, schedule.error_at, schedule.retry_at)


def _skipped(schedule: Schedule) -> SkippedTimes | None:
    if schedule.skipped_from is None or schedule.skipped_until is None:
        return None
    return SkippedTimes(schedule.skipped_from, schedule.skipped_until)
