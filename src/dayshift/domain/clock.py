"""The only place that asks a machine for the time.

Durable times come from PostgreSQL and plane times from Valkey. A process that compares them with its own wall clock
would be as wrong as its host: a worker ten minutes fast would find tasks expired that are not, and sleep through what is
due. So each process follows the ledger's clock: it learns with every pulse how far that one is ahead (`follow`), and
`now` is the ledger's time as far as it can be known here. Clocks that agree are left alone, to the quarter of a second.
"""

import time
from datetime import UTC, datetime, timedelta

AGREEING_SECONDS = 0.25

_ledger_is_ahead_seconds = 0.0


def now() -> datetime:
    """The ledger's wall clock, as an aware UTC datetime; this machine's own until the ledger has been heard."""
    return machine_now() + timedelta(seconds=_ledger_is_ahead_seconds)


def unix_ms() -> int:
    """The same in whole milliseconds since 1970, for those who count every microsecond of their own."""
    return time.time_ns() // 1_000_000 + int(_ledger_is_ahead_seconds * 1000)


def machine_now() -> datetime:
    """This machine's wall clock, right or wrong."""
    return datetime.now(UTC)


def follow(ledgers_now: datetime, round_trip_seconds: float) -> None:
    """Take note of what the ledger's clock said within a round trip that has ended just now.

    The clock was read somewhere within the round trip, so a difference that the trip explains changes nothing.
    """
    global _ledger_is_ahead_seconds  # noqa: PLW0603 - a process has one wall clock, and this is what is wrong with it
    least_seconds = (ledgers_now - machine_now()).total_seconds()
    most_seconds = least_seconds + round_trip_seconds
    if not least_seconds - AGREEING_SECONDS <= _ledger_is_ahead_seconds <= most_seconds + AGREEING_SECONDS:
        middle_seconds = (least_seconds + most_seconds) / 2
        _ledger_is_ahead_seconds = 0.0 if abs(middle_seconds) <= AGREEING_SECONDS else middle_seconds


def monotonic_seconds() -> float:
    """A clock for deadlines and durations: never set back, meaningless between processes."""
    return time.monotonic()


def boottime_seconds() -> float:
    """Like `monotonic_seconds`, but it goes on while the machine sleeps, as a lease at the other end does."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
