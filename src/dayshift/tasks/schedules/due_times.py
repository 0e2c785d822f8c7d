"""The due times of a schedule, as UTC: counted on, or read off a local clock by cron.

`cronsim` evaluates cron expressions as Debian's cron does. When the local clock is changed, that depends on whether an
expression names its times of day:

    minutes and hours both begin otherwise than with `*`   A time that the clock leaps over is due at the leap's end, several of
    (`30 2 * * *`: named times)                            them once. A time that the clock shows twice is due the first time.
    minutes or hours begin with `*`                        Due whenever the clock shows it: never if leapt over, twice if
    (`*/15 * * * *`: recurring ones)                       shown twice.

Recurring ones are asked for stretch by stretch between two changes of the clock, each as a zone of its own that never
changes: cronsim goes through the hours of a real zone in steps of one hour, and misses minutes where a clock is changed by half
of one (Australia/Lord_Howe).
"""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from dayshift.domain.schedules import UTC_ZONE, Times

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_FIRST_WINDOW = timedelta(hours=1)
_LEAST = timedelta(microseconds=1)
_FIELDS = 5
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def due_after(times: Times, moment: datetime) -> datetime | None:
    """The next due time; None: there is none (for cron: none within fifty years)."""
    return next(_due_times(times, moment), None)


def latest_due(times: Times, most: int, since: datetime, until: datetime) -> list[datetime]:
    """The latest `most` of the due times from `since` to `until`, both included, in order.

    Looked for in ever longer windows before `until`, so that it costs what is found and not what has gone by.
    """
    window = _FIRST_WINDOW
    while True:
        begin = since if until - since <= window else until - window
        found = deque(takewhile(lambda due: due <= until, _due_times(times, begin - _LEAST)), maxlen=most)
        if begin == since or len(found) == most:
            return list(found)
        window *= 2


def cron_fault(expression: str) -> str | None:
    """What is wrong with an expression, and what to do about it; None: nothing."""
    if len(expression.split()) != _FIELDS:
        return f"must have {_FIELDS} fields: minute hour day-of-month month day-of-week, as in 30 7 * * MON-FRI"
    try:
        CronSim(expression, _ANY_MOMENT)
    except CronSimError as error:
        where = str(error).removeprefix("Bad ")
        return (
            f"the field {where} cannot be understood or is never met; see the how-to on schedules for what cron knows"
        )
    return None


def is_time_zone(name: str) -> bool:
    """Whether the time zone database knows that name."""
    return name in _time_zones()


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _due_times(times: Times, after: datetime) -> Iterator[datetime]:
    """All due times after a moment, in order."""
    if times.at is not None:
        yield from [times.at] if times.at > after else []
    elif times.every is not None and times.start_at is not None:
        yield from _counted(times.start_at, timedelta(seconds=times.every), after)
    elif times.cron is not None:
        zone = ZoneInfo(times.time_zone or UTC_ZONE)
        yield from _by_the_clock(times.cron, zone, after)


def _counted(start: datetime, step: timedelta, after: datetime) -> Iterator[datetime]:
    due = start if after < start else start + ((after - start) // step + 1) * step
    while True:
        yield due
        due += step


def _by_the_clock(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    minutes, hours = expression.split()[:2]
    if minutes.startswith("*") or hours.startswith("*"):
        return _recurring(expression, zone, after)
    return _named(expression, zone, after)


def _named(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    for local in CronSim(expression, after.astimezone(zone)):
        due = local.astimezone(UTC)
        if due > after:  # asked in the second pass of an hour, cronsim begins with what was due in the first
            yield due


def _recurring(expression: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    seen = after.replace(microsecond=0)
    offset = _offset(zone, seen)
    while True:
        change = None
        for local in CronSim(expression, seen.astimezone(timezone(offset))):
            due = local.astimezone(UTC)
            change = _first_change(zone, offset, seen, due)
            if change is not None:
                break
            yield due
            seen = due
        if change is None:
            return
        seen, offset = change - _SECOND, _offset(zone, change)


def _first_change(zone: ZoneInfo, offset: timedelta, after: datetime, until: datetime) -> datetime | None:
    """When the zone first has another offset, up to and with `until`, to the second; None: never."""
    low = after
    while low < until:
        high = min(low + _DAY, until)
        if _offset(zone, high) != offset:
            while high - low > _SECOND:
                middle = low + (high - low) // 2 // _SECOND * _SECOND
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            return high
        low = high
    return None


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
