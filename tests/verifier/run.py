"""One run from nothing to its account: schedules from the seed, a fleet of its own, the drive, the judgement."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.verifier.account import violations_of
from tests.verifier.case import Violation
from tests.verifier.driver import drive
from tests.verifier.errand import Program
from tests.verifier.fleet import Fleet
from tests.verifier.menu import MENU
from tests.verifier.plan import Kind, make_plan
from tests.verifier.programs import make_probes, make_programs
from tests.verifier.record import Record
from tests.verifier.recovery import recoveries_of
from tests.verifier.report import figures_of, keep_evidence

REPORT, RECORD = "report.json", "record.json"


class Options(Struct, frozen=True, kw_only=True):
    """`faults`: all, fast, none, or a list of names and beginnings of names: `worker,valkey.emptied`."""

    seed: int = 1
    programs: int = 250
    minutes: float = 3.0
    faults: str = "all"
    every_seconds: float = 2.5


async def verify(options: Options, folder: Path, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Violation]]:
    """The figures, and what must never happen and did. Logs, report and evidence are left in the folder."""
    seconds = options.minutes * 60
    fleet = Fleet(folder)
    programs = make_programs(options.seed, options.programs, seconds)
    probes = make_probes(options.seed, seconds)
    kinds = kinds_of(options.faults, can_fill_disk=fleet.can_fill_disk)
    plan = make_plan(options.seed, seconds, kinds, options.every_seconds)
    try:
        await fleet.start()
        say(f"ready: {len(programs)} programs and {len(plan)} faults in {seconds:.0f} s")
        record = await drive(fleet, sorted([*programs, *probes], key=_moment), plan, say)
    finally:
        await fleet.stop()
    record_run(folder, record)
    return judge_run(options, folder, record)


def record_run(folder: Path, record: Record) -> None:
    (folder / RECORD).write_bytes(msgspec.json.encode(record))


def judge_again(folder: Path) -> tuple[dict[str, Any], list[Violation]]:
    """The account of a run that was recorded before: after a change of what is judged, or of how."""
    record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    options = msgspec.convert(json.loads((folder / REPORT).read_text())["options"], Options)
    return judge_run(options, folder, record)


def judge_run(options: Options, folder: Path, record: Record) -> tuple[dict[str, Any], list[Violation]]:
    violations = violations_of(record)
    figures = {
        "options": msgspec.to_builtins(options),
        **figures_of(record, violations, recoveries_of(record)),
    }
    (folder / REPORT).write_text(json.dumps(figures, indent=1))
    keep_evidence(folder, record, violations)
    return figures, violations


def _moment(program: Program) -> float:
    return program.at_seconds


def kinds_of(wanted: str, *, can_fill_disk: bool) -> list[Kind]:
    """Those faults of the menu. Raises ValueError for a name that is none."""
    kinds = [kind for kind, _ in MENU.values() if can_fill_disk or kind.name != "postgres.disk-full"]
    if wanted == "all":
        return kinds
    if wanted == "fast":
        return [kind for kind in kinds if kind.is_fast]
    words = [] if wanted == "none" else wanted.split(",")
    for word in words:
        if not any(_is_named(kind, word) for kind in kinds):
            raise ValueError(f"there is no fault {word}, but {', '.join(kind.name for kind in kinds)}")
    return [kind for kind in kinds if any(_is_named(kind, word) for word in words)]


def _is_named(kind: Kind, word: str) -> bool:
    return kind.name == word or kind.name.startswith(f"{word}.")
