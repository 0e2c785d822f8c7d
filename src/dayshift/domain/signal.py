"""Which wait a signal answers (CONTRACT section 3): a repeat does nothing, and a double click never approves the next thing.

the signal names a wait      that wait has its answer     a repeat
                             it is open                   this answers it
                             it timed out                 Conflict
the signal names none        one is there and unread      a repeat: one a name is kept
                             a wait is open               this answers the first
                             one was read before          Conflict, until the agent waits for that name again
                             nobody has waited yet        it is kept for the first who does
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from dayshift.domain.errors import Conflict, NotFound


class Wait(Struct, frozen=True):
    """A wait for a signal, by its id. It is open until its answer, or its end, is in the journal."""

    id: str
    is_open: bool


class Ruling(Struct, frozen=True):
    """What becomes of a signal: it does nothing, or answers that wait, or (None) the next one of its name."""

    is_repeat: bool
    wait_id: str | None = None


def rule(name: str, waits: Sequence[Wait], said: Mapping[str | None, bool], wait_id: str | None) -> Ruling:
    """Rule on a signal.

    `waits` are the task's waits for that name in their order; `said` tells of each signal of that name which wait it
    answers (None: of none yet) and whether it is unread. Raises NotFound, Conflict.
    """
    if wait_id is not None:
        return _rule_on_named(name, {wait.id: wait for wait in waits}, said, wait_id)
    if any(said.values()):
        return Ruling(is_repeat=True)
    unanswered = [wait.id for wait in waits if wait.is_open and wait.id not in said]
    if unanswered:
        return Ruling(is_repeat=False, wait_id=unanswered[0])
    if said:
        raise Conflict(
            f"A signal {name!r} was consumed already, and the agent does not wait for another one now.",
            code="signal_consumed",
        )
    return Ruling(is_repeat=False)


def _rule_on_named(name: str, waits: Mapping[str, Wait], said: Mapping[str | None, bool], wait_id: str) -> Ruling:
    if wait_id not in waits:
        raise NotFound(f"This task has no wait for {name!r} with the id effect_{wait_id}.")
    if wait_id in said:
        return Ruling(is_repeat=True)
    if not waits[wait_id].is_open:
        raise Conflict(f"The wait for {name!r} ended before this signal came.", code="signal_consumed")
    return Ruling(is_repeat=False, wait_id=wait_id)
