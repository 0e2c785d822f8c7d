"""One run: fresh engines, one question, one peer, in a folder that is thrown away; and the repeats of it."""

import contextlib
import fcntl
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.engines import engines
from benchmarks.peers.environments import ROOT, python_of
from benchmarks.peers.peer import Ask
from benchmarks.peers.processes import kill_leftovers

LIMIT_SECONDS = 115.0
CLOSING_SECONDS = 40.0
LOG_CHARACTERS = 1500


def repeated(name: str, ask: Ask, repeats: int, lock: Path | None) -> dict[str, Any]:
    """The median of each figure and every run; an error is kept beside the runs that went well."""
    python = python_of(name)
    runs, errors, versions = [], [], {}
    for _ in range(repeats):
        with _quiet(lock):
            load = os.getloadavg()[0]
            report = run_once(python, name, ask)
        versions = report.get("versions", versions)
        if "figures" in report:
            runs.append(report["figures"] | {"load_before": round(load, 2)})
            if report["figures"].get("unfinished"):
                break  # one that does not come back need not be waited for again
        else:
            errors.append(report["error"])
    medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]} if runs else {}
    return {"median": medians, "runs": runs, "errors": errors, "versions": versions}


def run_once(python: Path, name: str, ask: Ask) -> dict[str, Any]:
    """What `ask.py` reports from the peer's environment; the floor in the same run where the question has one."""
    with tempfile.TemporaryDirectory(prefix="dayshift-peers-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        with engines(folder) as (variables, pids):
            environment = os.environ | variables | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
            report = _ask([str(python), "-m", "benchmarks.peers.ask", name], ask, environment, pids)
            if ask.question == "agents" and "figures" in report:
                report["figures"] |= _bare(python, ask, environment)
        return report


def _ask(program: list[str], ask: Ask, environment: dict[str, str], pids: list[int]) -> dict[str, Any]:
    folder = Path(environment["RUN_FOLDER"])
    command = [*program, json.dumps(vars(ask)), *map(str, pids)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        out = json.dumps({"error": f"no answer within {LIMIT_SECONDS:.0f} s"})
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(CLOSING_SECONDS)
        kill_leftovers(folder)
    report: dict[str, Any] = json.loads(out.splitlines()[-1]) if out else {"error": err[-300:]}
    if "error" in report or os.environ.get("PEERS_LOGS"):
        _show_logs(folder, err)
    return report


def _show_logs(folder: Path, err: str) -> None:
    print(err[-LOG_CHARACTERS:])
    for log in sorted(folder.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-LOG_CHARACTERS:]}")


def _bare(python: Path, ask: Ask, environment: dict[str, str]) -> dict[str, float]:
    command = [str(python), "-m", "benchmarks.peers.bare", str(ask.tasks), str(ask.calls)]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    figures: dict[str, float] = json.loads(made.stdout)
    return figures


@contextlib.contextmanager
def _quiet(lock: Path | None) -> Iterator[None]:
    """Hold a lock that others on the machine respect, for one run at a time."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
