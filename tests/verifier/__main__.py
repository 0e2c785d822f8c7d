"""`python -m tests.verifier --seed N --programs N --minutes M --faults all|fast|none|LIST`: see docs/howto/verify.md."""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from tests.verifier.oracle import Violation
from tests.verifier.report import text_of
from tests.verifier.run import Options, judge_again, verify

SHOWN = 20


def main() -> int:
    given = _arguments()
    if given.judge:
        return _tell(given.judge, *judge_again(given.judge))
    folder = Path(given.folder or f".verifier/{time.strftime('%m%d-%H%M%S')}-seed-{given.seed}").resolve()
    folder.mkdir(parents=True)
    options = Options(
        seed=given.seed, programs=given.programs, minutes=given.minutes, faults=given.faults, every_seconds=given.every
    )
    began = time.monotonic()

    def say(text: str) -> None:
        if not given.quiet:
            print(f"{time.monotonic() - began:7.1f}  {text}", file=sys.stderr, flush=True)

    return _tell(folder, *asyncio.run(verify(options, folder, say)))


def _tell(folder: Path, figures: dict[str, Any], violations: list[Violation]) -> int:
    print(text_of(figures))
    for violation in violations[:SHOWN]:
        print(f"\n{violation.kind}: {violation.label} {violation.task_id}\n    {violation.text}")
    print(f"\n{'FAILED; the evidence is' if violations else 'all accounted for; report and logs are'} in {folder}")
    return 1 if violations else 0


def _arguments() -> argparse.Namespace:
    defaults = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.verifier", description=__doc__)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--programs", type=int, default=defaults.programs)
    parser.add_argument("--minutes", type=float, default=defaults.minutes)
    parser.add_argument("--faults", default=defaults.faults, help="all, fast, none, or a list of names")
    parser.add_argument(
        "--every", type=float, default=defaults.every_seconds, help="seconds between faults, on average"
    )
    parser.add_argument("--folder", help="for logs, report and evidence; must not exist yet")
    parser.add_argument(
        "--judge", type=Path, metavar="FOLDER", help="judge the record of a run once more, and run nothing"
    )
    parser.add_argument("--quiet", action="store_true", help="do not say each fault as it happens")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
