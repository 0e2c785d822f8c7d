"""How long do 1,000 and 5,000 agents of three 1-second LLM calls take in one worker process?

From the first start to the last finish, the tasks queued beforehand.
"""

import subprocess
import sys

from benchmarks import harness
from benchmarks.bare import WARM_AGENTS
from benchmarks.harness.ledger import seconds_from_first_start_to_last_finish
from benchmarks.harness.measuring import Figures
from benchmarks.harness.provider import FakeProvider, provider

NAME = "many_agents"
QUESTION = "How long do agents of three 1-second LLM calls take in one worker process?"
CALLS = 3


def dayshift(served: harness.Served, agents: int, llm: FakeProvider) -> Figures:
    harness.run(harness.configure(served, "queues.default.paused", value=True))
    ids = harness.run(harness.submit_many(served, "three_calls", [{"n": n} for n in range(agents)]))
    with harness.Meter(served, provider=llm.pid) as meter:
        harness.run(harness.request_json(served, "PUT", "/v1/settings/queues.default.paused", {"value": False}))
        seconds = harness.run(seconds_from_first_start_to_last_finish(served, ids))
    calls = agents * CALLS
    cpu_ms = meter.cpu_seconds["worker"] * 1000 / calls
    return {"seconds": seconds, "cpu_ms_per_call": cpu_ms} | meter.figures(calls)


def bare(agents: int, llm: FakeProvider) -> Figures:
    command = [sys.executable, "-m", "benchmarks.bare", "three_calls", str(agents)]
    with harness.Meter(None, provider=llm.pid) as meter:
        made = subprocess.run(
            command, env=llm.environment, cwd=harness.ROOT, stdout=subprocess.PIPE, text=True, check=True
        )
    elapsed, cpu = map(float, made.stdout.split())
    provider_us = meter.cpu_seconds["provider"] * 1e6 / ((agents + WARM_AGENTS) * CALLS)
    return {"seconds": elapsed, "cpu_ms_per_call": cpu * 1000 / (agents * CALLS), "provider_cpu_us": provider_us}


def ask(effort: harness.Effort) -> harness.Report:
    lines: list[harness.Line] = []
    report = harness.Report(
        name=NAME,
        question=QUESTION,
        lines=lines,
        floor="the same calls by the same shared clients under bare asyncio (uvloop), nothing kept",
    )
    with provider(latency_seconds=effort.of(10, 1) / 10) as llm:
        for agents in (effort.of(1_000, 30), effort.of(5_000, 60)):
            with harness.serve(gateways=1, workers=1, slots=agents, variables=llm.variables) as served:
                dayshift(served, WARM_AGENTS, llm)  # the SDK is imported by the first
                cases = harness.repeat(
                    effort,
                    {
                        "dayshift": lambda served=served, agents=agents: dayshift(served, agents, llm),
                        "bare asyncio": lambda agents=agents: bare(agents, llm),
                    },
                )
            ours, floor = cases.values()
            lines += [
                harness.line(f"{agents:,} agents", "s", ours, "seconds", floor=floor),
                harness.line(f"{agents:,} agents", "ms CPU/call", ours, "cpu_ms_per_call", floor=floor),
            ]
            report.with_runs({f"{agents} agents, {name}": case for name, case in cases.items()})
    return report.with_runs({}, calls_an_agent=CALLS, journal="on", log_level="info", telemetry="on")
