"""What a request for a schedule may say, checked before it becomes a row; and the request for a task that it stands for."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from dayshift.domain.clock import now
from dayshift.domain.errors import FieldError
from dayshift.domain.schedules import UTC_ZONE, CatchUp, Schedule, Times
from dayshift.domain.task import DEFAULT_PRIORITY
from dayshift.tasks.inputs import (
    LONGEST_WAIT_SECONDS,
    Metadata,
    Priority,
    ShortText,
    TaskRequest,
    TimeoutSeconds,
    WebhookRequest,
    refused,
)
from dayshift.tasks.schedules.due_times import cron_fault, due_after, is_time_zone

RESERVED = ("schedule", "due_at")
LONGEST_INTERVAL_SECONDS = 366 * 86_400

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Cron = Annotated[str, Meta(min_length=1, max_length=200)]
Zone = Annotated[str, Meta(min_length=1, max_length=100)]
Every = Annotated[int, Meta(ge=1, le=LONGEST_INTERVAL_SECONDS)]
Moment = Annotated[datetime, Meta(tz=True)]


class ScheduledTask(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each task of a schedule is, in the words of `POST /v1/tasks`."""

    agent: ShortText
    input: msgspec.Raw = msgspec.Raw(b"{}")
    conversation: ShortText | None = None
    user: ShortText | None = None
    priority: Priority = DEFAULT_PRIORITY
    timeout: TimeoutSeconds | None = None
    webhook: WebhookRequest | None = None
    metadata: Metadata = msgspec.Raw(b"{}")


class ScheduleRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /v1/schedules`: exactly one of `cron` (with `time_zone`), `every` (seconds; with `start_at`) and `at`."""

    name: Name
    task: ScheduledTask
    cron: Cron | None = None
    time_zone: Zone | None = None
    every: Every | None = None
    start_at: Moment | None = None
    at: Moment | None = None
    catch_up: CatchUp = "one"


class ScheduleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed; `task` as a whole. Another one of `cron`, `every` and `at` takes the place of the one before."""

    name: Name | UnsetType = UNSET
    task: ScheduledTask | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    time_zone: Zone | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    start_at: Moment | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET


def times_of(request: ScheduleRequest) -> Times:
    """When, as asked for. Raises `InvalidInput` with every fault."""
    return _checked(
        Times(
            cron=request.cron,
            time_zone=request.time_zone,
            every=request.every,
            start_at=request.start_at,
            at=request.at,
        )
    )


def changed_times(times: Times, change: ScheduleChange) -> Times:
    """When, after a change; the same as before if it says nothing about that. Raises `InvalidInput`."""
    said = {name: value for name in Times.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    if not said:
        return times
    if {"cron", "every", "at"} & said.keys():
        zone = {"time_zone": times.time_zone} if "cron" in said else {}
        return _checked(Times(**{**zone, **said}))
    return _checked(msgspec.structs.replace(times, **said))


def request_of(schedule: Schedule, due_at: datetime | None, key: str | None = None) -> TaskRequest:
    """The task that a schedule stands for: that of a due time, or one that is wanted now."""
    task = msgspec.json.decode(schedule.task, type=ScheduledTask)
    metadata: dict[str, Any] = msgspec.json.decode(task.metadata) or {}
    metadata["schedule"] = schedule.id
    if due_at is not None:
        metadata["due_at"] = due_at
    return msgspec.structs.replace(
        task_request(task), run_at=due_at, metadata=msgspec.Raw(msgspec.json.encode(metadata)), idempotency_key=key
    )


def task_request(task: ScheduledTask) -> TaskRequest:
    """The same, as a request that can be checked."""
    return TaskRequest(**{field: getattr(task, field) for field in ScheduledTask.__struct_fields__})


def check_metadata(metadata: Any) -> None:
    """Raise `InvalidInput` for names that are filled in by us. Anything else about it is checked where requests for tasks are."""
    taken = [name for name in RESERVED if isinstance(metadata, dict) and name in metadata]
    if taken:
        message = "is filled in when the task is made; use another name"
        raise refused([FieldError(f"task.metadata.{name}", message) for name in taken])


def _checked(times: Times) -> Times:
    faults = _faults(times)
    if faults:
        raise refused(faults)
    if times.every is not None and times.start_at is None:
        start_at = now().replace(microsecond=0) + timedelta(seconds=times.every)
        return msgspec.structs.replace(times, start_at=start_at)
    if times.cron is not None and times.time_zone is None:
        return msgspec.structs.replace(times, time_zone=UTC_ZONE)
    return times


def _faults(times: Times) -> list[FieldError]:
    ways = [name for name in ("cron", "every", "at") if getattr(times, name) is not None]
    if len(ways) != 1:
        return [FieldError(ways[-1] if ways else "cron", "give exactly one of cron, every and at")]
    faults = [*_cron_faults(times), *_moment_faults(times)]
    if times.cron is None and times.time_zone is not None:
        faults.append(
            FieldError("time_zone", "belongs to cron; a moment says its own zone, as in 2030-01-31T12:00:00Z")
        )
    if times.every is None and times.start_at is not None:
        faults.append(FieldError("start_at", "belongs to every"))
    return faults


def _cron_faults(times: Times) -> list[FieldError]:
    if times.cron is None:
        return []
    if times.time_zone is not None and not is_time_zone(times.time_zone):
        return [FieldError("time_zone", "no time zone has this name; give one of the IANA database, as Europe/Berlin")]
    if (fault := cron_fault(times.cron)) is not None:
        return [FieldError("cron", fault)]
    if due_after(times, now()) is None:
        return [FieldError("cron", "is never due within fifty years")]
    return []


def _moment_faults(times: Times) -> list[FieldError]:
    present, longest = now(), timedelta(seconds=LONGEST_WAIT_SECONDS)
    faults = []
    for field in ("start_at", "at"):
        moment = getattr(times, field)
        if moment is not None and not present - longest < moment < present + longest:
            faults.append(FieldError(field, "must be less than ten years from now, before or after"))
    if not faults and times.at is not None and times.at <= present:
        faults.append(FieldError("at", "lies in the past; name a later time, or submit the task itself"))
    return faults
