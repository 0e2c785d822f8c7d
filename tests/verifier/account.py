"""The account of a run: every accepted task, every answer, every conversation, every loss.

What concerns one errand alone is judged by oracle.py. Here stands what concerns several, or the whole.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.verifier.case import Case, Violation
from tests.verifier.errand import BOBS_CONCURRENCY, CAPPED_CONCURRENCY, Errand, Submit
from tests.verifier.histories import violations_of_histories
from tests.verifier.oracle import judge
from tests.verifier.record import LEDGER, PLANE, Answer, Entry, Hit, Record, grouped
from tests.verifier.score import Known, joined, place_of, root_of

WORKERS = ("worker.", "lone-worker.", "supervisor.", "machine.")
FORGETTING = {"valkey.killed", "valkey.restarted", "valkey.emptied", "valkey.set-back"}
EXPECTED = {"misuse": {422}, "retry": {202, 409}, "signal": {202, 409}}
REFUSING = ("postgres.", "lone-gateway.")  # and whatever closes a door
SETTLE_SECONDS = 5.0  # after a plane is back, before connections to it are
SLACK_SECONDS = 0.5
CALM_SECONDS = 30.0
CAPS: list[tuple[str, int, Callable[[Errand], bool]]] = [
    ("tenant bob", BOBS_CONCURRENCY, lambda errand: errand.tenant == "bob"),
    ("agent capped", CAPPED_CONCURRENCY, lambda errand: errand.agent == "capped"),
]


def violations_of(record: Record) -> list[Violation]:
    """All that must never happen and did."""
    cases = cases_of(record)
    found = [violation for case in cases.values() for violation in judge(case)]
    found += _strangers(record)
    found += _conversations(record, cases)
    found += violations_of_histories(record, cases)
    found += _answers(record)
    found += _unplayed(record)
    found += _unrecovered(record)
    found += _losses(record)
    found += _caps(record, cases)
    return found


def cases_of(record: Record) -> dict[str, Case]:
    """What is known of each errand, gathered. Of those that another calls, only what was called."""
    rows, children = defaultdict(list), defaultdict(list)
    for row in record.rows:
        rows[row["input"]["label"]].append(row)
        if row["parent_id"] is not None:
            children[row["parent_id"]].append(row)
    marks, sights, diary, effects = (
        grouped(record.marks, "label"),
        grouped(record.sights, "label"),
        grouped(record.diary, "task_id"),
        grouped(record.effects, "task_id"),
    )
    known = _known(record)
    plane_lost_at = [hit.healed_at for hit in record.hits if hit.kind in FORGETTING]
    cases = {}
    for label, errand in record.errands.items():
        task_ids = record.task_ids.get(label, set())
        if root_of(label) != label and not task_ids:
            continue
        cases[label] = Case(
            errand=errand,
            task_ids=task_ids,
            was_cancelled=root_of(label) in record.cancelled,
            was_replayed=label in record.replayed,
            rows=rows.get(label, []),
            shown=next((record.shown[task_id] for task_id in task_ids if task_id in record.shown), None),
            diary=[entry for task_id in task_ids for entry in diary.get(task_id, [])],
            marks=sorted((mark for mark in marks.get(label, []) if mark.task_id), key=lambda mark: mark.order),
            sights=sights.get(label, []),
            reading=record.readings.get(label),
            stream=record.streams.get(label),
            plane_lost_at=plane_lost_at,
            effects=[effect for task_id in task_ids for effect in effects.get(task_id, [])],
            children=[row for task_id in task_ids for row in children.get(task_id, [])],
            known=known,
        )
    return cases


def _known(record: Record) -> Known:
    """What the journal says, of all errands."""
    words = {place_of(effect.word): effect.word for effect in record.effects if effect.word is not None}
    said = record.histories.values()
    return Known(words, {history[n]: joined(history[: n + 1]) for history in said for n in range(len(history))})


def _strangers(record: Record) -> Iterator[Violation]:
    """The ledger has no task that no program asked for."""
    known = record.errands
    for row in record.rows:
        if row["input"]["label"] not in known:
            yield Violation(
                kind="accepted twice", label=row["input"]["label"], task_id=row["id"], text="nobody asked for it"
            )


def _conversations(record: Record, cases: dict[str, Case]) -> Iterator[Violation]:
    """One task of a conversation at a time, in the order of acceptance, which is the order of the answers."""
    if record.conversations_unfinished:
        text = f"{record.conversations_unfinished} conversations count something unfinished, and nothing is"
        yield Violation(kind="out of order", label="", text=text)
    for program in record.programs:
        if program.errands[0].conversation is None:
            continue
        known = [cases[errand.label] for errand in program.errands if cases[errand.label].diary]
        line = sorted(known, key=lambda case: case.diary[0].seq)
        asked = next((act.labels for act in program.acts if isinstance(act, Submit)), None)
        if asked is not None and [case.errand.label for case in line] != list(asked):
            text = f"accepted in the order {[case.errand.label for case in line]}, asked for one after the other as {asked}"
            yield Violation(kind="out of order", label=asked[0], text=text)
        if asked is None:  # sent at once: whichever was committed first goes first
            line = sorted(known, key=lambda case: case.first_start)
        for earlier, later in pairwise(line):
            yield from _in_turn(earlier, later)


def _in_turn(earlier: Case, later: Case) -> Iterator[Violation]:
    label, task_id = later.errand.label, next(iter(later.task_ids))
    ended = max(entry.number for entry in earlier.diary)
    began = next((entry.number for entry in later.diary if entry.status == "running"), None)
    if began is not None and began < ended:
        text = f"it was started (entry {began}) before {earlier.errand.label} had ended (entry {ended})"
        yield Violation(kind="out of order", label=label, task_id=task_id, text=text)
    if earlier.marks and later.marks:
        in_time = [mark for mark in earlier.marks if mark.attempt not in earlier.lost_attempts]
        last = max((mark.order for mark in in_time), default=0)
        first = min(mark.order for mark in later.marks)
        if first < last:
            text = f"its mark {first} came before mark {last} of {earlier.errand.label}"
            yield Violation(kind="out of order", label=label, task_id=task_id, text=text)


def _answers(record: Record) -> Iterator[Violation]:
    """Clients saw 200 and 202; 503 with Retry-After, or no answer at all, where a fault explains it."""
    is_explained = _explains_silence(record)
    refusing = [hit for hit in record.hits if hit.doors or hit.kind.startswith(REFUSING)]
    for answer in record.answers:
        allowed = EXPECTED.get(answer.what, {200, 202}) | {0, 503}
        if answer.status not in allowed or (answer.status == 503 and answer.trouble):
            text = f"{answer.what} at door {answer.door} was answered {answer.status} {answer.trouble} {answer.detail}"
            yield Violation(kind="answer", label=answer.label, text=text, at=answer.sent_at)
        if answer.status == 503 and not any(_is_near(hit, answer) for hit in refusing):
            text = f"{answer.what} at door {answer.door} was refused, and its ledger was not away: {answer.detail}"
            yield Violation(kind="answer", label=answer.label, text=text, at=answer.sent_at)
        if answer.status == 0 and not is_explained(answer):
            text = f"{answer.what} at door {answer.door} had no answer ({answer.trouble}), and nothing was done to that door"
            yield Violation(kind="answer", label=answer.label, text=text, at=answer.sent_at)


def _is_near(hit: Hit, answer: Answer) -> bool:
    return hit.began_at <= answer.answered_at and answer.sent_at <= hit.healed_at + SETTLE_SECONDS


def _explains_silence(record: Record) -> Callable[[Answer], bool]:
    """Whether an answer may be missing: something was done to its door, and no request has got through there since."""
    opened = defaultdict(list)
    for answer in record.answers:
        if answer.status in {200, 202}:
            opened[answer.door].append(answer.sent_at)
    for moments in opened.values():
        moments.sort()
    closed = defaultdict(list)
    for hit in record.hits:
        for door in hit.doors:
            later = bisect_right(opened[door], hit.healed_at)
            until = opened[door][later] if later < len(opened[door]) else float("inf")
            closed[door].append((hit.began_at, until + SLACK_SECONDS))

    def explains(answer: Answer) -> bool:
        return any(began <= answer.answered_at and answer.sent_at <= until for began, until in closed[answer.door])

    return explains


def _unplayed(record: Record) -> Iterator[Violation]:
    for number, text in record.unplayed.items():
        yield Violation(kind="lost", label=f"program {number}", text=f"its client could not play it to the end: {text}")


def _unrecovered(record: Record) -> Iterator[Violation]:
    for text in record.unrecovered:
        yield Violation(kind="not recovered", label="", text=f"what it hit did not stand up again: {text}")


def _losses(record: Record) -> Iterator[Violation]:
    """No attempt is lost in a process that nothing was done to, and that could reach one of the planes."""
    for entry, lost in _lost(record.diary):
        pid = entry.old_pid
        during = [hit for hit in record.hits if hit.began_at < entry.at and hit.healed_at + SETTLE_SECONDS > lost.at]
        if lost.quarantined and any(hit.kind.startswith(WORKERS) for hit in during):
            continue  # a process of its own dies with its worker, and takes the same ways
        killed = any(
            pid in hit.pids and hit.kind.endswith(".killed") and hit.began_at < entry.at for hit in record.hits
        )
        was_hit = killed or any(pid in hit.pids and not hit.cuts for hit in during)
        if not was_hit and not _both_planes_away(during, pid):
            text = f"attempt {entry.attempt - 1} was lost in process {pid}, and nothing was done to that process"
            yield Violation(kind="loss without cause", label="", task_id=entry.task_id, text=text, at=entry.at)


def _lost(diary: list[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Each takeover, with the start of the attempt that was lost."""
    started: dict[str, Entry] = {}
    for entry in diary:
        if (entry.old_status, entry.status) == ("running", "running"):
            yield entry, started.get(entry.task_id, entry)
        if entry.status == "running":
            started[entry.task_id] = entry


