"""The journal's judge is believed only because it catches what is wrong: a sound durable run, spoiled in one place each.

A parent says something in its conversation, acts, calls a child amid two branches, sleeps, and uses a tool that must not be
done twice. Its first attempt was lost after that tool had begun; its second one was parked; its third one ended it.
"""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from tests.verifier.account import violations_of
from tests.verifier.errand import Errand, Program, Submit
from tests.verifier.record import Entry, Hit, Record, Recorded
from tests.verifier.score import (
    Ask,
    Call,
    Gather,
    Known,
    Once,
    Say,
    Sleep,
    Step,
    child_of,
    place,
    place_of,
    play,
    word,
)
from tests.verifier.witness import Mark

PARENT = "1-0-0"
CHILD = child_of(PARENT, "m5")
TALK = "talk-1-0"
KILLED, TAKER = 100, 200  # pids
INNER = (Ask(id="m1", is_streamed=True),)
SCORE = (
    Say(id="m1"),
    Step(id="m2", ms=1),
    Gather(
        id="m3",
        branches=(
            (Ask(id="m4", is_streamed=False),),
            (Call(id="m5", agent="durable", score=INNER), Sleep(id="m6", ms=2000)),
        ),
    ),
    Once(id="m7", ms=1),
)
ERRAND = Errand(label=PARENT, agent="durable", score=SCORE, conversation=TALK)
WORDS = {
    place_of(spoken): spoken
    for spoken in (word(PARENT, "m2", 2), word(PARENT, "m4", 3), word(CHILD, "m1", 6), word(PARENT, "m7", 10))
}
KNOWN = Known(WORDS, {place(PARENT, "m1"): place(PARENT, "m1")})


def sound() -> Record:
    given: dict[str, str] = {}
    output = play(PARENT, SCORE, PARENT, KNOWN, given)
    inner = play(CHILD, INNER, CHILD, KNOWN, {})
    program = Program(number=0, at_seconds=0, door=0, kind="talk", errands=(ERRAND,), acts=(Submit((PARENT,)),))
    record = Record(programs=[program], histories={TALK: [place(PARENT, "m1")]}, answered=dict.fromkeys(WORDS, 1))
    record.hits = [Hit(kind="worker.killed", began_at=2, over_at=2, healed_at=2, pids=(KILLED,))]
    record.diary = [
        _entry(1, 1.0, PARENT, None, "queued"),
        _entry(2, 1.1, PARENT, "queued", "running", attempt=1, pid=KILLED),
        _entry(3, 1.5, CHILD, None, "queued"),
        _entry(4, 2.1, PARENT, "running", "running", attempt=2, losses=1, pid=TAKER, old_pid=KILLED),
        _entry(5, 2.2, CHILD, "queued", "running", attempt=1, pid=TAKER),
        _entry(6, 2.6, PARENT, "running", "waiting", attempt=2, losses=1, old_pid=TAKER),
        _entry(7, 3.0, CHILD, "running", "succeeded", attempt=1, old_pid=TAKER),
        _entry(8, 3.1, PARENT, "waiting", "queued", attempt=2, losses=1),
        _entry(9, 3.2, PARENT, "queued", "running", attempt=3, losses=1, pid=TAKER),
        _entry(10, 4.0, PARENT, "running", "succeeded", attempt=3, losses=1, old_pid=TAKER),
    ]
    record.marks = [
        _mark(1, 1.2, PARENT, "begin", 1, KILLED),
        _mark(2, 1.3, PARENT, "act", 1, KILLED, "m2", given["m2"]),
        _mark(3, 1.4, PARENT, "asked", 1, KILLED, "m4", given["m4"]),
        _mark(4, 2.15, PARENT, "begin", 2, TAKER),
        _mark(5, 2.3, CHILD, "begin", 1, TAKER),
        _mark(6, 2.4, CHILD, "asked", 1, TAKER, "m1", CHILD),
        _mark(7, 2.9, CHILD, "end", 1, TAKER),
        _mark(8, 3.3, PARENT, "begin", 3, TAKER),
        _mark(10, 3.4, PARENT, "act", 3, TAKER, "m7", given["m7"]),
        _mark(11, 3.5, PARENT, "end", 3, TAKER),
    ]
    record.effects = [
        _recorded(PARENT, "append", 1, replayed_by=3),
        _recorded(PARENT, "step", 1, spoken=WORDS[place(PARENT, "m2")], replayed_by=3),
        _recorded(PARENT, "llm", 1, spoken=WORDS[place(PARENT, "m4")], replayed_by=3),
        _recorded(PARENT, "child", 2, identity=f"effect_{CHILD}", replayed_by=3),
        _recorded(PARENT, "sleep", 3),
        _recorded(PARENT, "tool", 3, spoken=WORDS[place(PARENT, "m7")]),
        _recorded(CHILD, "llm", 1, spoken=WORDS[place(CHILD, "m1")]),
    ]
    for label, parent, attempt, losses, result, ended in (
        (PARENT, None, 3, 1, output, 4.0),
        (CHILD, f"task_{PARENT}", 1, 0, inner, 3.0),
    ):
        row = {"id": f"task_{label}", "input": {"label": label}, "status": "succeeded", "output": result}
        row |= {"attempt": attempt, "failures": 0, "losses": losses, "created_at": 1.0, "finished_at": ended}
        row |= {"error_code": None, "error_message": None, "parent_id": parent}
        record.rows.append(row)
        record.shown[f"task_{label}"] = dict(row)
        record.task_ids[label] = {f"task_{label}"}
    return record


