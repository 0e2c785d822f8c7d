"""What one errand must have come to, in plain Python.

Each check looks at one *case* (all that is known of one errand) from one side, and yields what is wrong. A fault may cost
time, starts and steps done again. It may never cost the task, its result, its order, or its being one.

What a lost worker explains: every attempt that the ledger's diary shows as taken over may have done any of its steps, once,
and one mark of it may come after its successor's first: the one that was on its way when the process was stopped.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from tests.verifier.case import FINAL, IN_FLIGHT, Case, Check, Fault, Violation
from tests.verifier.errand import MAX_ATTEMPTS, result_of
from tests.verifier.record import Entry, Event
from tests.verifier.score_oracle import CHECKS_OF_SCORES

FINAL_EVENTS = {f"task.{status}" for status in FINAL}
NEVER_DUE_SECONDS = 600.0
SAME_MOMENT_SECONDS = 0.001
LATE_MICROSECONDS = 1_000_000  # numbers of events are microseconds
CHANGES = {
    (None, "queued"),
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "running"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "waiting"),
    ("waiting", "queued"),
    ("waiting", "running"),
    ("waiting", "cancelled"),
    ("failed", "queued"),
}
FAILING = {
    ("running", "queued"),
    ("running", "failed"),
    ("running", "cancelled"),
}  # the last when a cancel was asked for


def judge(case: Case) -> list[Violation]:
    """What is wrong with this errand."""
    task_id = next(iter(case.task_ids), "")
    faults = list(_existence(case))
    if len(case.rows) == 1:
        of_its_kind = CHECKS_OF_STEPS if case.errand.score is None else CHECKS_OF_SCORES
        faults += [fault for check in (*CHECKS, *of_its_kind) for fault in check(case)]
    return [Violation(kind=kind, label=case.errand.label, task_id=task_id, text=text) for kind, text in faults]


def _existence(case: Case) -> Iterator[Fault]:
    """What was accepted is one task, and it ends."""
    if len(case.task_ids) > 1:
        yield "accepted twice", f"one key was answered with {sorted(case.task_ids)}"
    if len(case.rows) > 1:
        yield "accepted twice", f"the ledger has {len(case.rows)} rows of it"
    if not case.task_ids:
        yield "lost", "it was never accepted"
    elif not case.rows:
        yield "lost", "it was accepted, and the ledger has no row of it"
    for row in case.rows:
        if row["status"] not in FINAL:
            yield "lost", f"it is still {row['status']} when everything is quiet"


def _result(case: Case) -> Iterator[Fault]:
    """It ended as its fields and the acts on it say."""
    row, errand = case.row, case.errand
    status = row["status"]
    if status not in FINAL:
        return
    if status == "cancelled" and not case.was_cancelled:
        yield "wrong result", "it was cancelled, and nobody asked for that"
    if status != "cancelled" and case.was_cancelled and errand.delay_seconds > NEVER_DUE_SECONDS:
        yield "wrong result", f"it was cancelled long before it was due, and it is {status}"
    if status == "succeeded" and errand.broken and not case.was_replayed:
        yield "wrong result", "it succeeded, and must fail until it is mended"
    if status == "failed":
        if not errand.broken or case.was_replayed:
            yield "wrong result", f"it failed ({row['error_code']}: {row['error_message']}), and must not"
        elif (row["error_code"], row["failures"]) != ("agent_error", MAX_ATTEMPTS):
            yield "wrong result", f"it failed as {row['error_code']} after {row['failures']} failures"


def _views(case: Case) -> Iterator[Fault]:
    """All doors show the end that the ledger shows."""
    row = case.row
    truth = {name: row[name] for name in ("status", "attempt", "failures", "losses", "output")}
    if case.shown is None:
        yield "lost", "at the end no door showed it"
    else:
        shown = {name: case.shown[name] for name in truth}
        if shown != truth:
            yield "wrong result", f"over HTTP it is {shown}, in the ledger {truth}"
    for sight in case.sights:
        if sight.task["status"] not in FINAL or (sight.task["status"] == "failed" and case.was_replayed):
            continue
        seen = {name: sight.task[name] for name in truth}
        if seen != truth:
            yield "completed twice", f"a client saw by {sight.via} that it ended as {seen}; the ledger has {truth}"
        ended_at = datetime.fromisoformat(sight.task["finished_at"]).timestamp()
        if row["finished_at"] is not None and abs(ended_at - row["finished_at"]) > SAME_MOMENT_SECONDS:
            yield (
                "completed twice",
                f"a client saw by {sight.via} that it ended at {ended_at}; the ledger has {row['finished_at']}",
            )


def _changes(case: Case) -> Iterator[Fault]:
    """Every change of the row is one that the protocol knows, and counts what it must."""
    lives = Counter((entry.old_status, entry.status) for entry in case.diary)
    if lives[("failed", "queued")] > case.was_replayed:
        yield "completed twice", "it was retried more often than anybody asked"
    endings = sum(count for (_, status), count in lives.items() if status in FINAL)
    if endings > 1 + lives[("failed", "queued")]:
        yield "completed twice", f"it ended {endings} times"
    before: Entry | None = None
    for entry in case.diary:
        if (entry.old_status, entry.status) not in CHANGES:
            yield "illegal change", f"{entry.old_status} -> {entry.status} at attempt {entry.attempt}"
        if before is not None:
            yield from _counts(before, entry)
        before = entry


def _counts(before: Entry, entry: Entry) -> Iterator[Fault]:
    change = (entry.old_status, entry.status)
    started = entry.attempt - before.attempt
    if started != (entry.status == "running"):
        yield "illegal change", f"{change} changed the attempt by {started}"
    lost = entry.losses - before.losses
    may_be_lost = change in {
        ("running", "failed"),
        ("running", "cancelled"),
    }  # found by the start that would take it over
    if lost != (change == ("running", "running")) and not (may_be_lost and lost == 1):
        yield "illegal change", f"{change} changed the losses by {lost}"
    if entry.failures > before.failures and change not in FAILING:
        yield "illegal change", f"{change} counted a failure"


def _failures(case: Case) -> Iterator[Fault]:
    """Only the agent's own failures count: each was announced to the witness by that attempt."""
    announced = {mark.attempt for mark in case.marks if mark.kind == "fail"}
    before = 0
    for entry in case.diary:
        if entry.failures > before and entry.attempt not in announced:
            yield "wrong result", f"attempt {entry.attempt} was counted as a failure, and its agent did not fail"
        before = entry.failures


