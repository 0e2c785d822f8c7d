"""Restate's side: one service with two handlers; an LLM call is a `ctx.run`, so that its answer is journaled."""

import os
from datetime import timedelta
from typing import TypedDict

import restate

from benchmarks.peers import model_calls, witness

model_calls.prepare()

retries = (
    restate.InvocationRetryPolicy(
        initial_interval=timedelta(milliseconds=50), exponentiation_factor=1.5, max_interval=timedelta(milliseconds=500)
    )
    if os.environ.get("VARIANT") == "best"
    else None
)
work = restate.Service("work", invocation_retry_policy=retries)


class Task(TypedDict):
    """What an agent is asked."""

    number: int
    calls: int


@work.handler()
async def noop(_ctx: restate.Context, number: int) -> int:
    """Nothing, and its number."""
    witness.enter()
    return number


@work.handler()
async def agent(ctx: restate.Context, task: Task) -> int:
    """That many journaled calls, one after another."""
    witness.enter()
    for turn in range(task["calls"]):
        await ctx.run_typed("call", model_calls.call, agent=task["number"], turn=turn)
    return task["number"]


app = restate.app(services=[work])
