"""What the agent was handed and what is not recorded yet.

**Failures.** An error that the agent was handed, and went on from, is part of what happened: a replay must fail there
again, or the agent would go another way. The error that ended an attempt is the very thing that the next attempt is for.
Which of the two it is, only what comes next can tell; so a failure waits here until there is a next effect, or the end.

**Values** (the time, a random number) cost nothing to draw again, and matter only to what is made of them. So they wait in
the same way, and cost no commit of their own. So does a part of a stream whose reader left it: by its will, or because it failed.
"""

from datetime import datetime

from msgspec import Struct

from dayshift.domain.effect import Difference, EffectStatus
from dayshift.domain.task import Usage
from dayshift.journal.causes import causes_of
from dayshift.journal.keys import Call


class Draft(Struct, frozen=True):
    """An effect that has begun. Its id is made now, so that its outcome can be told again."""

    id: str
    call: Call
    started_at: datetime
    differs: Difference | None = None
    preview: str | None = None


class HandedOn(Struct, frozen=True):
    """To be recorded before the next effect. `error` is what a failure handed the agent; `usage` what a part did that was left.
    `undone`: recorded instead of what was written down as begun, if this ended the attempt.
    """

    draft: Draft
    status: EffectStatus
    result: bytes
    error: object | None = None
    usage: Usage | None = None
    undone: bytes | None = None

    def outlives(self, ended_by: BaseException | None, causes: set[int]) -> bool:
        """Whether it is to be recorded at the end of the attempt, when nothing was made of it."""
        if self.error is not None:
            return id(self.error) not in causes
        return self.usage is not None and ended_by is None


class Unsettled:
    """Of one attempt, in order. Not locked: its journal does that."""

    def __init__(self) -> None:
        self._waiting: list[HandedOn] = []

    def add(self, one: HandedOn) -> None:
        self._waiting.append(one)

    def take_back(self, key: bytes) -> HandedOn | None:
        """The latest failure of that key, which was handed to nobody after all."""
        for one in reversed(self._waiting):
            if one.error is not None and one.draft.call.key == key:
                self._waiting.remove(one)
                return one
        return None

    def take_all(self) -> list[HandedOn]:
        """Something is made of them now: they are to be recorded."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def end(self, ended_by: BaseException | None) -> list[tuple[Draft, bytes]]:
        """The attempt is over: keep what outlives it. Answers what is certain not to have been done, and what to record of it."""
        causes = {id(cause) for cause in causes_of(ended_by)}
        waiting, self._waiting = self._waiting, []
        undone = []
        for one in waiting:
            if one.outlives(ended_by, causes):
                self._waiting.append(one)
            elif one.undone is not None:
                undone.append((one.draft, one.undone))
        return undone
