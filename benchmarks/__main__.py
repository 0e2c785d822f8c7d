"""Ask the questions: `python -m benchmarks [NAME...] [--quick]`."""

import argparse
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks import ON_REQUEST, QUESTIONS
from benchmarks.harness.measuring import Effort
from benchmarks.harness.reporting import save
from benchmarks.harness.serving import ROOT
from benchmarks.harness.summary import table_of, why_not_published, write_into, write_summary

RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "explanation" / "performance.md"
KNOWN = (*QUESTIONS, *ON_REQUEST)


def main(arguments: list[str] | None = None) -> int:
    """0 when every question was answered."""
    parser = _parser()
    flags = parser.parse_args(arguments)
    effort = Effort(quick=flags.quick, repeats=flags.repeats or (1 if flags.quick else 3))
    answered = [_answered(name, effort, flags.results) for name in _asked(flags)]
    if flags.doc:
        refusal = why_not_published(flags.results, QUESTIONS)
        if refusal:
            parser.error(refusal)
        write_into(DOCUMENT, flags.results, KNOWN)
    print(write_summary(flags.results, KNOWN))
    return 0 if all(answered) else 1


def _asked(flags: argparse.Namespace) -> list[str]:
    """Those named; all but the long ones by default; none when only the docs are to be written."""
    return list(flags.names or (() if flags.doc else QUESTIONS))


def _answered(name: str, effort: Effort, results: Path) -> bool:
    """Ask one. A question that fails is told, and the next are asked all the same: nobody may be watching."""
    began = time.monotonic()
    try:
        report = import_module(f"benchmarks.{name}").ask(effort)
    except Exception:  # noqa: BLE001 - whatever it is, it is told
        traceback.print_exc()
        return False
    path = save(report, results, quick=effort.quick, seconds=time.monotonic() - began)
    print(f"{path}\n{table_of([report])}\n", flush=True)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ask dayshift how fast it is.")
    parser.add_argument(
        "names", nargs="*", type=_question, metavar="NAME",
        help=f"of {', '.join(QUESTIONS)} (these are asked without a name), {', '.join(ON_REQUEST)}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it works, not how fast it is")
    parser.add_argument("--repeats", type=_at_least_one, metavar="N", help="runs of each case (3; 1 with --quick)")
    parser.add_argument(
        "--results", type=_folder, default=RESULTS, metavar="FOLDER", help=f"({RESULTS.relative_to(ROOT)})"
    )
    parser.add_argument("--doc", action="store_true", help=f"put the table into {DOCUMENT.relative_to(ROOT)}")
    return parser


def _question(text: str) -> str:
    if text not in KNOWN:
        raise argparse.ArgumentTypeError(f"there is no question {text}, but {', '.join(KNOWN)}")
    return text


def _at_least_one(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of runs")
    return int(text)


def _folder(text: str) -> Path:
    """Made before anything is measured: an answer that cannot be kept is not worth half an hour."""
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be made: {error.strerror}") from None
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
