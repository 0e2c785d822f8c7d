"""What the journal of a durable errand must say, and what it must have spared the world.

Recorded is what the ledger holds at the end. Nothing that was recorded by one attempt may have been done again by a later
one, and no attempt may have gone on with anything else than what is recorded. What was done and not yet recorded when its
process was killed is done again, and only counted; but a tool that must not be done twice is never done twice.
"""

from collections import Counter
from collections.abc import Iterator

from tests.verifier.case import IN_FLIGHT, Case, Check, Fault
from tests.verifier.score import SPOKEN, Call, Known, Once, child_of, moves_of, place, place_of, play

WORK = frozenset({"act", "asked"})


def _result(case: Case) -> Iterator[Fault]:
    """It is what the recorded words come to."""
    if case.row["status"] == "succeeded":
        end = play(case.errand.label, case.errand.score or (), case.errand.label, case.known, {})
        if end is None:
            yield "journal", f"it succeeded, and of its score there is not recorded {_unrecorded(case, case.known)}"
        elif case.row["output"] != end:
            yield "wrong result", f"its result is {case.row['output']!r}, and what is recorded comes to {end!r}"


def _unrecorded(case: Case, known: Known) -> list[str]:
    own = [place(case.errand.label, move.id) for move in moves_of(case.errand.score or ()) if isinstance(move, SPOKEN)]
    return [missing for missing in own if missing not in known.words] or ["all of what it called or heard"]


def _beliefs(case: Case) -> Iterator[Fault]:
    """Whoever acted, in whichever attempt, went on with what is recorded."""
    given: dict[str, str] = {}
    play(case.errand.label, case.errand.score or (), case.errand.label, case.known, given)
    for mark in case.marks:
        if mark.what and given.get(mark.what, mark.given) != mark.given:
            text = f"attempt {mark.attempt} came to {mark.what} with {mark.given}, and what is recorded comes to {given[mark.what]}"
            yield "journal", text


def _recorded_once(case: Case) -> Iterator[Fault]:
    """Each move has one record, by an attempt that the ledger granted."""
    for spoken_at, count in Counter(place_of(effect.word) for effect in case.effects if effect.word).items():
        if count > 1:
            yield "journal", f"{spoken_at} is recorded {count} times"
    for effect in case.effects:
        if effect.attempt not in case.starts or (effect.replayed_by or effect.attempt) not in case.starts:
            text = f"{effect.kind} {effect.name} is of attempt {effect.attempt} (replayed by {effect.replayed_by}), never granted"
            yield "journal", text
        if case.row["status"] == "succeeded" and effect.status in {"started", "unknown"}:
            yield "journal", f"it succeeded, and its {effect.kind} {effect.name} is still {effect.status}"


def _paid_once(case: Case) -> Iterator[Fault]:
    """What an attempt recorded, no later one has done again."""
    recorded_by = {place_of(effect.word): effect.attempt for effect in case.effects if effect.word}
    for mark in case.marks:
        by = recorded_by.get(place(case.errand.label, mark.what))
        if mark.kind in WORK and by is not None and mark.attempt > by:
            yield "paid twice", f"attempt {mark.attempt} did {mark.what}, which attempt {by} had recorded"


def _done_once(case: Case) -> Iterator[Fault]:
    """A tool that must not be done twice was not, but for the one act that a stopped process had on its way."""
    newest: dict[int, int] = {}
    for mark in case.marks:
        newest.setdefault(mark.attempt, mark.order)
    for move in moves_of(case.errand.score or ()):
        if isinstance(move, Once):
            acts = [mark for mark in case.marks if (mark.kind, mark.what) == ("act", move.id)]
            late = [
                act
                for act in acts
                if act.attempt in case.lost_attempts
                and any(attempt > act.attempt and order < act.order for attempt, order in newest.items())
            ]
            if len(acts) - min(len(late), IN_FLIGHT) > 1:
                yield (
                    "side effect",
                    f"{move.id} must not be done twice, and attempts {[a.attempt for a in acts]} did it",
                )


def _children(case: Case) -> Iterator[Fault]:
    """Each call has made one task, and that is the one that its record names."""
    if case.row["status"] != "succeeded":
        return
    named = {effect.id.partition("_")[2] for effect in case.effects if effect.kind == "child"}
    made = {row["id"].partition("_")[2] for row in case.children}
    if named != made:
        yield "journal", f"its journal names the children {sorted(named)}, and the ledger has {sorted(made)}"
    calls = [
        child_of(case.errand.label, move.id) for move in moves_of(case.errand.score or ()) if isinstance(move, Call)
    ]
    labels = sorted(row["input"]["label"] for row in case.children)
    if labels != sorted(calls):
        yield "journal", f"it called {sorted(calls)}, and the ledger has the children {labels}"


CHECKS_OF_SCORES: tuple[Check, ...] = (
    _result,
    _beliefs,
    _recorded_once,
    _paid_once,
    _done_once,
    _children,
)
