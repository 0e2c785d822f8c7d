"""Agents whose every act leaves a line that says who did it: `PID ATTEMPT ACT`."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from dayshift import Context, Retry, agent, current, tool

TURNS = 3
STEP_SECONDS = 1.0


@agent
async def acts(ctx: Context, log: str) -> str:
    messages = [{"role": "user", "content": f"begin {ctx.task_id}"}]
    for turn in range(TURNS):
        answer = await ctx.openai().chat.completions.create(model="m", messages=messages)
        said = await ctx.step(look_up, log, turn)
        receipt = await pay(log, turn)
        messages += [
            {"role": "assistant", "content": answer.choices[0].message.content},
            {"role": "user", "content": f"{said} {receipt}"},
        ]
    return messages[-1]["content"]


async def look_up(log: str, turn: int) -> str:
    tell(log, f"begins {turn}")
    await asyncio.sleep(STEP_SECONDS if turn == 1 else 0)
    tell(log, f"looked {turn}")
    return f"look {turn}"


@tool(idempotent=False)
async def pay(log: str, turn: int) -> str:
    tell(log, f"paid {turn}")
    return f"receipt {turn}"


def tell(log: str, act: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()} {current().attempt} {act}\n")


@agent
def plainly(ctx: Context, log: str, way: str) -> list[str]:
    """A plain function that asks a model, uses tools and takes a step, in threads or on a loop of its own; fails once."""
    result = asyncio.run(on_its_own_loop(ctx, log)) if way == "loop" else in_threads(ctx, log)
    if ctx.attempt == 1:
        raise Retry(after=0)
    return result


async def on_its_own_loop(ctx: Context, log: str) -> list[str]:
    async with AsyncOpenAI() as client:
        answers = [await client.chat.completions.create(model="m", messages=question(turn)) for turn in range(2)]
        chunks = await client.chat.completions.create(model="m", messages=question(2), stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
    looked = await ctx.gather(ctx.step(look_up, log, 0), pay(log, 0))
    return [*(answer.choices[0].message.content or "" for answer in answers), said, *looked]


def in_threads(ctx: Context, log: str) -> list[str]:
    with OpenAI() as client, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(client.chat.completions.create, model="m", messages=question(turn)) for turn in range(2)]
        answers = [one.result().choices[0].message.content or "" for one in asked]
        chunks = client.chat.completions.create(model="m", messages=question(2), stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        paid = pool.submit(pay_plainly, log, 0)
        return [*answers, said, ctx.step(look_up_plainly, log, 0), paid.result()]


def question(turn: int) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": f"plainly {turn}"}]


def look_up_plainly(log: str, turn: int) -> str:
    tell(log, f"looked {turn}")
    return f"look {turn}"


@tool(idempotent=False)
def pay_plainly(log: str, turn: int) -> str:
    tell(log, f"paid {turn}")
    return f"receipt {turn}"


@agent(strict=True, max_attempts=5)
async def strictly(ctx: Context, swallows: bool) -> str | None:
    """Asks something else in each attempt, through an SDK that would try it again, and fails in the first."""
    try:
        prompt: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"attempt {ctx.attempt}"}]
        answer = await ctx.openai().chat.completions.create(model="m", messages=prompt)
    except Exception:
        if swallows:
            return "swallowed"
        raise
    if ctx.attempt == 1:
        raise Retry(after=0)
    return answer.choices[0].message.content