def _entry(number: int, at: float, label: str, old: str | None, new: str, **fields: int) -> Entry:
    known = {"attempt": 0, "failures": 0, "losses": 0, "seq": 1, "old_pid": None, "pid": None}
    return Entry(number=number, at=at, task_id=f"task_{label}", old_status=old, status=new, **(known | fields))


def _mark(
    order: int, at: float, label: str, kind: str, attempt: int, pid: int, what: str = "", given: str = ""
) -> Mark:
    return Mark(
        order=order, at=at, kind=kind, label=label, task_id=f"task_{label}", attempt=attempt, pid=pid, what=what, given=given
    )  # fmt: skip


def _recorded(
    label: str,
    kind: str,
    attempt: int,
    *,
    spoken: str | None = None,
    identity: str = "effect_",
    replayed_by: int | None = None,
) -> Recorded:
    return Recorded(
        task_id=f"task_{label}", id=identity, kind=kind, name=kind, status="done", attempt=attempt, replayed_by=replayed_by,
        word=spoken,
    )  # fmt: skip


def _again(record: Record, what: str, attempt: int, *, given: str | None = None) -> None:
    """That attempt of the parent does once more what its journal has."""
    before = next(mark for mark in record.marks if mark.label == PARENT and mark.what == what)
    record.marks.append(
        replace(before, order=9, at=3.35, attempt=attempt, pid=TAKER, given=before.given if given is None else given)
    )


def _pay_a_recorded_call_again(record: Record) -> None:
    _again(record, "m4", 3)


def _do_a_recorded_step_again(record: Record) -> None:
    _again(record, "m2", 2)


def _do_a_tool_twice_that_must_not(record: Record) -> None:
    record.marks = [replace(mark, order=mark.order * 2) for mark in record.marks]
    second = next(mark for mark in record.marks if mark.what == "m7")
    record.marks.insert(4, replace(second, order=9, at=2.2, attempt=2))


def _go_on_with_what_is_not_recorded(record: Record) -> None:
    record.marks[8] = replace(record.marks[8], given="another chain")


def _record_another_answer(record: Record) -> None:
    record.effects[2] = replace(record.effects[2], word=word(PARENT, "m4", 77))


def _record_it_twice(record: Record) -> None:
    record.effects.append(record.effects[1])


