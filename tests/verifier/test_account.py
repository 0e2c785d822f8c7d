"""The verifier is believed only because it catches what is wrong: a sound run of two errands, spoiled in one place each."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.verifier.account import violations_of
from tests.verifier.errand import CAPPED_CONCURRENCY, Errand, Program, Submit, SubmitAtOnce, result_of
from tests.verifier.record import Answer, Entry, Event, Hit, Record, Sight
from tests.verifier.run import Options, judge_again, judge_run, record_run
from tests.verifier.witness import Mark

FIRST, SECOND = "1-0-0", "1-0-1"
HELD_BY, TAKEN_BY = 100, 200  # pids
STREAM_NUMBERS = 1_000_000  # second 1 of the plane's clock


def sound() -> Record:
    """A conversation of two errands. The first one's worker was killed at second 2, and another took it over."""
    errands = tuple(Errand(label=label, steps=1, conversation="talk") for label in (FIRST, SECOND))
    program = Program(
        number=0, at_seconds=0, door=0, kind="conversation", errands=errands, acts=(Submit((FIRST, SECOND)),)
    )
    record = Record(
        programs=[program], hits=[Hit(kind="worker.killed", began_at=2, over_at=2, healed_at=2, pids=(HELD_BY,))]
    )
    record.diary = [
        _entry(1, 1.0, FIRST, None, "queued"),
        _entry(2, 1.1, SECOND, None, "queued"),
        _entry(3, 1.2, FIRST, "queued", "running", attempt=1, pid=HELD_BY),
        _entry(4, 2.2, FIRST, "running", "running", attempt=2, losses=1, pid=TAKEN_BY, old_pid=HELD_BY),
        _entry(5, 3.0, FIRST, "running", "succeeded", attempt=2, losses=1, old_pid=TAKEN_BY),
        _entry(6, 3.1, SECOND, "queued", "running", attempt=1, pid=TAKEN_BY),
        _entry(7, 4.0, SECOND, "running", "succeeded", attempt=1, old_pid=TAKEN_BY),
    ]
    record.marks = [
        _mark(1, 1.3, FIRST, "begin", 1, HELD_BY),
        _mark(2, 1.4, FIRST, "effect", 1, HELD_BY),
        _mark(3, 2.3, FIRST, "begin", 2, TAKEN_BY),
        _mark(4, 2.4, FIRST, "effect", 2, TAKEN_BY),
        _mark(5, 2.5, FIRST, "end", 2, TAKEN_BY),
        _mark(6, 3.2, SECOND, "begin", 1, TAKEN_BY),
        _mark(7, 3.3, SECOND, "effect", 1, TAKEN_BY),
        _mark(8, 3.4, SECOND, "end", 1, TAKEN_BY),
    ]
    for label, ended, attempt, losses in ((FIRST, 3.0, 2, 1), (SECOND, 4.0, 1, 0)):
        record.rows.append(_row(label, ended, attempt, losses))
        record.task_ids[label] = {f"task_{label}"}
        record.shown[f"task_{label}"] = _row(label, ended, attempt, losses)
        record.sights.append(_sight(label, ended, attempt, losses))
        record.readings[label] = [
            Event(number=STREAM_NUMBERS + 10, type="task.queued", data={"attempt": 0}),
            Event(number=STREAM_NUMBERS + 20, type="agent.event", data={"attempt": 1}),
            Event(number=STREAM_NUMBERS + 30, type="task.succeeded", data={"attempt": attempt}),
        ]
        record.streams[label] = list(record.readings[label])
    record.answers = [_answer(0.9, 202)]
    return record


def _entry(number: int, at: float, label: str, old: str | None, new: str, **fields: int) -> Entry:
    known = {"attempt": 0, "failures": 0, "losses": 0, "seq": 1 if label == FIRST else 2, "old_pid": None, "pid": None}
    return Entry(number=number, at=at, task_id=f"task_{label}", old_status=old, status=new, **(known | fields))


def _mark(order: int, at: float, label: str, kind: str, attempt: int, pid: int) -> Mark:
    return Mark(order=order, at=at, kind=kind, label=label, task_id=f"task_{label}", attempt=attempt, pid=pid)


