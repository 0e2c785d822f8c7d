"""What becomes of the due times that have come since somebody last looked.

One of at most a minute ago is *in time*: it always becomes a task, however the processes were busy. Those before it were
*missed*, as nobody was there to make tasks of them. Then the schedule says:

    skip   they become nothing
    one    if none is in time, the latest of them becomes a task; the others nothing
    all    each becomes a task, the latest thousand at most; the others nothing
"""

from datetime import datetime, timedelta

from msgspec import Struct

from dayshift.domain.schedules import CatchUp, Times
from dayshift.tasks.schedules.due_times import latest_due

IN_TIME_SECONDS = 60
MOST_CAUGHT_UP = 1_000

_LEAST = timedelta(microseconds=1)


class Decision(Struct, frozen=True):
    """Each of `due` becomes a task, in this order. `skipped`: the first and the last due time of those that become nothing."""

    due: list[datetime]
    skipped: tuple[datetime, datetime] | None = None


def decide(times: Times, catch_up: CatchUp, next_at: datetime, moment: datetime) -> Decision:
    """Of the due times from `next_at` on that have come by that moment."""
    in_time_from = moment - timedelta(seconds=IN_TIME_SECONDS)
    in_time = latest_due(times, IN_TIME_SECONDS + 1, max(next_at, in_time_from), moment)
    if next_at >= in_time_from:
        return Decision(in_time)
    most = _most_caught_up(catch_up, is_one_in_time=bool(in_time))
    missed = latest_due(times, most + 1, next_at, in_time_from - _LEAST)
    if len(missed) <= most:
        return Decision(missed + in_time)
    skipped, caught_up = missed[0], missed[1:]
    return Decision(caught_up + in_time, (next_at, skipped))


def _most_caught_up(catch_up: CatchUp, *, is_one_in_time: bool) -> int:
    if catch_up == "all":
        return MOST_CAUGHT_UP
    return 1 if catch_up == "one" and not is_one_in_time else 0
