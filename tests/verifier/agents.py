"""The agents of the verifier: they do what their errand says, and leave a mark at the witness for each step.

`steps`, `capped` and `plain_steps` keep no journal: what a lost attempt did is done again. `durable` and `plain_durable` do
nothing but what is journaled.
"""

import asyncio
import time
from typing import Any

import msgspec

from dayshift import Context, Retry, agent
from tests.verifier import performer, witness
from tests.verifier.errand import MAX_ATTEMPTS, result_of
from tests.verifier.performer import Performer
from tests.verifier.score import Score


@agent(name="steps", timeout=60, max_attempts=MAX_ATTEMPTS)
async def steps(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    return await work(ctx, label, steps, step_ms, fails, broken)


@agent(name="capped", timeout=60, max_attempts=MAX_ATTEMPTS)
async def capped(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    """Like `steps`, and runs only so many times at once."""
    return await work(ctx, label, steps, step_ms, fails, broken)


@agent(name="plain_steps", timeout=60, max_attempts=MAX_ATTEMPTS)
def plain_steps(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    with witness.plain_line(ctx, label) as line:
        known = line.mark("begin")
        for step in range(steps):
            time.sleep(step_ms / 1000)
            line.mark("effect", step=step)
        if must_fail(known, fails, broken):
            line.mark("fail")
            fail(label)
        line.mark("end")
    return result_of(label, steps)


@agent(name="durable", timeout=60, max_attempts=MAX_ATTEMPTS)
async def durable(ctx: Context, label: str, score: list[Any], fail_at: int, fails: int, broken: bool) -> str:
    moves = msgspec.convert(score, Score)
    performing = Performer(ctx, label, performer.ASYNC, AGENTS)
    async with witness.line(ctx, label) as line:
        known = await line.mark("begin")
        chain = await performing.perform(moves[:fail_at], label)
        if must_fail(known, fails, broken):
            await line.mark("fail")
            fail(label)
        chain = await performing.perform(moves[fail_at:], chain)
        await line.mark("end")
    return chain


@agent(name="plain_durable", timeout=60, max_attempts=MAX_ATTEMPTS)
def plain_durable(ctx: Context, label: str, score: list[Any], fail_at: int, fails: int, broken: bool) -> str:
    moves = msgspec.convert(score, Score)
    performing = Performer(ctx, label, performer.PLAIN, AGENTS)
    with witness.plain_line(ctx, label) as line:
        known = line.mark("begin")
        chain = performer.drive(performing.perform(moves[:fail_at], label))
        if must_fail(known, fails, broken):
            line.mark("fail")
            fail(label)
        chain = performer.drive(performing.perform(moves[fail_at:], chain))
        line.mark("end")
    return chain


AGENTS = {"durable": durable, "plain_durable": plain_durable}


async def work(ctx: Context, label: str, steps: int, step_ms: int, fails: int, broken: bool) -> str:
    async with witness.line(ctx, label) as line:
        known = await line.mark("begin")
        for step in range(steps):
            await asyncio.sleep(step_ms / 1000)
            await line.mark("effect", step=step)
        if must_fail(known, fails, broken):
            await line.mark("fail")
            fail(label)
        await line.mark("end")
    return result_of(label, steps)


def must_fail(known: dict[str, object], fails: int, broken: bool) -> bool:
    if broken:
        return not known["mended"]
    failed = known["failed"]
    assert isinstance(failed, int)
    return failed < fails


def fail(label: str) -> None:
    """Fail in one of the ways that there are; the same errand always in the same."""
    if label.endswith(("1", "3", "5")):
        raise ValueError(f"{label} is not to succeed yet")
    raise Retry(after=0.1, message=f"{label} is not to succeed yet")
