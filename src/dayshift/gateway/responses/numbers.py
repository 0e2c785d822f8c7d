"""`sequence_number`: which number each event of a response's stream has, on every gateway, and for as long as there is one.

A reader that comes back says the last number it saw (`starting_after`), perhaps to another gateway, perhaps after Valkey
was lost. It must be given what follows that event: nothing left out, nothing twice. So a number may depend on nothing that
one gateway knows alone. What all of them see alike is the task's own stream, whose events have numbers that rise for ever,
also across a loss of the plane (`domain/stream.py`). Each of its events becomes a few of ours, by a rule without choices
(`events`), and is numbered in one of two ways:

**Counted.** 0, 1, 2, ... as OpenAI counts, from the stream's beginning, which every gateway reads alike. That needs the
beginning: a stream is cut at 10,000 events, goes an hour after its end, and is gone when the plane is lost. So only the
first thousand are counted, and only in a stream that still begins where the task did.

**By the event.** From then on, or where the beginning is gone: 16 x the microseconds from 2026 to the event's own number,
plus the place among those that the event became. It can be told of each event alone.

Every number of the second kind is higher than any of the first, by far; so a reader who counted, and comes back to a
stream that lost its beginning, is given all that is there, and whoever has a number of the second kind goes on exactly
behind it. A stream that was cut has lost what came before its last 10,000 events; who counted stands before the thousandth,
and so is told again what it saw only if it is 9,000 events behind. All stay below 2**53, which JavaScript can count to, until 2043.

One event has no number of its own: the end of a task whose stream is gone is told by the ledger, and the gateway that
tells it makes a number up. In the second way an end is therefore numbered by its time in the ledger, which all see alike,
but higher than what came before it. (An end may become more than 16 events, when a model spoke on many lines at once. They
reach into microseconds in which nothing else happens: after an end comes at most a person who retries it.)
"""

import msgspec

from dayshift.domain.stream import QUEUED, SNAPSHOT, StreamEvent
from dayshift.tasks import events

MOST_COUNTED = 1_000
_SLOTS = 16
_2026_US = 1_767_225_600_000_000


class Numbers:
    """Numbers the events that the events of one stream become. Read the stream from its beginning."""

    def __init__(self) -> None:
        self._counted: int | None = None
        self._last = 0

    def of(self, event: StreamEvent, how_many: int) -> range:
        """The numbers of what this event became; call it for each event of the stream, in order."""
        if self._last == 0 and event.type == QUEUED and _attempt_of(event) == 0:
            self._counted = 0
        if event.type == SNAPSHOT or (self._counted is not None and self._counted >= MOST_COUNTED):
            self._counted = None
        moment = self._moment(event)
        self._last = moment
        if self._counted is None:
            first = (moment - _2026_US) * _SLOTS
            return range(first, first + how_many)
        first, self._counted = self._counted, self._counted + how_many
        return range(first, self._counted)

    def _moment(self, event: StreamEvent) -> int:
        if not event.is_final:
            return event.number
        finished_at = events.task_within(event).finished_at
        return event.number if finished_at is None else max(self._last + 1, int(finished_at.timestamp() * 1_000_000))


class _Stamp(msgspec.Struct):
    attempt: int


def _attempt_of(event: StreamEvent) -> int:
    return msgspec.json.decode(event.data, type=_Stamp).attempt
