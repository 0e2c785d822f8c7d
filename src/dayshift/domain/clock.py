"""The only place that asks a machine for the time.

Durable times come from PostgreSQL and plane times from Valkey; what is read here serves deadlines, leases and logs.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The wall clock, as an aware UTC datetime."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """A clock for deadlines and durations: never set back, meaningless between processes."""
    return time.monotonic()


def boottime_seconds() -> float:
    """Like `monotonic_seconds`, but it goes on while the machine sleeps, as a lease at the other end does."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
