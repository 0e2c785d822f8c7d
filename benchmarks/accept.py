"""How many durable tasks a second do one and two gateway processes accept, one by one and by batch?

The queue is paused, so accepting is measured and not running: a task is authenticated, validated, admitted, committed and
announced to the hot plane.
"""

import json

from benchmarks import harness
from benchmarks.harness.floors import bare_table, constant_server
from benchmarks.harness.loads import closed_loop
from benchmarks.harness.measuring import Figures

NAME = "accept"
QUESTION = "How many durable tasks a second do gateways accept?"
CONNECTIONS = 64
BATCH = 1000
BATCH_CONNECTIONS = 4


def one_by_one(served: harness.Served, tasks: int) -> Figures:
    def prepare(connection: harness.Connection, number: int) -> bytes:
        return connection.encode("POST", "/v1/tasks", b'{"agent": "noop", "input": {"n": %d}}' % number)

    with harness.Meter(served) as meter:
        elapsed, took = harness.run(closed_loop(served, prepare, tasks, connections=CONNECTIONS, expected=202))
    return {"per_second": tasks / elapsed, "p99_ms": harness.percentile(took, 0.99) * 1000} | meter.figures(tasks)


def by_batch(served: harness.Served, tasks: int) -> Figures:
    body = json.dumps({"tasks": [{"agent": "noop", "input": {"n": n}} for n in range(BATCH)]}).encode()

    def prepare(connection: harness.Connection, _number: int) -> bytes:
        return connection.encode("POST", "/v1/tasks/batch", body)

    batches = tasks // BATCH
    with harness.Meter(served) as meter:
        elapsed, _ = harness.run(closed_loop(served, prepare, batches, connections=BATCH_CONNECTIONS, expected=202))
    return {"per_second": batches * BATCH / elapsed} | meter.figures(batches * BATCH)


def _of(gateways: int, effort: harness.Effort) -> dict[str, harness.Case]:
    singles, batched = effort.of(12_000, 500), effort.of(40_000, 2_000)
    with harness.serve(gateways=gateways, workers=1) as served, constant_server(gateways) as constant:
        harness.run(harness.configure(served, "queues.default.paused", value=True))
        one_by_one(served, singles // 10)  # warm
        return harness.repeat(
            effort,
            {
                "one by one": lambda: one_by_one(served, singles),
                "by batch": lambda: by_batch(served, batched),
                "constant answer": lambda: one_by_one(constant, singles),
                "bare table": lambda: harness.run(bare_table(served.database_url, batched)),
            },
        )


def ask(effort: harness.Effort) -> harness.Report:
    lines: list[harness.Line] = []
    report = harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="one by one: a constant 202 from the same HTTP stack, with as many processes; by batch: rows put into a bare "
        "table of the same PostgreSQL, 500 a statement",
    )
    for gateways in (1,) if effort.quick else (1, 2):
        cases = _of(gateways, effort)
        single, batch, constant, table = cases.values()
        who = f"{gateways} gateway{'s' * (gateways > 1)}"
        lines += [
            harness.line(f"{who}, one by one", "tasks/s", single, "per_second", floor=constant),
            harness.line(
                f"{who}, by batch of {BATCH}",
                "tasks/s",
                batch,
                "per_second",
                floor=table,
                floor_figure="inserted_per_second",
            ),
        ]
        if gateways == 1:
            lines += [
                harness.line(f"{kind}, one by one", "µs CPU/task", single, f"{kind}_cpu_us")
                for kind in ("gateway", "postgres", "valkey", "maintenance")
            ]
        report.with_runs({f"{who}, {name}": case for name, case in cases.items()})
    return report.with_runs({}, connections=CONNECTIONS, log_level="info", telemetry="on", fsync="on")
