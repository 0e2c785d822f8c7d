"""What does the LLM layer add to a call, against the same SDK straight to the same provider?

An open loop on a provider that answers in a second: what a call takes beyond that is ours, the SDK's and the machine's, and is
what the figures tell. What is added is the difference to the floor. Without a journal the calls go through limits, breaker and retry budget, in a process
like the floor's; with it they are those of an agent in a worker.
"""

import json
import subprocess
import sys

from benchmarks import harness
from benchmarks.harness.measuring import Figures
from benchmarks.harness.provider import FakeProvider, provider

NAME = "llm_overhead"
QUESTION = "What does the LLM layer add to a call?"
LATENCY_SECONDS = 1.0
AT_ONCE = 1e9  # so many a second that nothing lies between them
SHARES = (("p50", 0.5), ("p99", 0.99))


def alone(way: str, llm: FakeProvider, calls: int, per_second: float, valkey_url: str) -> Figures:
    """In a process of its own, straight or through the layer."""
    command = [sys.executable, "-m", "benchmarks.calling", way, str(calls), str(per_second), valkey_url]
    made = subprocess.run(command, env=llm.environment, cwd=harness.ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(made.stdout)
    return _figures(told["ms"]) | {"cpu_ms_per_call": told["cpu_ms"]}


def journaled(served: harness.Served, calls: int, per_second: float) -> Figures:
    """An agent's, in a worker."""
    asked = {"count": calls, "per_second": per_second}
    ids = harness.run(harness.submit_many(served, "open_loop", [asked]))
    (task,) = harness.run(harness.ended(served, ids))
    return _figures(task["output"])


def _figures(took_ms: list[float]) -> Figures:
    """Beyond what the provider takes."""
    return {f"{name}_ms": harness.percentile(took_ms, share) - LATENCY_SECONDS * 1000 for name, share in SHARES}


def ask(effort: harness.Effort) -> harness.Report:
    lines: list[harness.Line] = []
    report = harness.Report(
        name=NAME, question=QUESTION, lines=lines, floor="the same SDK straight to the same provider, in the same run"
    )
    with (
        provider(latency_seconds=LATENCY_SECONDS) as llm,
        harness.serve(gateways=1, workers=1, slots=10, variables=llm.variables) as served,
    ):
        limits = {"requests_per_minute": 6_000_000, "tokens_per_minute": 600_000_000}
        harness.run(harness.configure(served, "providers.openai", value={"limits": limits}))
        for label, per_second, calls in (
            ("20/s", 20, effort.of(600, 40)),
            ("100/s", 100, effort.of(3_000, 200)),
            ("1,000 at once", AT_ONCE, 1_000),
        ):
            cases = harness.repeat(
                effort,
                {
                    way: lambda way=way, calls=calls, rate=per_second: (
                        journaled(served, calls, rate)
                        if way == "journal on"
                        else alone(way, llm, calls, rate, served.valkey_url)
                    )
                    for way in ("straight", "layer", "journal on")
                },
            )
            straight, layer, journal = cases.values()
            for name, _ in SHARES:
                lines += [
                    harness.line(f"{label}, journal off, {name}", "ms", layer, f"{name}_ms", floor=straight),
                    harness.line(f"{label}, journal on, {name}", "ms", journal, f"{name}_ms", floor=straight),
                ]
            lines.append(harness.line(f"{label}, CPU", "ms/call", layer, "cpu_ms_per_call", floor=straight))
            report.with_runs({f"{label}, {name}": case for name, case in cases.items()})
    return report.with_runs({}, latency_seconds=LATENCY_SECONDS, log_level="info", telemetry="on")