def _both_planes_away(hits: list[Hit], pid: int | None) -> bool:
    """Whether two of these faults left the process without both planes at the same time."""
    felt = [hit for hit in hits if not hit.pids or pid in hit.pids]
    return any(
        LEDGER in one.cuts
        and PLANE in other.cuts
        and one.began_at < other.healed_at + SETTLE_SECONDS
        and other.began_at < one.healed_at + SETTLE_SECONDS
        for one in felt
        for other in felt
    )


def _caps(record: Record, cases: dict[str, Case]) -> Iterator[Violation]:
    """No more run at once than a cap allows, but for a while after something was done to a worker or to a plane."""
    disturbed = [(hit.began_at, hit.healed_at + CALM_SECONDS) for hit in record.hits if not hit.doors]
    tasks = {task_id: case.errand for case in cases.values() for task_id in case.task_ids}
    for name, cap, is_under in CAPS:
        running: set[str] = set()
        for entry in record.diary:
            errand = tasks.get(entry.task_id)
            if errand is None or not is_under(errand):
                continue
            running.add(entry.task_id) if entry.status == "running" else running.discard(entry.task_id)
            if len(running) > cap and not any(began <= entry.at <= calm for began, calm in disturbed):
                text = f"{len(running)} tasks of {name} ran at once, and its cap is {cap}"
                yield Violation(kind="cap", label=errand.label, task_id=entry.task_id, text=text, at=entry.at)
