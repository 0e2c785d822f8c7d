"""What does one effect add to what an agent does, and how long does a replay of 1,000 take?

An effect's time is measured in the agent, around a step that does nothing: 50 tasks a second do ten each. A replay's is
that of a task's second attempt, from when it was due to its recorded end, so claim, start and the load of the journal are in
it; what the agent itself saw of it is beside it.
"""

from datetime import datetime

from benchmarks import harness
from benchmarks.harness.floors import bare_commits
from benchmarks.harness.measuring import Figures

NAME = "journal"
QUESTION = "What does an effect add, and how long does a replay of 1,000 effects take?"
STEPS_A_TASK = 10
TASKS_AT_ONCE = 5
PAUSE_SECONDS = 0.1
REPLAYED = 1_000


def effects(served: harness.Served, tasks: int) -> Figures:
    """So many tasks, some at once, each a step every 100 ms."""
    took: list[float] = []
    with harness.Meter(served) as meter:
        for _ in range(0, tasks, TASKS_AT_ONCE):
            inputs = [{"count": STEPS_A_TASK, "pause": PAUSE_SECONDS}] * TASKS_AT_ONCE
            ids = harness.run(harness.submit_many(served, "steps", inputs))
            for task in harness.run(harness.ended(served, ids)):
                took += task["output"]
    shares = {f"{name}_ms": harness.percentile(took, share) * 1000 for name, share in (("p50", 0.5), ("p99", 0.99))}
    return shares | meter.figures(tasks * STEPS_A_TASK)


def replay(served: harness.Served, count: int) -> Figures:
    ids = harness.run(harness.submit_many(served, "replayed", [{"count": count}]))
    (task,) = harness.run(harness.ended(served, ids))
    assert task["attempt"] == 2, "it fails once"
    due, ended = (datetime.fromisoformat(task[name]) for name in ("run_at", "finished_at"))
    return {"whole_ms": (ended - due).total_seconds() * 1000, "agent_ms": task["output"] * 1000}


def floor(served: harness.Served, commits: int) -> Figures:
    took = harness.run(bare_commits(served.database_url, commits))
    return {"p50_ms": harness.percentile(took, 0.5) * 1000, "p99_ms": harness.percentile(took, 0.99) * 1000}


def ask(effort: harness.Effort) -> harness.Report:
    with harness.serve(gateways=1, workers=1) as served:
        effects(served, TASKS_AT_ONCE)  # warm
        cases = harness.repeat(
            effort,
            {
                "an effect": lambda: effects(served, effort.of(100, 5)),
                "one bare commit": lambda: floor(served, effort.of(1_000, 100)),
                "replay of 1,000": lambda: replay(served, effort.of(REPLAYED, 20)),
                "replay of none": lambda: replay(served, 0),
            },
        )
    one, commit, thousand, none = cases.values()
    lines = [harness.line(f"an effect, {share}", "ms", one, f"{share}_ms", floor=commit) for share in ("p50", "p99")]
    lines.append(harness.line("replay of 1,000 effects, due to recorded", "ms", thousand, "whole_ms", floor=none))
    lines.append(harness.line("replay of 1,000 effects, in the agent", "ms", thousand, "agent_ms"))
    return harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="a single-row commit in the same PostgreSQL; the second attempt of a task with no effects",
    ).with_runs(cases, log_level="info", telemetry="on")
