"""What does telemetry cost?

The same processes three times: as they are (log lines at level info, metrics), at log level error (hardly a line,
metrics), and with nobody listening to their events (see untold.py). What stays in the last is making the events.
"""

import sys
from collections.abc import Sequence

from benchmarks import harness
from benchmarks.accept import one_by_one
from benchmarks.drain import drain
from benchmarks.harness.measuring import Figures
from benchmarks.harness.serving import DAYSHIFT

NAME = "telemetry"
QUESTION = "What does telemetry cost?"
UNTOLD = (sys.executable, "-m", "benchmarks.untold")


def costs(effort: harness.Effort, *, level: str, command: Sequence[str]) -> Figures:
    with harness.fleet(variables={"DAYSHIFT_LOG_LEVEL": level}, command=command) as served:
        drain(served, effort.of(2_000, 100))  # warm
        drained = drain(served, effort.of(15_000, 500))
        harness.run(harness.configure(served, "queues.default.paused", value=True))
        accepted = one_by_one(served, effort.of(6_000, 200))
    return {
        "drained_per_second": drained["per_second"],
        "worker_cpu_us": drained["worker_cpu_us"],
        "accepted_per_second": accepted["per_second"],
        "gateway_cpu_us": accepted["gateway_cpu_us"],
        "foreign_cores": max(drained["foreign_cores"], accepted["foreign_cores"]),
        "generator_cores": max(drained["generator_cores"], accepted["generator_cores"]),
    }


def ask(effort: harness.Effort) -> harness.Report:
    cases = harness.repeat(
        effort,
        {
            "log level info, metrics": lambda: costs(effort, level="info", command=DAYSHIFT),
            "log level error, metrics": lambda: costs(effort, level="error", command=DAYSHIFT),
            "nobody listens": lambda: costs(effort, level="info", command=UNTOLD),
        },
    )
    floor = cases["nobody listens"]
    lines = [
        harness.line(f"{what}, {name}", unit, case, figure, floor=floor)
        for figure, what, unit in (
            ("worker_cpu_us", "worker, a task run", "µs CPU/task"),
            ("gateway_cpu_us", "gateway, a task accepted", "µs CPU/task"),
            ("drained_per_second", "run by one worker", "tasks/s"),
            ("accepted_per_second", "accepted by one gateway", "tasks/s"),
        )
        for name, case in cases.items()
        if case is not floor
    ]
    report = harness.Report(
        name=NAME, question=QUESTION, lines=lines, floor="the same with nobody listening to the events"
    )
    return report.with_runs(cases, lines_go_to="a file")
