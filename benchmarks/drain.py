"""How many no-op tasks a second do one and two worker processes finish, queued beforehand?

From the first start to the last finish by the ledger's clock: claim, start, agent, finish, acknowledgement, event.
"""

from benchmarks import harness
from benchmarks.harness.floors import bare_table
from benchmarks.harness.ledger import seconds_from_first_start_to_last_finish
from benchmarks.harness.measuring import Figures

NAME = "drain"
QUESTION = "How many no-op tasks a second do workers finish?"


def drain(served: harness.Served, tasks: int) -> Figures:
    """Queue while the queue is paused, let go, and wait for the last."""
    harness.run(harness.configure(served, "queues.default.paused", value=True))
    ids = harness.run(harness.submit_many(served, "noop", [{"n": n} for n in range(tasks)]))
    with harness.Meter(served) as meter:
        harness.run(harness.request_json(served, "PUT", "/v1/settings/queues.default.paused", {"value": False}))
        seconds = harness.run(seconds_from_first_start_to_last_finish(served, ids))
    return {"per_second": tasks / seconds} | meter.figures(tasks)


def ask(effort: harness.Effort) -> harness.Report:
    tasks = effort.of(20_000, 1_000)
    lines: list[harness.Line] = []
    report = harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="the rows of a bare table of the same PostgreSQL changed twice, 500 a statement",
    )
    for workers in (1,) if effort.quick else (1, 2):
        with harness.serve(gateways=1, workers=workers) as served:
            drain(served, tasks // 10)  # warm
            cases = harness.repeat(
                effort,
                {
                    "drain": lambda served=served: drain(served, tasks),
                    "bare table": lambda served=served: harness.run(bare_table(served.database_url, tasks)),
                },
            )
        drained, table = cases.values()
        who = f"{workers} worker{'s' * (workers > 1)}"
        lines.append(
            harness.line(who, "tasks/s", drained, "per_second", floor=table, floor_figure="changed_twice_per_second")
        )
        if workers == 1:
            lines += [
                harness.line(f"{kind}", "µs CPU/task", drained, f"{kind}_cpu_us")
                for kind in ("worker", "postgres", "valkey", "gateway", "maintenance")
            ]
        report.with_runs({f"{who}, {name}": case for name, case in cases.items()})
    return report.with_runs({}, tasks=tasks, slots=100, log_level="info", telemetry="on", fsync="on")