def _one_at_a_time(case: Case) -> Iterator[Fault]:
    """No attempt acts once its successor has begun, beyond what was on its way."""
    newest, late = 0, Counter[int]()
    for mark in case.emitted:
        if mark.attempt < newest:
            late[mark.attempt] += 1
        newest = max(newest, mark.attempt)
    for attempt, count in late.items():
        explained = IN_FLIGHT if attempt in case.lost_attempts else 0
        if count > explained:
            yield (
                "two at once",
                f"attempt {attempt} left {count} marks after a later one had begun; {explained} explained",
            )


def _nothing_after_the_end(case: Case) -> Iterator[Fault]:
    if case.row["status"] in FINAL:
        after = [mark for mark in case.emitted if mark.at > case.row["finished_at"]]
        last_lost = case.row["attempt"] in case.lost_attempts
        if len(after) > IN_FLIGHT or (after and case.row["status"] == "succeeded" and not last_lost):
            marks = [(mark.kind, mark.attempt, mark.step, mark.what) for mark in after]
            yield "two at once", f"it had ended, and still left marks {marks}"


def _effects(case: Case) -> Iterator[Fault]:
    """Each attempt that the ledger granted does each thing at most once, in the process that holds it."""
    done = Counter((mark.kind, mark.attempt, mark.what or mark.step) for mark in case.marks)
    for (kind, attempt, what), count in done.items():
        if count > 1:
            yield "side effect", f"attempt {attempt} did {kind} {what} {count} times"
    for attempt in {mark.attempt for mark in case.marks}:
        marks = [mark for mark in case.marks if mark.attempt == attempt]
        start = case.starts.get(attempt)
        if start is None:
            yield "side effect", f"attempt {attempt} acted, and the ledger never granted it"
        elif any(mark.pid != start.pid for mark in marks):
            yield "side effect", f"attempt {attempt} was granted to {start.pid}, and {[m.pid for m in marks]} acted"
    if case.row["status"] == "succeeded":
        ends = [mark for mark in case.marks if (mark.attempt, mark.kind) == (case.row["attempt"], "end")]
        if len(ends) != 1:
            yield "side effect", f"the attempt that succeeded said {len(ends)} times that it ends"


