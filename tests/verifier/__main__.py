"""`python -m tests.verifier --seed N --programs N --minutes M --faults all|fast|none|LIST`: see docs/howto/verify.md."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.verifier.case import Violation
from tests.verifier.report import text_of
from tests.verifier.run import RECORD, Options, judge_again, kinds_of, verify

SHOWN = 20


def main() -> int:
    given = _arguments()
    if given.judge:
        return _tell(given.judge, *judge_again(given.judge))
    folder = given.folder or Path(f".verifier/{time.strftime('%m%d-%H%M%S')}-seed-{given.seed}").resolve()
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
    parser.add_argument("--programs", type=_positive(int), default=defaults.programs)
    parser.add_argument("--minutes", type=_positive(float), default=defaults.minutes)
    parser.add_argument("--faults", type=_faults, default=defaults.faults, help="all, fast, none, or a list of names")
    parser.add_argument(
        "--every", type=_positive(float), default=defaults.every_seconds, help="seconds between faults, on average"
    )
    parser.add_argument("--folder", type=_new_folder, help="for logs, report and evidence; must not exist yet")
    parser.add_argument(
        "--judge", type=_recorded, metavar="FOLDER", help="judge the record of a run once more, and run nothing"
    )
    parser.add_argument("--quiet", action="store_true", help="do not say each fault as it happens")
    return parser.parse_args()


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return number

    parse.__name__ = kind.__name__  # argparse names it in its own message
    return parse


def _faults(text: str) -> str:
    try:
        kinds_of(text, can_fill_disk=True)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _new_folder(text: str) -> Path:
    if Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text} is there already: name one that is to be made")
    return Path(text).resolve()


def _recorded(text: str) -> Path:
    if not (Path(text) / RECORD).is_file():
        raise argparse.ArgumentTypeError(f"{text} holds no {RECORD}: name the folder of a run")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
