"""How long does a task take from submit to result, at 50 a second and at half of what can be done?

Open loops: a request is due each 20 ms (or so) whether or not others are back, with `Prefer: wait`, and its time counts
from when it was due. What can be done is found first, by a closed loop of the same requests.
"""

from benchmarks import harness
from benchmarks.harness.floors import bare_commits
from benchmarks.harness.loads import closed_loop, one_after_another, open_loop
from benchmarks.harness.measuring import Figures

NAME = "latency"
QUESTION = "How long does a task take from submit to result?"
RATE_PER_SECOND = 50
CONNECTIONS = 64
COMMITS_OF_A_TASK = 3  # accept, start, finish


def _submit(connection: harness.Connection, number: int) -> bytes:
    body = b'{"agent": "noop", "input": {"n": %d}}' % number
    return connection.encode("POST", "/v1/tasks", body, {"Prefer": "wait=30"})


def capacity(served: harness.Served, tasks: int) -> Figures:
    elapsed, _ = harness.run(closed_loop(served, _submit, tasks, connections=CONNECTIONS, expected=200))
    return {"per_second": tasks / elapsed}


def at_rate(served: harness.Served, per_second: float, seconds: float) -> Figures:
    with harness.Meter(served) as meter:
        answered = harness.run(open_loop(served, _submit, per_second=per_second, seconds=seconds, expected=200))
    return answered | {"rate_per_second": per_second} | meter.figures(int(per_second * seconds))


def floor(served: harness.Served, answers: int) -> Figures:
    """An empty answer of the same gateway, and after it the commits that a task needs, one after another."""
    requests = harness.run(one_after_another(served, lambda it: [it.encode("GET", "/livez")] * answers, 200))
    commits = harness.run(bare_commits(served.database_url, answers * COMMITS_OF_A_TASK))
    chains = [sum(commits[at : at + COMMITS_OF_A_TASK]) for at in range(0, len(commits), COMMITS_OF_A_TASK)]
    took = [request + chain for request, chain in zip(requests, chains, strict=True)]
    return {"p50_ms": harness.percentile(took, 0.5) * 1000, "p99_ms": harness.percentile(took, 0.99) * 1000}


def ask(effort: harness.Effort) -> harness.Report:
    seconds, tasks = effort.of(20, 2), effort.of(8_000, 300)
    with harness.serve(gateways=1, workers=1) as served:
        at_rate(served, RATE_PER_SECOND, seconds / 4)  # warm
        most = harness.repeat(effort, {"closed loop": lambda: capacity(served, tasks)})["closed loop"]
        half = most.median("per_second") / 2
        cases = harness.repeat(
            effort,
            {
                "at 50/s": lambda: at_rate(served, RATE_PER_SECOND, seconds),
                "at half of capacity": lambda: at_rate(served, half, seconds * 0.6),
                "floor": lambda: floor(served, effort.of(1_000, 100)),
            },
        )
    slow, fast, least = cases.values()
    lines = [
        harness.line(f"{name}, {share}", "ms", case, f"{share}_ms", floor=least)
        for name, case in ((f"at {RATE_PER_SECOND}/s", slow), ("at half of capacity", fast))
        for share in ("p50", "p99")
    ]
    lines.append(harness.line(f"capacity, {CONNECTIONS} clients that wait", "tasks/s", most, "per_second"))
    return harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="GET /livez of the same gateway and three single-row commits in the same PostgreSQL, one after another, idle",
    ).with_runs({"capacity": most} | cases, half_of_capacity_per_second=half, log_level="info", telemetry="on")
