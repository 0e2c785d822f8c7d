"""A worker's right to run attempts, as far as this process can know it.

The lease lives in both planes, and others may declare the worker dead once neither has heard of it for 10 s. So the
worker must stop before: when neither has confirmed a beat for 8 s, counted from the moment that the beat was *sent*, by
a clock that goes on while the machine sleeps. A blocked loop or a SIGSTOP cannot be interrupted from outside, hence the
lease is asked at every door (start, emit) and not trusted to have been told.

One object a worker id. A lost lease stays lost, whoever noticed it first: an attempt that was turned away at a door must
not find that a late beat has revived the lease, as nobody else would then take its task over. The process goes on under
a new id, with a new object.
"""

from dayshift.domain import clock

VALID_SECONDS = 8.0


class Lease:
    """Confirmed by the heartbeat's thread, asked by the event loop's; each field is written whole."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.lost_because: str | None = None
        self._confirmed_boottime = clock.boottime_seconds()
        self._held_up_boottime = float("-inf")

    def confirm(self, sent_boottime: float) -> None:
        """One of the planes answered the beat that was sent at that moment."""
        self._confirmed_boottime = max(self._confirmed_boottime, sent_boottime)

    def note_held_up(self) -> None:
        """This process could not beat for a while until now: stopped, asleep, or code kept the interpreter lock."""
        self._held_up_boottime = clock.boottime_seconds()

    @property
    def was_held_up(self) -> bool:
        """Whether this process itself, and no outage, is why no beat was confirmed any more.

        Then a task that ran may be the cause. In an outage the beats were sent, and no task is to blame.
        """
        return self._held_up_boottime > self._confirmed_boottime

    def lose(self, reason: str) -> None:
        """Give the lease up for good. The first reason stands."""
        if self.lost_because is None:
            self.lost_because = reason

    def is_valid(self) -> bool:
        """Whether this worker may still act. Once it said no, it never says yes again."""
        if self.lost_because is None and clock.boottime_seconds() - self._confirmed_boottime >= VALID_SECONDS:
            self.lose(f"confirmed by neither plane for {VALID_SECONDS:g} s")
        return self.lost_because is None