def _record_it_never(record: Record) -> None:
    del record.effects[1]


def _leave_a_wait_open(record: Record) -> None:
    record.effects[4] = replace(record.effects[4], status="started")


def _record_by_nobody(record: Record) -> None:
    record.effects[4] = replace(record.effects[4], attempt=7)


def _make_a_child_twice(record: Record) -> None:
    record.rows.append(record.rows[1] | {"id": "task_another"})
    record.task_ids[CHILD].add("task_another")


def _make_a_child_that_no_journal_knows(record: Record) -> None:
    del record.effects[3]


def _lose_a_child(record: Record) -> None:
    record.rows[1] |= {"status": "running", "finished_at": None}


def _spoil_a_child_s_result(record: Record) -> None:
    record.rows[1]["output"] = "something else"


def _cancel_a_child_unasked(record: Record) -> None:
    record.rows[1]["status"] = "cancelled"


def _park_what_has_ended(record: Record) -> None:
    record.diary.append(_entry(11, 5.0, PARENT, "succeeded", "waiting", attempt=3, losses=1))


def _wake_without_a_start(record: Record) -> None:
    record.diary[7] = replace(record.diary[7], attempt=3)


def _say_it_twice(record: Record) -> None:
    record.histories[TALK] *= 2


def _say_nothing(record: Record) -> None:
    record.histories[TALK] = []


SABOTAGE: list[tuple[Callable[[Record], None], str]] = [
    (_pay_a_recorded_call_again, "paid twice"),
    (_do_a_recorded_step_again, "paid twice"),
    (_do_a_tool_twice_that_must_not, "side effect"),
    (_go_on_with_what_is_not_recorded, "journal"),
    (_record_another_answer, "wrong result"),
    (_record_it_twice, "journal"),
    (_record_it_never, "journal"),
    (_leave_a_wait_open, "journal"),
    (_record_by_nobody, "journal"),
    (_make_a_child_twice, "accepted twice"),
    (_make_a_child_that_no_journal_knows, "journal"),
    (_lose_a_child, "lost"),
    (_spoil_a_child_s_result, "wrong result"),
    (_cancel_a_child_unasked, "wrong result"),
    (_park_what_has_ended, "illegal change"),
    (_wake_without_a_start, "illegal change"),
    (_say_it_twice, "history"),
    (_say_nothing, "history"),
]


def test_a_sound_run_has_no_violation() -> None:
    assert violations_of(sound()) == []


@pytest.mark.parametrize(("spoil", "kind"), SABOTAGE, ids=lambda value: getattr(value, "__name__", value))
def test_each_sabotage_is_caught(spoil: Callable[[Record], None], kind: str) -> None:
    record = sound()
    spoil(record)
    assert kind in {violation.kind for violation in violations_of(record)}


def test_what_was_not_recorded_when_its_process_was_killed_is_done_again() -> None:
    record = sound()
    _again(record, "m4", 2)
    record.effects[2] = replace(record.effects[2], attempt=2, word=word(PARENT, "m4", 9))
    played = Known({**WORDS, place(PARENT, "m4"): word(PARENT, "m4", 9)}, KNOWN.histories)
    given: dict[str, str] = {}
    for shown in (record.rows[0], record.shown[f"task_{PARENT}"]):
        shown["output"] = play(PARENT, SCORE, PARENT, played, given)
    record.marks = [
        replace(mark, given=given[mark.what]) if mark.label == PARENT and mark.what else mark for mark in record.marks
    ]
    assert violations_of(record) == []


def test_a_parent_that_was_cancelled_may_have_called_or_not() -> None:
    record = sound()
    record.cancelled.add(PARENT)
    for row in (*record.rows, *record.shown.values()):
        row |= {"status": "cancelled", "output": None}
    record.diary[6] = replace(record.diary[6], status="cancelled")
    record.diary[9] = replace(record.diary[9], status="cancelled")
    del record.effects[2:]
    assert violations_of(record) == []