def _row(label: str, ended: float, attempt: int, losses: int) -> dict[str, object]:
    return {
        "id": f"task_{label}",
        "input": {"label": label},
        "status": "succeeded",
        "output": result_of(label, 1),
        "attempt": attempt,
        "failures": 0,
        "losses": losses,
        "created_at": 1.0,
        "finished_at": ended,
        "error_code": None,
        "error_message": None,
        "parent_id": None,
    }


def _sight(label: str, ended: float, attempt: int, losses: int) -> Sight:
    shown = _row(label, ended, attempt, losses) | {"finished_at": datetime.fromtimestamp(ended, UTC).isoformat()}
    return Sight(at=ended, via="wait", label=label, task=shown)


def _answer(sent_at: float, status: int, **fields: str) -> Answer:
    return Answer(sent_at=sent_at, answered_at=sent_at, door=0, what="submit", label=FIRST, status=status, **fields)


def _lose_the_row(record: Record) -> None:
    del record.rows[0]


def _leave_it_running(record: Record) -> None:
    record.rows[1] |= {"status": "running", "finished_at": None}


def _accept_it_twice(record: Record) -> None:
    record.task_ids[FIRST].add("task_another")


def _finish_it_twice(record: Record) -> None:
    record.diary.append(_entry(8, 5.0, SECOND, "running", "succeeded", attempt=1))


def _finish_it_once_more(record: Record) -> None:
    record.diary.append(_entry(8, 5.0, SECOND, "succeeded", "succeeded", attempt=1))


def _show_another_time(record: Record) -> None:
    record.sights[1] = _sight(SECOND, 4.2, 1, 0)


def _show_it_nowhere(record: Record) -> None:
    del record.shown[f"task_{SECOND}"]


def _refuse_in_peace(record: Record) -> None:
    record.answers.append(_answer(1.0, 503))


def _show_an_event_that_was_never_there(record: Record) -> None:
    record.readings[FIRST].insert(2, Event(number=STREAM_NUMBERS + 25, type="agent.event", data={"attempt": 2}))
    record.readings[FIRST][3] = msgspec.structs.replace(record.readings[FIRST][3], number=STREAM_NUMBERS + 30)
    record.streams[FIRST] = [event for event in record.readings[FIRST] if event.number != STREAM_NUMBERS + 25]


def _run_more_than_the_cap(record: Record) -> None:
    record.programs[0] = msgspec.structs.replace(
        record.programs[0],
        errands=tuple(
            msgspec.structs.replace(one, agent="capped", conversation=None) for one in record.programs[0].errands
        ),
        kind="batch",
    )
    crowd = [f"task_{n}" for n in range(CAPPED_CONCURRENCY + 1)]
    record.task_ids[SECOND].update(crowd)
    at = 100.0  # long after the last fault
    record.diary += [
        msgspec.structs.replace(_entry(100 + n, at, SECOND, "queued", "running", attempt=1), task_id=task_id)
        for n, task_id in enumerate(crowd)
    ]


def _show_another_end(record: Record) -> None:
    record.sights.append(Sight(at=4.5, via="stream", label=SECOND, task=record.sights[1].task | {"status": "failed"}))


def _start_the_second_first(record: Record) -> None:
    record.diary[5] = msgspec.structs.replace(record.diary[5], number=0)


def _mark_the_second_first(record: Record) -> None:
    record.marks[5] = msgspec.structs.replace(record.marks[5], order=0)


def _accept_out_of_order(record: Record) -> None:
    swapped = {f"task_{FIRST}": 2, f"task_{SECOND}": 1}
    record.diary = [msgspec.structs.replace(entry, seq=swapped[entry.task_id]) for entry in record.diary]


def _return_another_result(record: Record) -> None:
    record.rows[1]["output"] = "something else"


def _cancel_it_unasked(record: Record) -> None:
    record.rows[1] |= {"status": "cancelled"}


def _double_an_effect(record: Record) -> None:
    record.marks.append(_mark(9, 3.35, SECOND, "effect", 1, TAKEN_BY))


def _act_without_a_start(record: Record) -> None:
    record.marks.append(_mark(9, 3.35, SECOND, "begin", 2, TAKEN_BY))