def _steps(case: Case) -> Iterator[Fault]:
    """Without a journal each attempt does all steps, in order."""
    steps_by_attempt = defaultdict(list)
    for mark in case.marks:
        if mark.kind == "effect":
            steps_by_attempt[mark.attempt].append(mark.step)
    for attempt, steps in steps_by_attempt.items():
        if steps != list(range(len(steps))):
            yield "side effect", f"attempt {attempt} did its steps in the order {steps}"
    row, errand = case.row, case.errand
    if row["status"] == "succeeded":
        last = steps_by_attempt[row["attempt"]]
        if len(last) != errand.steps:
            yield "side effect", f"the attempt that succeeded did {len(last)} of {errand.steps} steps"
        if row["output"] != result_of(errand.label, errand.steps):
            yield "wrong result", f"its result is {row['output']!r}"


def _stream(case: Case) -> Iterator[Fault]:
    """What was read live, over all its hang-ups: in order, without gap or repeat, to one end."""
    read = case.reading
    if read is None:
        return
    numbers = [event.number for event in read]
    if numbers != sorted(set(numbers)):
        yield "stream", f"its numbers do not rise: {numbers}"
    endings = [event.type for event in read if event.type in FINAL_EVENTS]
    if len(endings) > 1 or (endings and read[-1].type != endings[0]):
        yield "stream", f"it has the ends {endings}"
    attempts = [event.data["attempt"] for event in read if event.type == "agent.event"]
    if attempts != sorted(attempts):
        yield "stream", f"attempts speak out of turn: {attempts}"
    if case.stream:
        began_at = read[0].number / 1_000_000 if read else 0.0  # numbers are the plane's clock
        was_lost = any(lost_at >= began_at for lost_at in case.plane_lost_at)
        yield from _against_the_whole(read, case.stream, plane_was_lost=was_lost)


def _against_the_whole(read: list[Event], whole: list[Event], *, plane_was_lost: bool) -> Iterator[Fault]:
    """What stands in the stream now was read, and the other way round; but an end may be told from the ledger alone.

    Then it comes at its own moment, and what reached the stream within a moment before (its gateway was cut off from the
    plane until then) may have come after the reader's last look.
    """
    if not read:
        return
    had, stands = {event.number for event in read}, {event.number for event in whole}
    is_over = read[-1].type in FINAL_EVENTS
    seen_until = max(had) - (LATE_MICROSECONDS if is_over and read[-1].number not in stands else 0)
    missing = [
        (event.number, event.type)
        for event in whole
        if event.number not in had
        and event.number < seen_until
        and event.type != "task.snapshot"
        and not (is_over and event.type in FINAL_EVENTS)
    ]
    if missing:
        yield "stream", f"it skipped {missing}"
    ends = {event.type for event in whole if event.type in FINAL_EVENTS}
    gone = [(event.number, event.type) for event in read if event.number not in stands and event.type not in ends]
    if gone and not plane_was_lost:
        yield "stream", f"it showed {gone}, which the stream does not hold"


CHECKS: tuple[Check, ...] = (
    _result,
    _views,
    _changes,
    _failures,
    _one_at_a_time,
    _nothing_after_the_end,
    _effects,
    _stream,
)
CHECKS_OF_STEPS: tuple[Check, ...] = (_steps,)
