"""The agents that the benchmarks run."""

import asyncio
import os

from dayshift import agent


@agent(name="noop")
async def noop(n: int) -> int:
    return n


@agent(name="three_calls", timeout=600)
async def three_calls(n: int) -> int:
    """Three LLM calls of a second each, through the official client."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(max_retries=0) as client:
        for turn in range(3):
            await client.chat.completions.create(
                model="fake", messages=[{"role": "user", "content": f"task {n} turn {turn} of {os.getpid()}"}]
            )
    return n


@agent(name="idle", timeout=600)
async def idle(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