def _act_in_another_process(record: Record) -> None:
    record.marks[6] = msgspec.structs.replace(record.marks[6], pid=HELD_BY)


def _go_on_after_the_loss(record: Record) -> None:
    late = [_mark(3, 2.31, FIRST, "effect", 1, HELD_BY), _mark(3, 2.32, FIRST, "end", 1, HELD_BY)]
    record.marks[3:3] = late
    record.marks = [msgspec.structs.replace(mark, order=order) for order, mark in enumerate(record.marks, 1)]


def _count_a_failure(record: Record) -> None:
    record.diary[4] = msgspec.structs.replace(record.diary[4], failures=1)


def _lose_without_cause(record: Record) -> None:
    record.hits = [Hit(kind="valkey.emptied", began_at=2, over_at=2, healed_at=2.1, cuts=("plane",))]


def _never_stand_up_again(record: Record) -> None:
    record.unrecovered.append("fault 7 lone-gateway.killed")


def _answer_500(record: Record) -> None:
    record.answers.append(_answer(1.0, 500))


def _answer_503_without_retry_after(record: Record) -> None:
    record.answers.append(_answer(1.0, 503, trouble="no Retry-After"))


def _reset_without_cause(record: Record) -> None:
    record.answers.append(_answer(1.0, 0, trouble="ReadError"))


def _repeat_an_event(record: Record) -> None:
    record.readings[FIRST].insert(1, record.readings[FIRST][0])


def _skip_an_event(record: Record) -> None:
    del record.readings[FIRST][1]


def _break_a_program_off(record: Record) -> None:
    record.unplayed["0"] = "TimeoutError"


SABOTAGE: list[tuple[Callable[[Record], None], str]] = [
    (_lose_the_row, "lost"),
    (_leave_it_running, "lost"),
    (_break_a_program_off, "lost"),
    (_accept_it_twice, "accepted twice"),
    (_show_it_nowhere, "lost"),
    (_finish_it_twice, "completed twice"),
    (_finish_it_once_more, "completed twice"),
    (_show_another_time, "completed twice"),
    (_show_another_end, "completed twice"),
    (_start_the_second_first, "out of order"),
    (_mark_the_second_first, "out of order"),
    (_accept_out_of_order, "out of order"),
    (_return_another_result, "wrong result"),
    (_cancel_it_unasked, "wrong result"),
    (_count_a_failure, "wrong result"),
    (_double_an_effect, "side effect"),
    (_act_without_a_start, "side effect"),
    (_act_in_another_process, "side effect"),
    (_go_on_after_the_loss, "two at once"),
    (_lose_without_cause, "loss without cause"),
    (_never_stand_up_again, "not recovered"),
    (_answer_500, "answer"),
    (_answer_503_without_retry_after, "answer"),
    (_reset_without_cause, "answer"),
    (_refuse_in_peace, "answer"),
    (_show_an_event_that_was_never_there, "stream"),
    (_run_more_than_the_cap, "cap"),
    (_repeat_an_event, "stream"),
    (_skip_an_event, "stream"),
]


def test_a_sound_run_has_no_violation() -> None:
    assert violations_of(sound()) == []


def test_a_recorded_run_is_judged_again_in_the_same_way(tmp_path: Path) -> None:
    record, options = sound(), Options(seed=9, programs=1)
    _double_an_effect(record)
    record_run(tmp_path, record)
    figures, violations = judge_run(options, tmp_path, record)
    assert judge_again(tmp_path) == (figures, violations)
    assert {violation.kind for violation in violations} == {"side effect"}
    assert figures["violations"]["side effect"] == len(violations)
    assert len(list((tmp_path / "violations").iterdir())) == len(violations)


@pytest.mark.parametrize(("spoil", "kind"), SABOTAGE, ids=lambda value: getattr(value, "__name__", value))
def test_each_sabotage_is_caught(spoil: Callable[[Record], None], kind: str) -> None:
    record = sound()
    spoil(record)
    assert kind in {violation.kind for violation in violations_of(record)}


def test_one_mark_on_its_way_is_explained_by_the_loss() -> None:
    record = sound()
    record.marks.insert(3, _mark(3, 2.31, FIRST, "effect", 1, HELD_BY))
    record.marks[1:2] = []
    record.marks = [msgspec.structs.replace(mark, order=order) for order, mark in enumerate(record.marks, 1)]
    assert violations_of(record) == []


