"""The agents without dayshift, as a floor, in a process of their own under bare asyncio; nothing is kept.

python -m benchmarks.bare three_calls N   makes the calls with shared clients; prints its seconds and CPU seconds
python -m benchmarks.bare idle N          has N coroutines wait; prints the bytes that they took
"""

import asyncio
import os
import resource
import sys
import time

import uvloop

CLIENTS = 16  # as many as ctx.openai() shares
WARM_AGENTS = 20
CONNECT_SECONDS = 120.0  # thousands at once take longer than the SDK's 5 s to connect; a floor must not fail


async def three_calls(agents: int) -> tuple[float, float]:
    from openai import AsyncOpenAI

    clients = [AsyncOpenAI(timeout=CONNECT_SECONDS) for _ in range(CLIENTS)]

    async def agent(n: int) -> int:
        for turn in range(3):
            content = f"task {n} turn {turn} of {os.getpid()}"
            await clients[n % CLIENTS].chat.completions.create(
                model="fake", messages=[{"role": "user", "content": content}]
            )
        return n

    await asyncio.gather(*map(agent, range(WARM_AGENTS)))  # as the worker's clients are
    cpu_before, began = _cpu_seconds(), time.perf_counter()
    await asyncio.gather(*map(agent, range(WARM_AGENTS, WARM_AGENTS + agents)))
    return time.perf_counter() - began, _cpu_seconds() - cpu_before


async def idle(agents: int) -> tuple[int]:
    from benchmarks.harness.measuring import private_bytes

    async def agent(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    before = private_bytes(os.getpid())
    waiting = [asyncio.create_task(agent(600.0)) for _ in range(agents)]
    await asyncio.sleep(0.1)  # all of them have begun
    after = private_bytes(os.getpid())
    for task in waiting:
        task.cancel()
    return (after - before,)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(*uvloop.run({"three_calls": three_calls, "idle": idle}[sys.argv[1]](int(sys.argv[2]))))
