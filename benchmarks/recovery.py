"""How long after the SIGKILL of one of two workers is the agent code of its tasks entered again?

Two hundred tasks run on two workers with free slots. Supervised: `dayshift serve` sees the process end. Unsupervised:
nobody does, and the lease must run out in both planes. The floor is what the design allows: 1 s and 12 s.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import harness
from benchmarks.harness.measuring import Figures

NAME = "recovery"
QUESTION = "How long after kill -9 of one of two workers is the agent code of its tasks entered again?"
TASKS = 200
SECONDS = 4.0


def _bound(seconds: float) -> harness.Case:
    return harness.Case([{"entered_again_p50_seconds": seconds, "entered_again_last_seconds": seconds}])


BOUNDS = {"supervised": _bound(1.0), "unsupervised": _bound(12.0)}


async def kill_one(served: harness.Served, witness: Path) -> Figures:
    witness.write_text("")
    ids = await harness.submit_many(served, "witnessed", [{"seconds": SECONDS}] * TASKS)
    await _until(lambda: len(_entries(witness)) >= TASKS)
    first_of: dict[int, int] = {}
    for _task, _attempt, pid, _at in _entries(witness):
        first_of[int(pid)] = first_of.get(int(pid), 0) + 1
    victim, held = max(first_of.items(), key=lambda item: item[1])
    killed_at = time.time()
    os.kill(victim, signal.SIGKILL)
    for task_id in ids:
        task = await harness.request_json(served, "GET", f"/v1/tasks/{task_id}?wait=60")
        if task["status"] != "succeeded" or task["failures"]:
            raise RuntimeError(f"{task_id} is {task['status']} with {task['failures']} failures")
    again = sorted(float(at) - killed_at for _task, attempt, _pid, at in _entries(witness) if attempt != "1")
    if len(again) != held:
        raise RuntimeError(f"{held} tasks were lost, {len(again)} ran again")
    return {
        "lost_with_the_worker": held,
        "entered_again_p50_seconds": harness.percentile(again, 0.5),
        "entered_again_last_seconds": again[-1],
    }


def _entries(witness: Path) -> list[list[str]]:
    return [line.split() for line in witness.read_text().splitlines()]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process's file is looked at
            await asyncio.sleep(0.02)


def ask(effort: harness.Effort) -> harness.Report:
    with tempfile.TemporaryDirectory() as folder:
        witness = Path(folder) / "witness.txt"
        variables = {"WITNESS": str(witness)}
        with harness.serve(workers=2, slots=200, variables=variables) as served:
            supervised = harness.repeat(effort, {"supervised": lambda: harness.run(kill_one(served, witness))})

        def unsupervised() -> Figures:
            with harness.fleet(workers=2, slots=200, variables=variables) as served:
                return harness.run(kill_one(served, witness))

        alone = harness.repeat(effort, {"unsupervised": unsupervised})
    cases = supervised | alone
    lines = [
        harness.line(f"{name}, {which} task again", "s", case, f"entered_again_{figure}_seconds", floor=BOUNDS[name])
        for name, case in cases.items()
        for which, figure in (("the median", "p50"), ("the last", "last"))
    ]
    report = harness.Report(
        name=NAME, question=QUESTION, lines=lines, floor="not a floor but the bound that the design sets"
    )
    return report.with_runs(cases, tasks=TASKS)
