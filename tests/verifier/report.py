"""The figures of a run, for people and as JSON, and for each violation the evidence that is needed to mend it."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from tests.verifier.case import Violation
from tests.verifier.record import Record
from tests.verifier.recovery import Recovery

NEAR_SECONDS = 40.0  # of the faults that are shown with a violation
NEVER = (
    "lost",
    "accepted twice",
    "completed twice",
    "two at once",
    "side effect",
    "out of order",
    "wrong result",
    "illegal change",
    "loss without cause",
    "not recovered",
    "stream",
    "answer",
    "cap",
    "journal",
    "paid twice",
    "history",
)


def figures_of(record: Record, violations: list[Violation], recoveries: list[Recovery]) -> dict[str, Any]:
    found = Counter(violation.kind for violation in violations)
    return {
        "programs": sum(program.kind != "probe" for program in record.programs),
        "tasks": len(record.rows),
        "attempts": sum(row["attempt"] for row in record.rows),
        "losses": sum(row["losses"] for row in record.rows),
        "faults": len(record.hits),
        "faults_by_kind": dict(sorted(Counter(hit.kind for hit in record.hits).items())),
        "recoveries": msgspec.to_builtins(recoveries),
        "answers": dict(sorted(Counter(_answer(answer.status, answer.trouble) for answer in record.answers).items())),
        "work": work_of(record),
        "violations": {kind: found[kind] for kind in NEVER},
    }


def work_of(record: Record) -> dict[str, int]:
    """What durable errands did in the world and had recorded, and what they did again.

    What was recorded and done again is a violation ("paid twice"); the rest had not been recorded when its process was hit.
    """
    spoken = Counter("llm" if effect.kind == "llm" else "acts" for effect in record.effects if effect.word)
    done = Counter(mark.kind for mark in record.marks)
    return {
        "calls_answered": sum(record.answered.values()),
        "calls_recorded": spoken["llm"],
        "calls_answered_again": sum(max(0, count - 1) for count in record.answered.values()),
        "acts_done": done["act"],
        "acts_recorded": spoken["acts"],
        "replayed": sum(effect.replayed_by is not None for effect in record.effects),
        "parked": sum(entry.status == "waiting" for entry in record.diary),
    }


def _answer(status: int, trouble: str) -> str:
    return str(status) if status else f"none: {trouble}"


def text_of(figures: dict[str, Any]) -> str:
    work = f"{figures['programs']} programs, {figures['tasks']} tasks, {figures['attempts']} attempts"
    lines = [
        f"{work} ({figures['losses']} lost with their worker), {figures['faults']} faults",
        _work_line(figures["work"], figures["violations"]["paid twice"]),
        f"answers: {', '.join(f'{count} x {what}' for what, count in figures['answers'].items())}",
        "",
        f"{'fault':30}{'times':>6}  {'recovery':8}{'of':>5}{'p50':>8}{'p99':>8}   undisturbed{'of':>5}{'p50':>8}{'p99':>8}",
    ]
    recoveries = {recovery["kind"]: recovery for recovery in figures["recoveries"]}
    for kind, count in figures["faults_by_kind"].items():
        lines.append(f"{kind:30}{count:>6}  {_recovery_line(recoveries.get(kind))}")
    lines += ["", *(f"{kind:30}{count:>6}" for kind, count in figures["violations"].items())]
    return "\n".join(lines)


def _work_line(work: dict[str, int], paid_twice: int) -> str:
    return (
        f"journal: {work['calls_recorded']} LLM calls, {work['acts_recorded']} steps and tools recorded, {work['replayed']} "
        f"replayed; {work['parked']} parks\n"
        f"paid twice: recorded {paid_twice}; answered and not yet recorded {work['calls_answered_again']} calls; "
        f"acted and not yet recorded {work['acts_done'] - work['acts_recorded']} steps and tools"
    )


def _recovery_line(known: dict[str, Any] | None) -> str:
    if known is None:
        return "nothing"
    line = f"{known['measure']:8}{known['count']:>5}{known['p50_seconds']:>8.2f}{known['p99_seconds']:>8.2f}"
    if known["undisturbed_count"]:
        p50, p99 = known["undisturbed_p50_seconds"], known["undisturbed_p99_seconds"]
        line += f"{known['undisturbed_count']:>19}{p50:>8.2f}{p99:>8.2f}"
    return line


def keep_evidence(folder: Path, record: Record, violations: list[Violation]) -> None:
    """One file a violation: the task's row, diary, marks, sights and stream, and the faults near in time."""
    evidence = folder / "violations"
    shutil.rmtree(evidence, ignore_errors=True)
    for number, violation in enumerate(violations):
        evidence.mkdir(exist_ok=True)
        path = evidence / f"{number:03}-{violation.kind.replace(' ', '-')}.json"
        path.write_text(json.dumps(_evidence(record, violation), indent=1, default=str))


def _evidence(record: Record, violation: Violation) -> dict[str, Any]:
    task_id, label = violation.task_id, violation.label
    rows = [row for row in record.rows if row["id"] == task_id or row["input"]["label"] == label]
    label = label or next((row["input"]["label"] for row in rows), "")
    entries = [entry for entry in record.diary if entry.task_id in {row["id"] for row in rows}]
    moments = [violation.at] if violation.at else [entry.at for entry in entries]
    near = [hit for hit in record.hits if any(hit.began_at - 2 <= at <= hit.healed_at + NEAR_SECONDS for at in moments)]
    return {
        "violation": msgspec.to_builtins(violation),
        "errand": msgspec.to_builtins(record.errands.get(label)),
        "rows": rows,
        "diary": msgspec.to_builtins(entries),
        "marks": [msgspec.to_builtins(mark) for mark in record.marks if mark.label == label],
        "effects": [msgspec.to_builtins(e) for e in record.effects if e.task_id in {row["id"] for row in rows}],
        "answers": [msgspec.to_builtins(answer) for answer in record.answers if answer.label == label],
        "sights": [msgspec.to_builtins(sight) for sight in record.sights if sight.label == label],
        "reading": msgspec.to_builtins(record.readings.get(label)),
        "stream": msgspec.to_builtins(record.streams.get(label)),
        "faults near in time": msgspec.to_builtins(near),
    }
