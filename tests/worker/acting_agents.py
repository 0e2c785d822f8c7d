"""An agent whose every act leaves a line that says who did it: `PID ATTEMPT ACT`."""

import asyncio
import os
from pathlib import Path

from dayshift import Context, agent, current, tool

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
