"""The agents that the benchmarks run."""

import asyncio
import os
import time
from pathlib import Path

from dayshift import Context, Retry, agent


@agent(name="noop")
async def noop(n: int) -> int:
    return n


@agent(name="three_calls", timeout=600)
async def three_calls(ctx: Context, n: int) -> int:
    """Three LLM calls of a second each, through the official client."""
    client = ctx.openai()
    for turn in range(3):
        await client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": f"task {n} turn {turn} of {os.getpid()}"}]
        )
    return n


@agent(name="idle", timeout=600)
async def idle(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@agent(name="witnessed", timeout=600)
async def witnessed(ctx: Context, seconds: float) -> int:
    """Leave a line that survives this process, then sleep."""
    with Path(os.environ["WITNESS"]).open("a") as witness:
        witness.write(f"{ctx.task_id} {ctx.attempt} {os.getpid()} {time.time()}\n")
    await asyncio.sleep(seconds)
    return ctx.attempt


@agent(name="speaker", timeout=600)
async def speaker(ctx: Context, words: int) -> int:
    """Say one word every 100 ms."""
    for n in range(words):
        await ctx.emit("word", n=n)
        await asyncio.sleep(0.1)
    return words


def doubled(n: int) -> int:
    return 2 * n


@agent(name="journaled")
async def journaled(ctx: Context, n: int) -> int:
    """Steps after and beside each other; each tenth task waits without a worker, each twentieth for another task."""
    first = await ctx.step(doubled, n)
    await ctx.gather(ctx.step(doubled, first), ctx.step(doubled, first + 1))
    if n % 10 == 0:
        await ctx.sleep(1.0)
    if n % 20 == 0:
        await ctx.call(noop, n)
    return first


@agent(name="fails_once")
async def fails_once(ctx: Context, n: int) -> int:
    if ctx.attempt == 1:
        raise Retry(after=0.05, message="not at the first time")
    return n


async def nothing(n: int) -> int:
    return n


@agent(name="steps", timeout=600)
async def steps(ctx: Context, count: int, pause: float = 0.0) -> list[float]:
    """So many steps that do nothing, one after another; the seconds that each took."""
    took = []
    for n in range(count):
        started = time.perf_counter()
        await ctx.step(nothing, n)
        took.append(time.perf_counter() - started)
        if pause:
            await asyncio.sleep(pause)
    return took


@agent(name="replayed", timeout=600)
async def replayed(ctx: Context, count: int) -> float:
    """The same, side by side, and then fails once; the seconds that the second attempt took to come as far again."""
    started = time.perf_counter()
    await asyncio.gather(*(ctx.step(nothing, n) for n in range(count)))
    if ctx.attempt == 1:
        raise Retry(after=0.01, message="not at the first time")
    return time.perf_counter() - started


@agent(name="sleeps_until", timeout=600)
async def sleeps_until(ctx: Context, unix: float) -> float:
    """Sleep until a common moment; how many seconds later it was awake again."""
    await ctx.sleep(max(1.0, unix - ctx.now().timestamp()))
    return time.time() - unix


@agent(name="one_call", timeout=1200)
async def one_call(ctx: Context, prompt: str, mark: str) -> int:
    """One LLM call; by the mark the provider knows how long to answer. How many tokens it says it made."""
    messages = [{"role": "system", "content": prompt}, {"role": "user", "content": mark}]
    answer = await ctx.openai().chat.completions.create(model="fake", messages=messages)
    return answer.usage.completion_tokens


@agent(name="open_loop", timeout=600)
async def open_loop(count: int, per_second: float) -> list[float]:
    """LLM calls that leave when they are due; the milliseconds of each."""
    from benchmarks.calling import calls

    took, _ = await calls(count, per_second)
    return took
