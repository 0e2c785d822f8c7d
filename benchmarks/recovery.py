"""How long after the SIGKILL of one of two workers is the agent code of its tasks entered again?

Two hundred tasks run on two workers with free slots. Supervised: `dayshift serve` sees the process end. Unsupervised:
nobody does, and the lease must run out in both planes. The floor is what the design allows: 1 s and 12 s.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import harness
from dayshift.embedded import start_engines

TASKS = 200
SECONDS = 4.0


async def kill_one(served: harness.Served, witness: Path, *, seconds: float) -> dict[str, float]:
    witness.write_text("")
    ids = await harness.submit_many(served, "witnessed", [{"seconds": seconds}] * TASKS)
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


@contextlib.contextmanager
def unsupervised(witness: Path) -> Iterator[harness.Served]:
    """A gateway, maintenance and two workers that nobody supervises, as under an orchestrator."""
    with tempfile.TemporaryDirectory(prefix="dayshift-bench-") as folder, start_engines(Path(folder)) as engines:
        port = harness.free_port()
        variables = harness.environment(Path(folder), port) | {
            "DAYSHIFT_DATABASE_URL": engines.database_url,
            "DAYSHIFT_VALKEY_URL": engines.valkey_url,
            "WITNESS": str(witness),
        }
        harness.dayshift(variables, "migrate")
        log = (Path(folder) / "processes.log").open("wb")
        commands = [["gateway"], ["maintenance"]] + [["worker", str(harness.AGENTS), "--slots", "200"]] * 2
        processes = [
            subprocess.Popen([sys.executable, "-m", "dayshift", *command], env=variables, stdout=log, stderr=log)
            for command in commands
        ]
        try:
            harness.wait_until_ready(processes[0], port, Path(folder) / "processes.log")
            served = harness.admit(processes[0], port, variables, workers=2)
            yield served
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
            log.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        witness = Path(folder) / "witness.txt"
        with harness.serve(workers=2, slots=200, variables={"WITNESS": str(witness)}) as served:
            supervised = harness.repeated(lambda: asyncio.run(kill_one(served, witness, seconds=SECONDS)))
        runs = []
        for _ in range(harness.REPEATS):
            with unsupervised(witness) as served:
                runs.append(asyncio.run(kill_one(served, witness, seconds=SECONDS)))
        alone = harness.summary_of(runs)
    harness.report(
        f"How long after kill -9 of one of two workers do its share of {TASKS} tasks run again?",
        {"supervised": supervised, "unsupervised": alone},
        {"supervised_seconds": 1.0, "unsupervised_seconds": 12.0},
        {
            "supervised": supervised["median"]["entered_again_last_seconds"] / 1.0,
            "unsupervised": alone["median"]["entered_again_last_seconds"] / 12.0,
        },
        tasks=TASKS,
    )


if __name__ == "__main__":
    main()
