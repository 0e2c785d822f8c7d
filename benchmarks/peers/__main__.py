"""Ask the peers, record what they answer, and write the table and the plot.

    python -m benchmarks.peers [NAMES...] [--questions drain latency agents kill] [--repeats 3] [--scale 1.0]
                               [--lock FILE] [--report-only]

`--scale 0.05` is a trial: it prints, and records nothing. `--lock` holds a file's lock during each run, for machines
that several people measure on.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import plan, report
from benchmarks.peers.ask import peer_class
from benchmarks.peers.peer import Ask
from benchmarks.peers.runs import repeated


def main() -> None:
    """Each peer in turn; what was recorded of the others stays."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    flags = _flags()
    if flags.report_only and not report.load():
        sys.exit("nothing is recorded yet: run `python -m benchmarks.peers` first")
    for name in () if flags.report_only else flags.names or plan.PEERS:
        _ask_all(name, flags)
    if flags.scale == 1.0:
        report.write()


def _ask_all(name: str, flags: argparse.Namespace) -> None:
    for label, ask in plan.asks(name, flags.scale):
        if flags.questions and ask.question not in flags.questions:
            continue
        answer = repeated(name, ask, flags.repeats, flags.lock)
        print(f"{name:>10} {label:<20} {json.dumps(answer['median'])} {answer['errors'] or ''}", flush=True)
        if flags.scale == 1.0:
            report.record(peer_class(name), label, answer | _circumstances(ask))


def _circumstances(ask: Ask) -> dict[str, Any]:
    return {
        "tasks": ask.tasks,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "measured_at": time.strftime("%Y-%m-%d"),
    }


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="The same questions of all peers.")
    parser.add_argument(
        "names", nargs="*", type=_peer, metavar="NAME", help=f"of {', '.join(plan.PEERS)}; all by default"
    )
    parser.add_argument("--questions", nargs="+", choices=["drain", "latency", "agents", "kill"])
    parser.add_argument(
        "--repeats", type=int, choices=range(1, 100), metavar="N", default=3, help="runs of each case (3)"
    )
    parser.add_argument("--scale", type=_share, default=1.0, help="below 1: a smaller trial, which records nothing")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="hold this file's lock during each run")
    parser.add_argument("--report-only", action="store_true", help="write table and plot again, from what is recorded")
    return parser.parse_args()


def _peer(text: str) -> str:
    if text not in plan.PEERS:
        raise argparse.ArgumentTypeError(f"there is no peer {text}, but {', '.join(plan.PEERS)}")
    return text


def _share(text: str) -> float:
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return float(text)


if __name__ == "__main__":
    main()