def test_a_reset_is_explained_by_a_fault_of_that_door() -> None:
    record = sound()
    _reset_without_cause(record)
    record.hits.append(Hit(kind="gateway.killed", began_at=0.9, healed_at=0.9, doors=(0,)))
    assert violations_of(record) == []


def test_a_loss_is_explained_when_both_planes_were_away_at_once() -> None:
    record = sound()
    record.hits = [
        Hit(kind="valkey.frozen", began_at=1.5, healed_at=2.1, cuts=("plane",)),
        Hit(kind="postgres.frozen", began_at=1.6, healed_at=2.1, cuts=("ledger",)),
    ]
    assert violations_of(record) == []


def test_a_refusal_is_explained_by_a_ledger_that_is_away() -> None:
    record = sound()
    _refuse_in_peace(record)
    record.hits.append(Hit(kind="postgres.killed", began_at=0.9, healed_at=1.2, cuts=("ledger",)))
    assert violations_of(record) == []


def test_a_loss_in_quarantine_is_explained_by_what_was_done_to_a_worker() -> None:
    """Its process has a pid that no fault names, and lives and dies by its worker."""
    record = sound()
    record.diary[2] = msgspec.structs.replace(record.diary[2], quarantined=True)
    record.hits = [Hit(kind="lone-worker.cut-off", began_at=1.5, healed_at=2.1, pids=(4711,))]
    assert violations_of(record) == []
    record.hits = [Hit(kind="maintenance.killed", began_at=1.5, healed_at=2.1, pids=(4711,))]
    assert {violation.kind for violation in violations_of(record)} == {"loss without cause"}


def test_a_plane_that_forgot_explains_what_its_stream_does_not_hold() -> None:
    record = sound()
    _show_an_event_that_was_never_there(record)
    record.hits.append(Hit(kind="valkey.emptied", began_at=2.5, healed_at=2.6, cuts=("plane",)))
    assert violations_of(record) == []


def test_a_start_that_a_killed_worker_had_asked_for_may_come_long_after_its_death() -> None:
    """PostgreSQL was frozen when it asked, and carried it out when it thawed."""
    record = sound()
    record.hits = [Hit(kind="lone-worker.killed", began_at=-60.0, healed_at=-60.0, pids=(HELD_BY,))]
    assert violations_of(record) == []


def test_a_failure_that_meets_a_cancel_ends_its_task() -> None:
    record = sound()
    record.cancelled.add(SECOND)
    record.diary[6] = msgspec.structs.replace(record.diary[6], status="cancelled", failures=1)
    record.marks[7] = msgspec.structs.replace(record.marks[7], kind="fail")
    for view in (record.rows[1], record.shown[f"task_{SECOND}"], record.sights[1].task):
        view |= {"status": "cancelled", "failures": 1, "output": None}
    assert violations_of(record) == []
    record.diary[6] = msgspec.structs.replace(record.diary[6], status="succeeded")
    assert "illegal change" in {violation.kind for violation in violations_of(record)}


def test_what_was_sent_at_once_may_run_in_the_order_of_its_commits() -> None:
    record = sound()
    record.programs[0] = msgspec.structs.replace(record.programs[0], acts=(SubmitAtOnce((FIRST, SECOND)),))
    swapped = {f"task_{FIRST}": 2, f"task_{SECOND}": 1}
    record.diary = [msgspec.structs.replace(entry, seq=swapped[entry.task_id]) for entry in record.diary]
    assert violations_of(record) == []
    _start_the_second_first(record)
    assert "out of order" in {violation.kind for violation in violations_of(record)}


def test_an_end_that_only_the_ledger_told_may_come_before_what_its_gateway_told_late() -> None:
    record = sound()
    end = record.readings[FIRST][-1]
    record.streams[FIRST] = list(record.readings[FIRST])
    record.readings[FIRST] = [msgspec.structs.replace(end, number=end.number + 500)]
    assert violations_of(record) == []
    record.readings[FIRST] = [msgspec.structs.replace(end, number=end.number + 2_000_000)]
    assert {violation.kind for violation in violations_of(record)} == {"stream"}
