"""Between rows and nouns: the only place that adds and strips the prefixes of ids, and that knows columns by name."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
import msgspec

from dayshift.domain import ids
from dayshift.domain.effect import CallUsage
from dayshift.domain.errors import NotFound
from dayshift.domain.task import Notice, Place, Status, Task, TaskError, Timing, Usage, WaitingFor

_T = TypeVar("_T")

HIGHEST_UUID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

_usage = msgspec.json.Decoder(Usage)
_call_usage = msgspec.json.Decoder(CallUsage)
_timing = msgspec.json.Decoder(Timing)
_waiting_for = msgspec.json.Decoder(WaitingFor)
_notice = msgspec.json.Decoder(Notice)
encode = msgspec.json.Encoder().encode


def bare(identity: str) -> str:
    """The UUID of a public id."""
    return identity[identity.rindex("_") + 1 :]


def bare_or_missing(prefix: str, identity: str, noun: str) -> str:
    """The UUID of an id that a person may have typed; what is no id of ours names nothing."""
    if not ids.is_valid(prefix, identity):
        raise NotFound(f"There is no {noun} {identity!r}.")
    return bare(identity)


def task_id(value: object) -> str:
    return f"task_{value}"


def worker_id(value: object) -> str:
    return f"worker_{value}"


def usage_of(value: bytes | None) -> Usage:
    return _usage.decode(value) if value else Usage()


def call_usage_of(value: bytes | None) -> CallUsage | None:
    return _call_usage.decode(value) if value else None


def timing_of(value: bytes | None) -> Timing:
    return _timing.decode(value) if value else Timing()


def error_of(row: asyncpg.Record) -> TaskError | None:
    if row["error_code"] is None:
        return None
    return TaskError(row["error_code"], row["error_message"], row["error_retryable"])


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970. Exact: the ledger keeps `run_at` in whole milliseconds."""
    return round(moment.timestamp() * 1000)


def moment(wall_ms: int) -> datetime:
    """The time of so many milliseconds since 1970."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def to_task(row: asyncpg.Record) -> Task:
    """Make a `Task` of a row of `shown_tasks`."""
    timing = timing_of(row["timing"])
    if row["finished_at"] is not None:
        total = max(0.0, (row["finished_at"] - row["created_at"]).total_seconds())
        timing = msgspec.structs.replace(timing, total=round(total, 6))
    output = row["output"]
    return Task(
        id=task_id(row["id"]),
        agent=row["agent"],
        status=Status(row["status"]),
        input=msgspec.Raw(row["input"]),
        output=msgspec.Raw(b"null" if output is None else output),
        error=error_of(row),
        attempt=row["attempt"],
        failures=row["failures"],
        losses=row["losses"],
        priority=row["priority"],
        tenant=row["tenant"],
        user=row["user_name"],
        conversation=row["conversation"],
        queue=row["queue"],
        created_at=row["created_at"],
        run_at=row["run_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        waiting_for=_waiting_for.decode(row["waiting_for"]) if row["waiting_for"] else None,
        notice=_notice.decode(row["notice"]) if row["notice"] else None,
        usage=usage_of(row["usage"]),
        timing=timing,
        metadata=msgspec.Raw(row["metadata"]),
        trace_id=row["trace_id"],
        version=row["version"],
        parent=task_id(row["parent_id"]) if row["parent_id"] else None,
    )


def to_place(row: asyncpg.Record) -> Place:
    """Make a `Place` of a row with `due`: what is due by PostgreSQL's clock is due now, whatever another clock says."""
    return Place(
        id=task_id(row["id"]),
        agent=row["claimed_as"],
        priority=row["priority"],
        tenant=row["tenant"],
        seq=row["seq"],
        run_at_ms=0 if row["due"] else milliseconds(row["run_at"]),
    )


def rounds(rows: Sequence[_T], *keys: Callable[[_T], Hashable | None]) -> Iterable[list[tuple[int, _T]]]:
    """Split a batch so that no round holds two rows of one key: the second goes after the first, and sees its outcome.

    Nearly always there is one round. Each row comes with its index in the batch.
    """
    remaining = list(enumerate(rows))
    while remaining:
        if all(_are_distinct([key(row) for _, row in remaining]) for key in keys):
            yield remaining
            return
        this_round, remaining = _first_round(remaining, keys)
        yield this_round


def _are_distinct(values: list[Hashable | None]) -> bool:
    given = [value for value in values if value is not None]
    return len(set(given)) == len(given)


def _first_round(
    rows: list[tuple[int, _T]], keys: Sequence[Callable[[_T], Hashable | None]]
) -> tuple[list[tuple[int, _T]], list[tuple[int, _T]]]:
    seen: list[set[Hashable]] = [set() for _ in keys]
    this_round: list[tuple[int, _T]] = []
    later: list[tuple[int, _T]] = []
    for index, row in rows:
        values = [key(row) for key in keys]
        if any(value in taken for value, taken in zip(values, seen, strict=True) if value is not None):
            later.append((index, row))
            continue
        for value, taken in zip(values, seen, strict=True):
            taken.add(value)
        this_round.append((index, row))
    return this_round, later


def finite(seconds: float) -> float:
    """A delay as PostgreSQL can add it: no negative, no NaN, no infinity."""
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def by_id(rows: Iterable[asyncpg.Record]) -> dict[str, Any]:
    return {str(row["id"]): row for row in rows}
