"""What a gateway refuses when more comes than it can answer.

A gateway that takes everything answers everything late: its waiting requests fill the memory, each waits longer than its
client does, and the work that is done for clients that have left is missing for the others. So only so many requests are
**at work** in one process. One more is refused before its body is read, its key looked up or a dependency asked: that costs
little, and so the refused can be many times what is served. What waits is not at work: a long-poll or an open stream
holds memory, not a place, and `Request.rest` gives the place back when the wait begins. Nor is a request at work whose body is
still on its way: two slow clients with large bodies would have all places for themselves.

A request takes a place for each 4 KiB of its body, since that is what it costs: a batch of a thousand tasks is not one
task. No request takes more than half of all places, so that a large one, too, finds a moment to come in.

The bound is a number of requests, not of seconds, as that needs no clock: at a gateway's rate of a thousand and more a
second it is a wait of well under half a second. Whoever is refused is told to come back after one to four seconds, drawn
at random, so that they do not come back together.
"""

from dayshift.domain.jitter import stretched
from dayshift.gateway.problems import HttpError
from dayshift.gateway.request import Request

MOST_AT_WORK = 400
_BYTES_A_PLACE = 4096
_RETRY_AFTER_SECONDS, _RETRY_LATER_BY = 1.0, 3.0


class Shedding:
    """Counts what is at work in this process."""

    def __init__(self, most_at_work: int = MOST_AT_WORK) -> None:
        self._most = most_at_work
        self.at_work = 0

    def begin(self, request: Request) -> "Work":
        """Take the request's places. Raises `HttpError` (503) when there are none left."""
        work = Work(self, min(1 + _told_length(request) // _BYTES_A_PLACE, self._most // 2))
        work.begin()
        return work

    def take(self, places: int) -> None:
        """Count these as at work. Raises `HttpError` (503) when there are not as many left."""
        if self.at_work + places > self._most:
            raise HttpError(
                503,
                "overloaded",
                "this gateway has more requests than it can answer in time; nothing was done; repeat it after Retry-After",
                retry_after_seconds=stretched(_RETRY_AFTER_SECONDS, by=_RETRY_LATER_BY),
            )
        self.at_work += places


class Work:
    """The places of one request."""

    __slots__ = ("_is_begun", "_places", "_shedding")

    def __init__(self, shedding: Shedding, places: int) -> None:
        self._shedding = shedding
        self._places = places
        self._is_begun = False

    def begin(self) -> None:
        """Take the places, again after an end. Raises `HttpError` (503). Safe to repeat."""
        if not self._is_begun:
            self._shedding.take(self._places)
            self._is_begun = True

    def end(self) -> None:
        """Give the places back. Safe to repeat."""
        if self._is_begun:
            self._shedding.at_work -= self._places
            self._is_begun = False


def _told_length(request: Request) -> int:
    """The length that the request says its body has; 0 where it says none, or nonsense (which is refused later)."""
    told = request.header(b"content-length")
    return int(told) if told is not None and told.isdecimal() else 0
