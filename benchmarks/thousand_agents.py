"""How long do 1,000 agents of three 1-second LLM calls take in one worker process?

Counted from the first start to the last finish, the tasks queued beforehand. Floor: the same agents under bare asyncio
with the same client against the same provider, nothing kept.
"""

import asyncio
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks import harness

AGENTS = int(os.environ.get("AGENTS", "1000"))

BARE = """
import asyncio, os, resource, time
from openai import AsyncOpenAI

CLIENTS = []

async def three_calls(n):
    client = CLIENTS[n %% len(CLIENTS)]  # shared as ctx.openai() shares them
    for turn in range(3):
        await client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": f"task {n} turn {turn} of {os.getpid()}"}])
    return n

async def main():
    CLIENTS.extend(AsyncOpenAI(max_retries=0) for _ in range(16))
    began = time.perf_counter()
    await asyncio.gather(*(three_calls(n) for n in range(%d)))
    elapsed = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(elapsed, used.ru_utime + used.ru_stime)

import uvloop
uvloop.run(main())
"""


def start_provider() -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "dayshift.fakellm", "--port", "0", "--latency", "1.0"]
    provider = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert provider.stdout is not None
    return provider, provider.stdout.readline().strip()


def bare(environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-c", BARE % AGENTS]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    elapsed, cpu = map(float, made.stdout.split())
    return {"seconds": elapsed, "cpu_ms_per_call": cpu * 1000 / (AGENTS * 3)}


async def dayshift(served: harness.Served) -> dict[str, float]:
    await harness.configure(served, "queues.default.paused", value=True)
    ids = await harness.submit_many(served, "three_calls", [{"n": n} for n in range(AGENTS)])
    worker = (await harness.request_json(served, "GET", "/v1/workers"))["data"][0]
    cpu_before = _cpu_seconds(worker["pid"])
    await harness.request_json(served, "PUT", "/v1/settings/queues.default.paused", {"value": False})
    for task_id in ids:
        task = await harness.request_json(served, "GET", f"/v1/tasks/{task_id}?wait=60")
        if task["status"] != "succeeded":
            raise RuntimeError(f"{task_id} is {task['status']}: {task['error']}")
    cpu = _cpu_seconds(worker["pid"]) - cpu_before
    tasks = [await harness.request_json(served, "GET", f"/v1/tasks/{task_id}") for task_id in ids]
    first = min(datetime.fromisoformat(task["started_at"]) for task in tasks)
    last = max(datetime.fromisoformat(task["finished_at"]) for task in tasks)
    return {"seconds": (last - first).total_seconds(), "cpu_ms_per_call": cpu * 1000 / (AGENTS * 3)}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    provider, url = start_provider()
    environment = {**os.environ, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "fake"}
    try:
        with harness.serve(gateways=1, workers=1, slots=AGENTS, variables=environment) as served:
            answer = harness.repeated(lambda: asyncio.run(dayshift(served)))
        floor = harness.repeated(lambda: bare(environment))
    finally:
        provider.terminate()
        provider.wait()
    harness.report(
        f"How long do {AGENTS} agents of three 1-second LLM calls take in one worker process?",
        answer,
        floor,
        {name: answer["median"][name] / floor["median"][name] for name in ("seconds", "cpu_ms_per_call")},
        agents=AGENTS,
        journal="not yet",
        log_level="info",
        telemetry="on",
        measured_at=time.strftime("%Y-%m-%d"),
    )


if __name__ == "__main__":
    main()
